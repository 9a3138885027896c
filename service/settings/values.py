"""Types of values: they carry their bounds, and words for what cannot be read off the bounds.

`expected` completes the sentence "expected ..."; a `quiet` value is never repeated, because people put secrets there by
mistake: the token instead of its hash, a password inside a URL.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from service.ownership import LARGEST_ID, GameId, Mailbox, PlayerId, ProofKind

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]

Hosts: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:%-]{1,255}\Z")], ...],
    Meta(min_length=1, extra={"expected": "a host name or an IP address, or a list of them, each only once"}),
]

ItchGame: TypeAlias = Annotated[GameId, Meta(ge=1, le=LARGEST_ID)]

ItchUser: TypeAlias = Annotated[PlayerId, Meta(ge=1, le=LARGEST_ID)]

ItchUsers: TypeAlias = Annotated[
    frozenset[ItchUser], Meta(extra={"expected": "a list of itch.io user ids, each a whole number and only once"})
]

_Address: TypeAlias = Annotated[Mailbox, Meta(extra_json_schema={"type": "string", "format": "email"})]

Mailboxes: TypeAlias = Annotated[
    frozenset[_Address], Meta(extra={"expected": "a list of e-mail addresses, each only once", "quiet": True})
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

CHANNEL: Final = "[a-z0-9-]{1,64}"

Channels: TypeAlias = Annotated[
    frozenset[Annotated[str, Meta(pattern=rf"\A{CHANNEL}\Z")]],
    Meta(max_length=20, extra={"expected": "a list of at most 20 channels of a-z, 0-9 and -, each only once"}),
]

GameNames: TypeAlias = Annotated[
    frozenset[ItchGame | Annotated[str, Meta(pattern=rf"\A(?:\*|[1-9]\d{{0,15}}|{SLUG})\Z")]],
    Meta(
        min_length=1,
        extra={"expected": 'a list of at least one slug or itch.io game id, each only once, or ["*"]'},
    ),
]

GameName: TypeAlias = Annotated[
    str, Meta(pattern=rf"\A(?:[1-9]\d{{0,15}}|{SLUG})\Z", extra={"expected": "one slug or itch.io game id, as text"})
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

LinksUrl: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\Ahttps?://[A-Za-z0-9._~:/-]{1,192}\Z",
        extra={"expected": "an http or https URL of at most 200 characters, without query and fragment", "quiet": True},
    ),
]

IssuerUrl: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\Ahttps://[A-Za-z0-9._~:/-]{1,192}\Z",
        extra={"expected": "an https URL of at most 200 characters, without query and fragment", "quiet": True},
    ),
]

HubUrl: TypeAlias = Annotated[
    str, Meta(extra={"expected": "an https URL of a gateway such as https://ownership.example", "quiet": True})
]

SecureUrl: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\Ahttps://[A-Za-z0-9\[][A-Za-z0-9._~:/?&=%\[\]-]{0,490}\Z",
        extra={"expected": "an https URL of at most 500 characters, without user name and fragment", "quiet": True},
    ),
]

TextFile: TypeAlias = Annotated[
    Path, Meta(extra={"expected": "a path", "quiet": True}, extra_json_schema={"type": "string"})
]

SenderAddress: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\Z",
        extra={"expected": "one plain address such as noreply@example.com"},
    ),
]

POLICY: Final = r"[a-z0-9][a-z0-9_-]{0,63}"
"""A policy's name: a segment of a path that every proxy leaves as it is."""

POLICY_EXPECTED: Final = "1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit"


class PolicyCredential(StrEnum):
    """The credentials that a player may present at a proxy."""

    PASS = "pass"  # noqa: S105 - a kind of credential, no secret
    JWT = "jwt"
    DOWNLOAD_KEY = "download_key"
    ACCESS_TOKEN = "access_token"  # noqa: S105 - as above


PolicyCredentials: TypeAlias = Annotated[
    frozenset[PolicyCredential],
    Meta(min_length=1, extra={"expected": f"a list of at least one of {', '.join(PolicyCredential)}, each only once"}),
]

CookieName: TypeAlias = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z", extra={"expected": "1 to 64 of A-Z, a-z, 0-9, ., _ and -"})
]
