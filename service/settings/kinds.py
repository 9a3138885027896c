"""What a value may be: types that carry their bounds, and words for what cannot be read off the bounds.

`expected` completes the sentence "expected ..."; a `quiet` value is never repeated to anybody, because people put
secrets there by mistake: the token instead of its hash, a password inside a URL.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from service.ownership import LARGEST_ID, GameId, PlayerId, ProofKind

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]

Host: TypeAlias = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9._:%-]{1,255}\Z", extra={"expected": "a host name or an IP address"})
]

ItchGame: TypeAlias = Annotated[GameId, Meta(ge=1, le=LARGEST_ID)]

ItchUser: TypeAlias = Annotated[PlayerId, Meta(ge=1, le=LARGEST_ID)]

ItchUsers: TypeAlias = Annotated[
    frozenset[ItchUser], Meta(extra={"expected": "a list of itch.io user ids, each a whole number and only once"})
]

SLUG: Final = r"(?!\d+\Z)[a-z0-9][a-z0-9_-]{0,63}"
"""A game's name here. Not all digits: callers may also name a game by its itch.io id."""

SLUG_EXPECTED: Final = "1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit, and not all digits"

Accept: TypeAlias = Annotated[
    frozenset[ProofKind],
    Meta(
        min_length=1,
        extra={"expected": f"a list of at least one of {', '.join(ProofKind)}, each only once"},
    ),
]

GameNames: TypeAlias = Annotated[
    frozenset[ItchGame | Annotated[str, Meta(pattern=rf"\A(?:\*|[1-9]\d{{0,15}}|{SLUG})\Z")]],
    Meta(
        min_length=1,
        extra={"expected": 'a list of at least one slug or itch.io game id, each only once, or ["*"]'},
    ),
]

CallerName: TypeAlias = Annotated[
    str, Meta(pattern=r"\A[a-z0-9-]{1,64}\Z", extra={"expected": "1 to 64 of a-z, 0-9 and -"})
]

TokenDigest: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\A[0-9A-Fa-f]{64}\Z",
        extra={"expected": "the SHA-256 of the whole token as 64 hexadecimal digits", "quiet": True},
    ),
]

BaseUrl: TypeAlias = Annotated[str, Meta(extra={"expected": "a URL such as https://api.itch.io", "quiet": True})]

ContactUrl: TypeAlias = Annotated[
    str,
    Meta(
        # It stands in brackets in a header, so that it may hold none itself.
        pattern=r"\Ahttps?://[!-'*-~]{1,200}\Z",
        extra={"expected": "an http or https URL of at most 200 printable ASCII characters", "quiet": True},
    ),
]
