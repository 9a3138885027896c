"""The sandbox's world: accounts, games, download keys and purchases as itch.io would know them, and changes to them."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from service.errors import GatewayError


class Account(Struct, frozen=True):
    """An itch.io account; all of its `emails` are verified and linked to each other."""

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
    """A download key. It is unclaimed while `owner_id` is None; `email` is the address that it was sent to."""

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
    """The kind of a purchase, in itch.io's words."""

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
    """The rights of one of the seller's API keys. `scopes` of None means an unscoped key: everything."""

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


class SandboxError(GatewayError):
    """The sandbox cannot do what a control request asked; the text is one line for the person who sent it."""


_KEY_TEXT = re.compile(r"[A-Za-z0-9_-]{10,64}")


class World:
    """Accounts, games, keys and purchases: at first those of `content`, and again after `reset`.

    Methods that change it raise `SandboxError` for a change that cannot be. Ids and texts of additions depend only on
    earlier additions, so that every run is the same.
    """

    def __init__(self, content: WorldContent, *, now: Callable[[], datetime]) -> None:
        self._content = content
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Forget every change."""
        self.accounts = {account.id: account for account in self._content.accounts}
        self.games = {game.id: game for game in self._content.games}
        self.keys = {key.text: key for key in self._content.keys}
        self.purchases = {purchase.id: purchase for purchase in self._content.purchases}
        self.seller_keys = {key: SellerKeyState() for key in self._content.seller_keys}

    @property
    def seller(self) -> Account:
        """The account that both seller keys belong to."""
        return self.accounts[self._content.seller_id]

    def games_of(self, account: Account) -> list[Game]:
        """Return the games that the account may see the sales of."""
        return [game for game in self.games.values() if game.seller.id == account.id]

    def key_named(self, game_id: int, text: str) -> KeyRecord | None:
        """Return the key with exactly this text, if it works for the game."""
        key = self.keys.get(text)
        return key if key is not None and key.game_id == game_id and not key.revoked else None

    def key_claimed_by(self, game_id: int, user_id: int) -> KeyRecord | None:
        """Return one key of the account, the oldest, even if it has several."""
        return next((key for key in self._working_keys(game_id) if key.owner_id == user_id), None)

    def key_sent_to(self, game_id: int, email: str) -> KeyRecord | None:
        """Return a key that was sent to the address, unless an account has claimed it since (itch.io #1060)."""
        wanted = _as_compared(email)
        return next(
            (
                key
                for key in self._working_keys(game_id)
                if key.owner_id is None and key.email is not None and _as_compared(key.email) == wanted
            ),
            None,
        )

    def purchases_by(self, game_id: int, emails: Sequence[str]) -> list[Purchase]:
        """Return what was bought under any of the addresses and not refunded, and holds the game."""
        wanted = {_as_compared(email) for email in emails}
        return [
            purchase
            for purchase in self.purchases.values()
            if game_id in purchase.game_ids and not purchase.refunded and _as_compared(purchase.email) in wanted
        ]

    def linked_addresses(self, email: str) -> tuple[str, ...]:
        """Return every address of the account that has this one, or only this one where no account does."""
        wanted = _as_compared(email)
        for account in self.accounts.values():
            if wanted in map(_as_compared, account.emails):
                return account.emails
        return (email,)

    def mint_key(
        self,
        game_id: int,
        *,
        text: str | None = None,
        user_id: int | None = None,
        email: str | None = None,
        purchase_id: int | None = None,
    ) -> KeyRecord:
        """Add a download key; with `user_id` that account has claimed it already."""
        self._known_game(game_id)
        if user_id is not None:
            self._known_account(user_id)
        number = 1 + max((key.id for key in self.keys.values()), default=0)
        if text is None:
            text = _text_of_key(number)
        if not _KEY_TEXT.fullmatch(text):
            raise SandboxError("a download key is 10 to 64 letters, digits, '_' and '-'")
        if text in self.keys:
            raise SandboxError("this download key exists already")
        key = KeyRecord(number, text, game_id, self._now(), owner_id=user_id, email=email, purchase_id=purchase_id)
        self.keys[text] = key
        return key

    def claim_key(self, text: str, user_id: int) -> KeyRecord:
        """Let an account claim an unclaimed key."""
        self._known_account(user_id)
        key = self._known_key(text)
        if key.revoked:
            raise SandboxError("this download key is revoked")
        if key.owner_id is not None:
            raise SandboxError("this download key is claimed already")
        return self._keep(msgspec.structs.replace(key, owner_id=user_id))

    def revoke_key(self, text: str) -> KeyRecord:
        """Revoke a key, as the seller can: it answers like one that never was."""
        return self._keep(msgspec.structs.replace(self._known_key(text), revoked=True))

    def buy(
        self,
        game_ids: Sequence[int],
        *,
        email: str | None = None,
        user_id: int | None = None,
        kind: PurchaseKind = PurchaseKind.GAME,
        donation: bool = False,
        price: str = "$1.00",
        with_key: bool = False,
    ) -> Purchase:
        """Add a completed purchase under an address, or under the first address of an account.

        `with_key` adds a download key for each game, which the account has claimed where one was named.
        """
        buyer = None if user_id is None else self._known_account(user_id)
        if email is None:
            if buyer is None:
                raise SandboxError("a purchase needs an email or a user_id")
            email = buyer.emails[0]
        for game_id in game_ids:
            self._known_game(game_id)
        if len(set(game_ids)) != len(game_ids):
            raise SandboxError("a purchase names each game once")
        if len(game_ids) != 1 and kind is not PurchaseKind.BUNDLE:
            raise SandboxError("only a bundle holds several games")
        number = 1 + max(self.purchases, default=0)
        purchase = Purchase(number, tuple(game_ids), email, self._now(), kind=kind, donation=donation, price=price)
        self.purchases[number] = purchase
        for game_id in game_ids if with_key else ():
            self.mint_key(game_id, user_id=user_id, email=email, purchase_id=number)
        return purchase

    def refund(self, purchase_id: int) -> Purchase:
        """Refund a purchase: it is not reported any more, and the keys that came with it are revoked."""
        purchase = self.purchases.get(purchase_id)
        if purchase is None:
            raise SandboxError("the sandbox has no such purchase")
        refunded = msgspec.structs.replace(purchase, refunded=True)
        self.purchases[purchase_id] = refunded
        for key in [key for key in self.keys.values() if key.purchase_id == purchase_id]:
            self._keep(msgspec.structs.replace(key, revoked=True))
        return refunded

    def _working_keys(self, game_id: int) -> list[KeyRecord]:
        return [key for key in self.keys.values() if key.game_id == game_id and not key.revoked]

    def _keep(self, key: KeyRecord) -> KeyRecord:
        self.keys[key.text] = key
        return key

    def _known_game(self, game_id: int) -> Game:
        if (game := self.games.get(game_id)) is None:
            raise SandboxError("the sandbox has no such game")
        return game

    def _known_account(self, user_id: int) -> Account:
        if (account := self.accounts.get(user_id)) is None:
            raise SandboxError("the sandbox has no such user")
        return account

    def _known_key(self, text: str) -> KeyRecord:
        if (key := self.keys.get(text)) is None:
            raise SandboxError("the sandbox has no such download key")
        return key


def _as_compared(email: str) -> str:
    return email.casefold()


def _text_of_key(number: int) -> str:
    """Make 40 characters that look random and are the same in every run."""
    digest = hashlib.sha256(b"ownership gateway sandbox key %d" % number).digest()
    return base64.urlsafe_b64encode(digest[:30]).decode()
