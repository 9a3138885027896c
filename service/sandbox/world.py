"""The sandbox's world as it is: what itch.io would know of it, and the changes that tests make."""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from service.errors import GatewayError
from service.sandbox.world_content import (
    TOKEN_SCOPES,
    AccessTokenRecord,
    Account,
    Channel,
    Game,
    KeyRecord,
    Purchase,
    PurchaseKind,
    SellerKeyState,
    WorldContent,
)


class SandboxError(GatewayError):
    """The sandbox cannot do what a control request asked; the text is one line for the person who sent it.

    `pointer` is a JSON pointer to the mistake in the body (RFC 6901), empty for the body as a whole.
    """

    def __init__(self, message: str, *, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


SELLER_KEYS: Final = ("sandbox-seller-key-not-a-real-one", "sandbox-second-seller-key-not-a-real-one")
"""The second works at the same time as the first, as during a rotation."""


class World:
    """Accounts, games, keys and purchases: at first those of `content`, and again after `reset`.

    Methods that change it raise `SandboxError` for a change that cannot be. Users who are named and not there are made
    on the spot. Ids and texts of additions depend only on earlier additions, so that every run is the same.
    """

    def __init__(self, content: WorldContent, *, now: Callable[[], datetime]) -> None:
        self._content = content
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Forget every change."""
        content = self._content
        self.accounts: dict[int, Account] = {}
        self.games = {game.id: game for game in content.games}
        self.keys: dict[str, KeyRecord] = {}
        self.purchases: dict[int, Purchase] = {}
        self.channels = {(one.game_id, one.channel): one for one in content.channels}
        self.access_tokens: dict[str, AccessTokenRecord] = {}
        self._last_token = 0
        self.seller_keys = {key: SellerKeyState() for key in SELLER_KEYS}
        self._by_address: dict[str, int] = {}
        self._claimed: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
        self._sent: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        self._bought: defaultdict[str, dict[int, None]] = defaultdict(dict)
        self._last_key_id = max((key.id for key in content.keys), default=0)
        self._last_purchase_id = max((purchase.id for purchase in content.purchases), default=0)
        for account in content.accounts:
            self._keep_account(account)
        self.account(content.seller_id)
        for purchase in content.purchases:
            self._keep_purchase(purchase)
        for key in content.keys:
            self._keep_key(key)

    def content(self) -> WorldContent:
        """Return the world as it is now, as one that could begin so."""
        return WorldContent(
            seller_id=self._content.seller_id,
            accounts=tuple(self.accounts.values()),
            games=tuple(self.games.values()),
            keys=tuple(self.keys.values()),
            purchases=tuple(self.purchases.values()),
            channels=tuple(self.channels.values()),
        )

    # --- what there is ---

    @property
    def seller(self) -> Account:
        """The account that both seller keys belong to."""
        return self.accounts[self._content.seller_id]

    def account(self, user_id: int) -> Account:
        """Return the account with that id, which is made if there is none."""
        known = self.accounts.get(user_id)
        return self._keep_account(Account(user_id, f"user-{user_id}")) if known is None else known

    def games_of(self, account: Account) -> list[Game]:
        """Return the games that the account may see the sales of."""
        return [game for game in self.games.values() if game.seller_id == account.id]

    def game_called(self, slug: str) -> Game | None:
        """Return the seller's game with that slug."""
        return next((game for game in self.games_of(self.seller) if game.slug == slug), None)

    def url_of(self, game: Game) -> str:
        """Return the address of the game's page."""
        return f"{self.account(game.seller_id).url}/{game.slug}"

    def key_named(self, game_id: int, text: str) -> KeyRecord | None:
        """Return the key with exactly this text, if it works for the game."""
        key = self.keys.get(text)
        return key if key is not None and key.game_id == game_id and not key.revoked else None

    def key_claimed_by(self, game_id: int, user_id: int) -> KeyRecord | None:
        """Return one key of the account, the oldest, even if it has several."""
        return self._oldest(self._claimed.get((game_id, user_id), ()))

    def key_sent_to(self, game_id: int, email: str) -> KeyRecord | None:
        """Return a key that was sent to the address, unless an account has claimed it since (itch.io #1060)."""
        return self._oldest(self._sent.get((game_id, _as_compared(email)), ()))

    def purchases_by(self, game_id: int, emails: Sequence[str]) -> list[Purchase]:
        """Return what was bought under any of the addresses and not refunded, and holds the game."""
        numbers = {number for email in emails for number in self._bought.get(_as_compared(email), ())}
        bought = (self.purchases[number] for number in sorted(numbers))
        return [purchase for purchase in bought if game_id in purchase.game_ids and not purchase.refunded]

    def linked_addresses(self, email: str) -> tuple[str, ...]:
        """Return every address of the account that has this one, or only this one where no account does."""
        user_id = self._by_address.get(_as_compared(email))
        return (email,) if user_id is None else self.accounts[user_id].emails

    # --- changes ---

    def add_user(
        self,
        *,
        user_id: int | None = None,
        username: str | None = None,
        display_name: str | None = None,
        emails: Sequence[str] = (),
        press: bool = False,
    ) -> Account:
        """Add an account."""
        number = 1 + max(self.accounts) if user_id is None else user_id
        if number in self.accounts:
            raise SandboxError("this user exists already", pointer="/id")
        username = username or f"user-{number}"
        if any(account.username == username for account in self.accounts.values()):
            raise SandboxError("another user has this name", pointer="/username")
        for index, email in enumerate(emails):
            if _as_compared(email) in self._by_address:
                raise SandboxError("another user has this address", pointer=f"/emails/{index}")
        return self._keep_account(Account(number, username, display_name, tuple(emails), press=press))

    def add_game(
        self, slug: str, *, game_id: int | None = None, title: str | None = None, private: bool = False
    ) -> Game:
        """Add a game of the seller's."""
        number = 1 + max(self.games, default=0) if game_id is None else game_id
        if number in self.games:
            raise SandboxError("this game exists already", pointer="/id")
        if self.game_called(slug) is not None:
            raise SandboxError("another game has this slug", pointer="/slug")
        self.games[number] = Game(number, slug, title or slug, self.seller.id, created_at=self._now(), private=private)
        return self.games[number]

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
        if purchase_id is not None and purchase_id not in self.purchases:
            raise SandboxError("the sandbox has no such purchase", pointer="/purchase_id")
        if text is None:
            text = _text_of_key(self._last_key_id + 1)
        if not _KEY_TEXT.fullmatch(text):
            raise SandboxError("a download key is 10 to 64 letters, digits, '_' and '-'", pointer="/key")
        if text in self.keys:
            raise SandboxError("this download key exists already", pointer="/key")
        return self._keep_key(
            KeyRecord(
                text=text,
                game_id=game_id,
                owner_id=user_id,
                email=email,
                purchase_id=purchase_id,
                created_at=self._now(),
            )
        )

    def claim_key(self, text: str, user_id: int) -> KeyRecord:
        """Let an account claim an unclaimed key."""
        key = self._known_key(text)
        if key.revoked:
            raise SandboxError("this download key is revoked", pointer="/key")
        if key.owner_id is not None:
            raise SandboxError("this download key is claimed already", pointer="/key")
        return self._keep_key(replace(key, owner_id=user_id))

    def revoke_key(self, text: str) -> KeyRecord:
        """Revoke a key, as the seller can: it answers like one that never was."""
        return self._keep_key(replace(self._known_key(text), revoked=True))

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
        if email is None and user_id is None:
            raise SandboxError("a purchase needs an email or a user_id")
        for game_id in game_ids:
            self._known_game(game_id)
        if len(set(game_ids)) != len(game_ids):
            raise SandboxError("a purchase names each game once", pointer="/game_id")
        if len(game_ids) != 1 and kind is not PurchaseKind.BUNDLE:
            raise SandboxError("only a bundle holds several games", pointer="/game_id")
        purchase = self._keep_purchase(
            Purchase(
                game_ids=tuple(game_ids),
                email=email or "",
                user_id=user_id,
                kind=kind,
                donation=donation,
                price=price,
                created_at=self._now(),
            )
        )
        for game_id in game_ids if with_key else ():
            self.mint_key(game_id, user_id=user_id, email=purchase.email, purchase_id=purchase.id)
        return purchase

    def refund(self, purchase_id: int) -> Purchase:
        """Refund a purchase: it is not reported any more, and the keys that came with it are revoked."""
        purchase = self.purchases.get(purchase_id)
        if purchase is None:
            raise SandboxError("the sandbox has no such purchase", pointer="/purchase_id")
        for key in [key for key in self.keys.values() if key.purchase_id == purchase_id]:
            self._keep_key(replace(key, revoked=True))
        return self._keep_purchase(replace(purchase, refunded=True))

    def mint_access_token(
        self, user_id: int, *, application_of: int | None, scopes: Sequence[str] = TOKEN_SCOPES
    ) -> str:
        """Let a user give an application these scopes; without another account it is the seller's."""
        owner = self.seller.id if application_of is None else application_of
        self.account(user_id)
        self._last_token += 1
        text = _text_of_token(self._last_token)
        self.access_tokens[text] = AccessTokenRecord(user_id, owner, tuple(scopes))
        return text

    def revoke_access_token(self, text: str) -> None:
        """Let the user take a token back."""
        if self.access_tokens.pop(text, None) is None:
            raise SandboxError("the sandbox has no such access token", pointer="/access_token")

    def push_build(self, channel: Channel) -> Channel:
        """Have the newest build of a channel be of this version; a channel that is not there is made."""
        self._known_game(channel.game_id)
        self.channels[channel.game_id, channel.channel] = channel
        return channel

    # --- within ---

    def _keep_account(self, account: Account) -> Account:
        if not account.emails:
            account = replace(account, emails=(f"user-{account.id}@example.com",))
        self.accounts[account.id] = account
        for email in account.emails:
            self._by_address.setdefault(_as_compared(email), account.id)
        return account

    def _keep_key(self, key: KeyRecord) -> KeyRecord:
        if key.id == 0:
            self._last_key_id += 1
            key = replace(key, id=self._last_key_id)
        if key.owner_id is not None:
            self.account(key.owner_id)
            self._claimed[key.game_id, key.owner_id].add(key.text)
        if key.email is not None:
            sent = self._sent[key.game_id, _as_compared(key.email)]
            (sent.discard if key.owner_id is not None else sent.add)(key.text)
        self.keys[key.text] = key
        return key

    def _keep_purchase(self, purchase: Purchase) -> Purchase:
        if purchase.id == 0:
            self._last_purchase_id += 1
            purchase = replace(purchase, id=self._last_purchase_id)
        if purchase.user_id is not None and not purchase.email:
            purchase = replace(purchase, email=self.account(purchase.user_id).emails[0])
        self._bought[_as_compared(purchase.email)][purchase.id] = None
        self.purchases[purchase.id] = purchase
        return purchase

    def _oldest(self, texts: Iterable[str]) -> KeyRecord | None:
        working = (self.keys[text] for text in texts if not self.keys[text].revoked)
        return min(working, key=attrgetter("id"), default=None)

    def _known_game(self, game_id: int) -> None:
        if game_id not in self.games:
            raise SandboxError("the sandbox has no such game", pointer="/game_id")

    def _known_key(self, text: str) -> KeyRecord:
        if (key := self.keys.get(text)) is None:
            raise SandboxError("the sandbox has no such download key", pointer="/key")
        return key


_KEY_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{10,64}")


def _as_compared(email: str) -> str:
    return email.casefold()


def _text_of_token(number: int) -> str:
    return hashlib.sha256(b"ownership gateway sandbox access token %d" % number).hexdigest()[:40]


def _text_of_key(number: int) -> str:
    """Make 40 characters that look random and are the same in every run."""
    digest = hashlib.sha256(b"ownership gateway sandbox key %d" % number).digest()
    return base64.urlsafe_b64encode(digest[:30]).decode()
