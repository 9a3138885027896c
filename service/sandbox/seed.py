"""The world as every sandbox starts: fixed, so that what the documentation prints stays true.

None of it is anybody's: the keys open nothing, the addresses are reserved for examples (RFC 2606).
"""

from datetime import UTC, datetime
from typing import Final

from service.sandbox.records import Account, Game, KeyRecord, Purchase, PurchaseKind, WorldContent

SELLER_KEY: Final = "sandbox-seller-key-not-a-real-one"
SECOND_SELLER_KEY: Final = "sandbox-second-seller-key-not-a-real-one"
"""Works beside the first one, as during a rotation."""

GAME_ID: Final = 3
OTHER_GAME_ID: Final = 4
FOREIGN_GAME_ID: Final = 5
"""Somebody else's game: the seller's key cannot see it."""

SELLER_ID: Final = 29789
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

_LAUNCH: Final = datetime(2013, 3, 3, 23, 2, 14, tzinfo=UTC)
_LATER: Final = datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)

GAMES: Final = (
    Game(
        GAME_ID,
        "x-moon",
        "X-Moon",
        _SELLER,
        "Humans have been colonizing planets. It's time to stop them!",
        _LAUNCH,
        min_price_cents=100,
        earned_cents=5047,
    ),
    Game(OTHER_GAME_ID, "sun-garden", "Sun Garden", _SELLER, "Water the sun.", _LATER, min_price_cents=0),
    Game(FOREIGN_GAME_ID, "far-shore", "Far Shore", _FOREIGN_SELLER, "Row.", _LAUNCH, min_price_cents=500),
)

KEYS: Final = (
    KeyRecord(124, OWNER_KEY, GAME_ID, _LATER, owner_id=OWNER_ID, email=OWNER_EMAIL, downloads=74),
    KeyRecord(125, SHORT_KEY, GAME_ID, _LATER, owner_id=SHORT_KEY_OWNER_ID, downloads=1),
    KeyRecord(126, MEDIUM_KEY, GAME_ID, _LATER, owner_id=SHORT_KEY_OWNER_ID),
    KeyRecord(127, UNCLAIMED_KEY, GAME_ID, _LATER, email=UNCLAIMED_KEY_EMAIL),
    KeyRecord(128, REVOKED_KEY, GAME_ID, _LATER, owner_id=REFUNDED_ID, purchase_id=11566, revoked=True),
    KeyRecord(129, OTHER_GAME_KEY, OTHER_GAME_ID, _LATER, owner_id=OTHER_GAME_OWNER_ID),
    KeyRecord(130, "sandbox-far-shore-key-00000000000000005x", FOREIGN_GAME_ID, _LATER, owner_id=OWNER_ID),
)

PURCHASES: Final = (
    Purchase(11561, (GAME_ID,), BUYER_EMAIL, _LATER),
    Purchase(
        11562,
        (GAME_ID, OTHER_GAME_ID),
        BUNDLE_BUYER_EMAIL,
        _LATER,
        kind=PurchaseKind.BUNDLE,
        price="$5.00",
    ),
    Purchase(11563, (GAME_ID,), WEB_BUYER_EMAIL, _LATER, donation=True),
    Purchase(11564, (GAME_ID,), SUB_PRODUCT_BUYER_EMAIL, _LATER, kind=PurchaseKind.SUB_PRODUCT),
    Purchase(11565, (GAME_ID,), LINKED_BUYER_EMAIL, _LATER, price="€2.00"),
    Purchase(11566, (GAME_ID,), "rex@example.com", _LATER, refunded=True),
)

WORLD: Final = WorldContent(
    seller_id=SELLER_ID,
    seller_keys=(SELLER_KEY, SECOND_SELLER_KEY),
    accounts=ACCOUNTS,
    games=GAMES,
    keys=KEYS,
    purchases=PURCHASES,
)
