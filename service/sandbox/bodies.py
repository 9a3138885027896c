"""What can be told to the sandbox's control endpoints, and how a body is read."""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from service.ownership import LARGEST_ID
from service.sandbox.world import PurchaseKind, SandboxError

T = TypeVar("T")

Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Email = Annotated[str, Meta(min_length=3, max_length=254)]
Seconds = Annotated[int, Meta(ge=-315_360_000, le=315_360_000)]
"""Ten years either way."""
Scope = Annotated[str, Meta(pattern=r"^[a-z:]+\Z", max_length=64)]


class MintKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Add a download key; without `key` the sandbox makes one up."""

    game_id: Id
    key: str | None = None
    user_id: Id | None = None
    email: Email | None = None


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
        """The games, also where there is only one."""
        return [self.game_id] if isinstance(self.game_id, int) else self.game_id


class Refund(Struct, frozen=True, forbid_unknown_fields=True):
    """Refund a purchase."""

    purchase_id: Id


class MintJwt(Struct, frozen=True, forbid_unknown_fields=True):
    """Sign a JWT for a user; with a negative lifetime it has expired."""

    user_id: Id
    lifetime_seconds: Seconds = 7 * 24 * 60 * 60


class ChangeSellerKey(Struct, frozen=True, forbid_unknown_fields=True):
    """Revoke one of the seller's keys or give it back, and narrow its scopes (null: everything)."""

    revoked: bool = False
    scopes: Annotated[list[Scope], Meta(max_length=32)] | None = None
    which: Literal["first", "second"] = "first"


def read_body(body: bytes, kind: type[T]) -> T:
    """Return what a body says. Raises `SandboxError` with the place and the kind of the mistake."""
    try:
        return msgspec.json.decode(body, type=kind)
    except UnicodeDecodeError:
        raise SandboxError("the body is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise SandboxError(f"the body does not fit: {error}") from None
