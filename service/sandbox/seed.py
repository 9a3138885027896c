"""The world as every sandbox starts, and an example of each kind of credential in it.

It is fixed, so that the documentation stays true. Its keys open nothing; its addresses are reserved for examples
(RFC 2606).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from service.ownership import Reason
from service.sandbox.jwts import MintedJwt
from service.sandbox.world import SELLER_KEYS
from service.sandbox.world_content import (
    DEFAULT_SELLER_ID,
    LAUNCH,
    Account,
    Game,
    KeyRecord,
    Purchase,
    PurchaseKind,
    WorldContent,
)

SELLER_KEY, SECOND_SELLER_KEY = SELLER_KEYS

GAME_ID: Final = 3
OTHER_GAME_ID: Final = 4
FOREIGN_GAME_ID: Final = 5
"""Another seller's game: the seller's key cannot see it."""

SELLER_ID: Final = DEFAULT_SELLER_ID
OWNER_ID: Final = 1994
BUYER_ID: Final = 2001
BUNDLE_BUYER_ID: Final = 2002
WEB_BUYER_ID: Final = 2003
SUB_PRODUCT_BUYER_ID: Final = 2004
REFUNDED_ID: Final = 2005
PRESS_ID: Final = 2006
STRANGER_ID: Final = 2007
OTHER_GAME_OWNER_ID: Final = 2008
LINKED_BUYER_ID: Final = 2009
SHORT_KEY_OWNER_ID: Final = 2010
FOREIGN_SELLER_ID: Final = 2011

OWNER_KEY: Final = "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"
SHORT_KEY: Final = "sandbox-18-chars-k"
MEDIUM_KEY: Final = "sandbox_20_chars-key"
UNCLAIMED_KEY: Final = "sandbox-unclaimed-key-00000000000000003x"
REVOKED_KEY: Final = "sandbox-revoked-key-0000000000000000003x"
OTHER_GAME_KEY: Final = "sandbox-other-game-key-0000000000000004x"

OWNER_EMAIL: Final = "amos@example.com"
BUYER_EMAIL: Final = "bea@example.com"
BUNDLE_BUYER_EMAIL: Final = "bo@example.com"
WEB_BUYER_EMAIL: Final = "wes@example.com"
SUB_PRODUCT_BUYER_EMAIL: Final = "sue@example.com"
STRANGER_EMAIL: Final = "nia@example.com"
LINKED_BUYER_EMAIL: Final = "lin+games@example.com"
"""The address that paid."""
LINKED_BUYER_OTHER_EMAIL: Final = "lin@example.com"
"""Linked to the address that paid."""
UNCLAIMED_KEY_EMAIL: Final = "gift@example.com"
"""A key was sent here; no account has this address."""

_SELLER: Final = Account(SELLER_ID, "leafo", "Leaf", ("seller@example.com",), developer=True)
_FOREIGN_SELLER: Final = Account(FOREIGN_SELLER_ID, "fay", "Fay", ("fay@example.com",), developer=True)

ACCOUNTS: Final = (
    _SELLER,
    Account(OWNER_ID, "amos", "Amos", (OWNER_EMAIL,)),
    Account(BUYER_ID, "bea", "Bea", (BUYER_EMAIL,)),
    Account(BUNDLE_BUYER_ID, "bo", "Bo", (BUNDLE_BUYER_EMAIL,)),
    Account(WEB_BUYER_ID, "wes", "Wes", (WEB_BUYER_EMAIL,)),
    Account(SUB_PRODUCT_BUYER_ID, "sue", "Süe", (SUB_PRODUCT_BUYER_EMAIL,)),
    Account(REFUNDED_ID, "rex", "Rex", ("rex@example.com",)),
    Account(PRESS_ID, "pia", "Pia / The Daily", ("pia@example.com",), press=True),
    Account(STRANGER_ID, "nia", None, (STRANGER_EMAIL,)),
    Account(OTHER_GAME_OWNER_ID, "oli", "Oli", ("oli@example.com",)),
    Account(LINKED_BUYER_ID, "lin", "Lin", (LINKED_BUYER_OTHER_EMAIL, LINKED_BUYER_EMAIL)),
    Account(SHORT_KEY_OWNER_ID, "kim", "Kim", ("kim@example.com",)),
    _FOREIGN_SELLER,
)

_LATER: Final = datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)

GAMES: Final = (
    Game(
        GAME_ID,
        "x-moon",
        "X-Moon",
        SELLER_ID,
        "Humans have been colonizing planets. It's time to stop them!",
        LAUNCH,
        min_price_cents=100,
        earned_cents=5047,
    ),
    Game(OTHER_GAME_ID, "sun-garden", "Sun Garden", SELLER_ID, "Water the sun.", _LATER, min_price_cents=0),
    Game(FOREIGN_GAME_ID, "far-shore", "Far Shore", FOREIGN_SELLER_ID, "Row.", LAUNCH, min_price_cents=500),
)

KEYS: Final = (
    KeyRecord(
        id=124, text=OWNER_KEY, game_id=GAME_ID, created_at=_LATER, owner_id=OWNER_ID, email=OWNER_EMAIL, downloads=74
    ),
    KeyRecord(id=125, text=SHORT_KEY, game_id=GAME_ID, created_at=_LATER, owner_id=SHORT_KEY_OWNER_ID, downloads=1),
    KeyRecord(id=126, text=MEDIUM_KEY, game_id=GAME_ID, created_at=_LATER, owner_id=SHORT_KEY_OWNER_ID),
    KeyRecord(id=127, text=UNCLAIMED_KEY, game_id=GAME_ID, created_at=_LATER, email=UNCLAIMED_KEY_EMAIL),
    KeyRecord(
        id=128,
        text=REVOKED_KEY,
        game_id=GAME_ID,
        created_at=_LATER,
        owner_id=REFUNDED_ID,
        purchase_id=11566,
        revoked=True,
    ),
    KeyRecord(id=129, text=OTHER_GAME_KEY, game_id=OTHER_GAME_ID, created_at=_LATER, owner_id=OTHER_GAME_OWNER_ID),
    KeyRecord(
        id=130,
        text="sandbox-far-shore-key-00000000000000005x",
        game_id=FOREIGN_GAME_ID,
        created_at=_LATER,
        owner_id=OWNER_ID,
    ),
)

PURCHASES: Final = (
    Purchase(id=11561, game_ids=(GAME_ID,), email=BUYER_EMAIL, created_at=_LATER),
    Purchase(
        id=11562,
        game_ids=(GAME_ID, OTHER_GAME_ID),
        email=BUNDLE_BUYER_EMAIL,
        created_at=_LATER,
        kind=PurchaseKind.BUNDLE,
        price="$5.00",
    ),
    Purchase(id=11563, game_ids=(GAME_ID,), email=WEB_BUYER_EMAIL, created_at=_LATER, donation=True),
    Purchase(
        id=11564, game_ids=(GAME_ID,), email=SUB_PRODUCT_BUYER_EMAIL, created_at=_LATER, kind=PurchaseKind.SUB_PRODUCT
    ),
    Purchase(id=11565, game_ids=(GAME_ID,), email=LINKED_BUYER_EMAIL, created_at=_LATER, price="€2.00"),
    Purchase(id=11566, game_ids=(GAME_ID,), email="rex@example.com", created_at=_LATER, refunded=True),
)

WORLD: Final = WorldContent(
    seller_id=SELLER_ID,
    accounts=ACCOUNTS,
    games=GAMES,
    keys=KEYS,
    purchases=PURCHASES,
)


MintJwt = Callable[[int, timedelta], MintedJwt]
_WEEK = timedelta(days=7)


class Example(Struct, frozen=True):
    """A question for the gateway: POST `body` to `path`. It holds while nothing in the world was changed."""

    about: str
    path: str
    body: dict[str, str | int]
    reason: Reason


def examples(mint: MintJwt) -> list[Example]:
    """Return an example of every kind, with JWTs signed just now."""
    return [*_keys(), *_jwts(mint), *_emails(), *_users()]


def _keys() -> list[Example]:
    def example(about: str, key: str, reason: Reason) -> Example:
        return Example(about, "/verify/download-key", {"game": GAME_ID, "download_key": key}, reason)

    return [
        example("the key of an owner, claimed by user 1994", OWNER_KEY, Reason.DOWNLOAD_KEY),
        example("a key of 18 characters", SHORT_KEY, Reason.DOWNLOAD_KEY),
        example("a key of 20 characters", MEDIUM_KEY, Reason.DOWNLOAD_KEY),
        example("a key that nobody has claimed: no player", UNCLAIMED_KEY, Reason.DOWNLOAD_KEY),
        example("a revoked key", REVOKED_KEY, Reason.INVALID_DOWNLOAD_KEY),
        example("a key for another game", OTHER_GAME_KEY, Reason.INVALID_DOWNLOAD_KEY),
    ]


def _jwts(mint: MintJwt) -> list[Example]:
    def example(about: str, user_id: int, reason: Reason, lifetime: timedelta = _WEEK) -> Example:
        body: dict[str, str | int] = {"game": GAME_ID, "jwt": mint(user_id, lifetime).jwt}
        return Example(about, "/verify/jwt", body, reason)

    return [
        example("the owner's JWT", OWNER_ID, Reason.DOWNLOAD_KEY),
        example("the JWT of somebody who owns nothing", STRANGER_ID, Reason.NO_DOWNLOAD_KEY),
        example("the developer's own JWT", SELLER_ID, Reason.SELLER_ACCOUNT),
        example(
            "the JWT of a press account; let in where the game has grant_press",
            PRESS_ID,
            Reason.NO_DOWNLOAD_KEY,
        ),
        example("an expired JWT", OWNER_ID, Reason.EXPIRED_JWT, timedelta(seconds=-1)),
    ]


def _emails() -> list[Example]:
    def example(about: str, email: str, reason: Reason) -> Example:
        return Example(about, "/verify/email", {"game": GAME_ID, "email": email}, reason)

    return [
        example("the address of a buyer", BUYER_EMAIL, Reason.PURCHASE),
        example(
            "an address linked to the one that paid, lin+games@example.com",
            LINKED_BUYER_OTHER_EMAIL,
            Reason.PURCHASE,
        ),
        example("the address that a key was sent to", UNCLAIMED_KEY_EMAIL, Reason.DOWNLOAD_KEY),
        example(
            "an owner's address, which itch.io does not find once the key is claimed",
            OWNER_EMAIL,
            Reason.NO_DOWNLOAD_KEY,
        ),
        example("the address of somebody who owns nothing", STRANGER_EMAIL, Reason.NO_DOWNLOAD_KEY),
    ]


def _users() -> list[Example]:
    def example(about: str, user_id: int, reason: Reason) -> Example:
        return Example(about, "/verify/user", {"game": GAME_ID, "user_id": user_id}, reason)

    return [
        example("an owner", OWNER_ID, Reason.DOWNLOAD_KEY),
        example("a buyer without a key", BUYER_ID, Reason.PURCHASE),
        example("the buyer of a large bundle, without a key", BUNDLE_BUYER_ID, Reason.BUNDLE_PURCHASE),
        example(
            "paid for the web game; owned where the game accepts web_purchase",
            WEB_BUYER_ID,
            Reason.NO_DOWNLOAD_KEY,
        ),
        example("bought only a sub-product", SUB_PRODUCT_BUYER_ID, Reason.NO_DOWNLOAD_KEY),
        example("got the money back", REFUNDED_ID, Reason.NO_DOWNLOAD_KEY),
        example("owns only the other game", OTHER_GAME_OWNER_ID, Reason.NO_DOWNLOAD_KEY),
        example("owns nothing", STRANGER_ID, Reason.NO_DOWNLOAD_KEY),
    ]
