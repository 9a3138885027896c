"""Bodies of the control endpoints, as msgspec structs, and how they are read: with a pointer to the mistake."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.sandbox import seed
from service.sandbox.faults import FaultState
from service.sandbox.id_token_issuer import AUDIENCE
from service.sandbox.world import SandboxError
from service.sandbox.world_content import (
    TOKEN_SCOPES,
    Email,
    Id,
    KeyText,
    PurchaseKind,
    SellerKeyState,
    Slug,
    Text,
    Username,
)

LONGEST_SECONDS: Final = 315_360_000
"""Ten years."""

T = TypeVar("T")

Seconds = Annotated[int, Meta(ge=-LONGEST_SECONDS, le=LONGEST_SECONDS)]
"""Ten years either way."""
Scope = Annotated[str, Meta(pattern=r"^[a-z:]+\Z", max_length=64)]


# Bodies of requests.


class NewUser(Struct, frozen=True, forbid_unknown_fields=True):
    """Add a user; an id, a name and an address are made up where none is given."""

    id: Id | None = None
    username: Username | None = None
    display_name: Text | None = None
    emails: Annotated[list[Email], Meta(max_length=100)] = []
    press: bool = False


class NewGame(Struct, frozen=True, forbid_unknown_fields=True):
    """Add a game of the seller's; an id and a title are made up where none is given."""

    slug: Slug
    id: Id | None = None
    title: Text | None = None
    private: bool = False


class MintKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Add a download key; without `key` the sandbox makes one up. With `user_id` that user has claimed it already."""

    game_id: Id
    key: KeyText | None = None
    user_id: Id | None = None
    email: Email | None = None
    purchase_id: Id | None = None


class RevokeKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Revoke a download key."""

    key: str


class ClaimKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Let a user claim a download key."""

    key: str
    user_id: Id


class Buy(Struct, frozen=True, forbid_unknown_fields=True):
    """Add a purchase, by an address or by a user's first address; `with_key` adds the key that comes with it."""

    game_id: Id | Annotated[list[Id], Meta(min_length=1, max_length=1000)]
    email: Email | None = None
    user_id: Id | None = None
    purchase_type: PurchaseKind = PurchaseKind.GAME
    donation: bool = False
    price: Annotated[str, Meta(max_length=32)] = "$1.00"
    with_key: bool = False

    @property
    def game_ids(self) -> list[int]:
        """The games, as a list even of one."""
        return [self.game_id] if isinstance(self.game_id, int) else self.game_id


class Refund(Struct, frozen=True, forbid_unknown_fields=True):
    """Refund a purchase."""

    purchase_id: Id


class MintJwt(Struct, frozen=True, forbid_unknown_fields=True):
    """Sign a JWT for a user; with a negative lifetime it has expired."""

    user_id: Id
    lifetime_seconds: Seconds = 7 * 24 * 60 * 60


class MintAccessToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Let a user give an application an access token; without `application_of` it is the seller's own application."""

    user_id: Id
    application_of: Id | None = None
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=32)] = TOKEN_SCOPES


class MintIdToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Sign an id token for an address; with a negative lifetime it has ended, with null that claim is left out."""

    email: Email
    email_verified: bool | None = True
    audience: Annotated[str, Meta(pattern=r"\A[!-~]{1,256}\Z")] = AUDIENCE
    nonce: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    lifetime_seconds: Seconds = 60 * 60


class RevokeAccessToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Let the user take an access token back."""

    access_token: str


class ChangeSellerKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Revoke one of the seller's keys or give it back, and narrow its scopes (null: everything)."""

    revoked: bool = False
    scopes: Annotated[list[Scope], Meta(max_length=32)] | None = None
    which: Literal["first", "second"] = "first"


class MoveClock(Struct, frozen=True, forbid_unknown_fields=True):
    """Move the time forward by so many seconds."""

    advance_seconds: Annotated[float, Meta(ge=0, le=LONGEST_SECONDS)]


# Bodies of answers.


class MintedAccessToken(Struct, frozen=True):
    """An access token as itch.io would hand it to a browser game."""

    access_token: str
    user_id: int
    application_of: int
    scopes: tuple[str, ...]


class HeldGame(Struct, frozen=True):
    """A game that the seller's keys can see."""

    id: int
    slug: str
    title: str
    url: str


class Overview(Struct, frozen=True):
    """The contents of the sandbox that a test can use."""

    about: str
    seller_keys: dict[str, SellerKeyState]
    games: list[HeldGame]
    examples: list[seed.Example]


class StandingFaults(Struct, frozen=True):
    """The faults in force, and the number of requests that each has befallen."""

    faults: list[FaultState]


class Time(Struct, frozen=True):
    """The time of the sandbox, and the seconds that it is ahead of the machine's."""

    now: datetime
    ahead_seconds: float


class Done(Struct, frozen=True):
    """The answer to a request that has nothing to show."""

    done: bool = True


class SandboxMistake(Struct, frozen=True):
    """One mistake in a body: a JSON pointer to it (RFC 6901), and what is wrong."""

    pointer: str
    detail: str


class SandboxProblem(Struct, frozen=True):
    """The reason for a refusal (RFC 9457)."""

    title: str
    status: int
    code: str
    detail: str
    errors: list[SandboxMistake] | UnsetType = UNSET
    type: str = "about:blank"


# Reading.

_AT: Final = re.compile(r" - at `\$(?P<path>[^`]*)`\Z")
_FIELD: Final = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`")
_STEP: Final = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")


def decode(body: bytes, kind: type[T]) -> T:
    """Return the content of a body. Raises `SandboxError` with the place and the kind of the mistake."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UnicodeDecodeError:
        raise SandboxError("the body is not UTF-8") from None
    except msgspec.DecodeError as error:
        mistake = str(error)
        raise SandboxError(f"the body does not fit: {mistake}", pointer=pointer_in(mistake)) from None


def pointer_in(mistake: str) -> str:
    """Return the JSON pointer to the place that a message of msgspec names; a missing field's is where it would be."""
    at, named = _AT.search(mistake), _FIELD.search(mistake)
    steps = [step["name"] or step["index"] for step in _STEP.finditer(at["path"])] if at else []
    return "".join(f"/{step}" for step in [*steps, *([named["name"]] if named else [])])
