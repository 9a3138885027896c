"""The records of a sandbox's world, as itch.io would know them; in the words of the control endpoints."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from service.ownership import LARGEST_ID

Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Email = Annotated[str, Meta(min_length=3, max_length=254)]
Text = Annotated[str, Meta(max_length=1000)]
Instant = Annotated[datetime, Meta(tz=True)]
Username = Annotated[str, Meta(pattern=r"^[a-z0-9_-]+\Z", max_length=64)]
Slug = Annotated[str, Meta(pattern=r"^(?!\d+\Z)[a-z0-9][a-z0-9_-]*\Z", max_length=64)]
ChannelName = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
Version = Annotated[str, Meta(min_length=1, max_length=1000)]
KeyText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{10,64}\Z")]

LAUNCH: Final = datetime(2013, 3, 3, 23, 2, 14, tzinfo=UTC)
"""The time at which everything was made of which nothing else is said."""

DEFAULT_SELLER_ID: Final = 29789


class Account(Struct, frozen=True, forbid_unknown_fields=True):
    """An itch.io account; all of its `emails` are verified and linked to each other. Without one it gets one."""

    id: Id
    username: Username
    display_name: Text | None = None
    emails: tuple[Email, ...] = ()
    developer: bool = False
    press: bool = False

    @property
    def url(self) -> str:
        """The address of the account's page."""
        return f"https://{self.username}.itch.io"


class Game(Struct, frozen=True, forbid_unknown_fields=True):
    """A project on itch.io."""

    id: Id
    slug: Slug
    title: Text = ""
    seller_id: Id = DEFAULT_SELLER_ID
    short_text: Text = ""
    created_at: Instant = LAUNCH
    min_price_cents: Annotated[int, Meta(ge=0)] = 0
    earned_cents: Annotated[int, Meta(ge=0)] = 0
    private: bool = False
    """Whether its page is for the seller alone: all others are told that there is no such game."""


class KeyRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A download key. It is unclaimed while `user_id` is null; `email` is the address that it was sent to.

    `id` is its number, which evidence names; 0 has it made up.
    """

    id: Annotated[int, Meta(ge=0, le=LARGEST_ID)] = 0
    text: KeyText = field(name="key")
    game_id: Id
    owner_id: Id | None = field(name="user_id", default=None)
    email: Email | None = None
    purchase_id: Id | None = None
    created_at: Instant = LAUNCH
    downloads: Annotated[int, Meta(ge=0)] = 0
    revoked: bool = False


class PurchaseKind(StrEnum):
    """The kind of a purchase, in itch.io's words."""

    GAME = "game"
    BUNDLE = "bundle"
    SUB_PRODUCT = "sub_product"


class Purchase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A completed purchase, by an address. A `donation` is one that comes without a key, such as a paid web game.

    With `user_id` alone the address is the first of that account.
    """

    id: Annotated[int, Meta(ge=0, le=LARGEST_ID)] = field(name="purchase_id", default=0)
    game_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=1000)] = field(name="game_id")
    email: Annotated[str, Meta(max_length=254)] = ""
    user_id: Id | None = None
    kind: PurchaseKind = field(name="purchase_type", default=PurchaseKind.GAME)
    donation: bool = False
    price: Annotated[str, Meta(max_length=32)] = "$1.00"
    created_at: Instant = LAUNCH
    refunded: bool = False


class Channel(Struct, frozen=True, forbid_unknown_fields=True):
    """A channel that builds of a game are pushed to, and the user version of the newest, null if it has none."""

    game_id: Id
    channel: ChannelName
    latest: Version | None = None


TOKEN_SCOPES: Final = ("game:view:ownership", "profile:me")


class AccessTokenRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """An OAuth access token that a user has given to an application of the account `application_of`."""

    user_id: Id
    application_of: Id
    scopes: tuple[str, ...] = TOKEN_SCOPES


class SellerKeyState(Struct, frozen=True):
    """The rights of one of the seller's API keys. `scopes` of None means an unscoped key: everything."""

    revoked: bool = False
    scopes: tuple[str, ...] | None = None


class WorldContent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole world as it begins. The seller's keys belong to the account `seller_id`, which may see its games."""

    seller_id: Id = DEFAULT_SELLER_ID
    accounts: tuple[Account, ...] = field(name="users", default=())
    games: tuple[Game, ...] = ()
    keys: tuple[KeyRecord, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    channels: tuple[Channel, ...] = ()
