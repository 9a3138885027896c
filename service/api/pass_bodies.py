"""The bodies about passes: the questions that ask for one, and the public lists.

A question is one as in a batch, and says what the pass is to be good for.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from service.api.questions import (
    AccessTokenQuestion,
    DownloadKeyQuestion,
    EmailQuestion,
    JwtQuestion,
    PassQuestion,
    PlayerRef,
    UserQuestion,
)

Audience: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9._-]{1,64}$(?!\n)",
        description="The one server of the game that the pass is for; without it it is for all of them.",
    ),
]


class DownloadKeyOrder(DownloadKeyQuestion, frozen=True, kw_only=True, tag_field="method", tag="download_key"):
    """A pass for the holder of a download key."""

    audience: Audience | None = None


class JwtOrder(JwtQuestion, frozen=True, kw_only=True, tag_field="method", tag="jwt"):
    """A pass for the player to whom the itch.io app gave a JWT."""

    audience: Audience | None = None
    player_ref: PlayerRef | None = None


class AccessTokenOrder(AccessTokenQuestion, frozen=True, kw_only=True, tag_field="method", tag="access_token"):
    """A pass for the player who has given the game's application an access token."""

    audience: Audience | None = None
    player_ref: PlayerRef | None = None


class EmailOrder(EmailQuestion, frozen=True, kw_only=True, tag_field="method", tag="email"):
    """A pass for the player who controls an address."""

    audience: Audience | None = None
    player_ref: PlayerRef | None = None


class UserOrder(UserQuestion, frozen=True, kw_only=True, tag_field="method", tag="user"):
    """A pass for an itch.io user."""

    audience: Audience | None = None
    player_ref: PlayerRef | None = None


class PassRenewal(PassQuestion, frozen=True, kw_only=True, tag_field="method", tag="pass"):
    """Another pass for the player to whom this one was given."""

    audience: Audience | None = None


Order: TypeAlias = DownloadKeyOrder | JwtOrder | EmailOrder | UserOrder | PassRenewal | AccessTokenOrder


class PublicKey(Struct, frozen=True):
    """A key that checks passes, by RFC 7517; `n` and `e` are its modulus and exponent in base64url."""

    kty: str
    use: str
    alg: str
    kid: str
    n: str
    e: str


class PublicKeys(Struct, frozen=True):
    """All keys that check passes."""

    keys: list[PublicKey]


class VoidPassesBody(Struct, frozen=True):
    """The passes that are void before they end: all with one of these handles that were decided before its instant.

    Instants are in seconds since 1970, `as_of` that of the list.
    """

    as_of: int
    before: dict[str, float]
