"""What the sandbox's world is made of: accounts, games, download keys and purchases."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Account(Struct, frozen=True):
    """Somebody's itch.io account; all of its `emails` are verified and linked to each other."""

    id: int
    username: str
    display_name: str | None = None
    emails: tuple[str, ...] = ()
    developer: bool = False
    press: bool = False

    @property
    def url(self) -> str:
        """The address of the account's page."""
        return f"https://{self.username}.itch.io"


class Game(Struct, frozen=True):
    """A project on itch.io."""

    id: int
    slug: str
    title: str
    seller: Account
    short_text: str
    created_at: datetime
    min_price_cents: int
    earned_cents: int = 0

    @property
    def url(self) -> str:
        """The address of the game's page."""
        return f"{self.seller.url}/{self.slug}"


class KeyRecord(Struct, frozen=True):
    """A download key. Nobody has claimed it while `owner_id` is None; `email` is where it was sent."""

    id: int
    text: str
    game_id: int
    created_at: datetime
    owner_id: int | None = None
    email: str | None = None
    purchase_id: int | None = None
    downloads: int = 0
    revoked: bool = False


class PurchaseKind(StrEnum):
    """What was bought, in itch.io's words."""

    GAME = "game"
    BUNDLE = "bundle"
    SUB_PRODUCT = "sub_product"


class Purchase(Struct, frozen=True):
    """A completed purchase. A `donation` is one that comes without a key, such as a paid web game."""

    id: int
    game_ids: tuple[int, ...]
    email: str
    created_at: datetime
    kind: PurchaseKind = PurchaseKind.GAME
    donation: bool = False
    price: str = "$1.00"
    refunded: bool = False


class SellerKeyState(Struct, frozen=True):
    """What one of the seller's API keys may do. `scopes` of None means an unscoped key: everything."""

    revoked: bool = False
    scopes: tuple[str, ...] | None = None


class WorldContent(Struct, frozen=True):
    """A whole world as it begins. All `seller_keys` belong to the account `seller_id`."""

    seller_id: int
    seller_keys: tuple[str, ...]
    accounts: tuple[Account, ...]
    games: tuple[Game, ...]
    keys: tuple[KeyRecord, ...]
    purchases: tuple[Purchase, ...]
