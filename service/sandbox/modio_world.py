"""The mod.io of the sandbox: users with their tokens, games, mods, and which user has bought which.

A refund takes a purchase away; hiding or archiving a mod takes it from no buyer.
"""

import base64
from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Struct

GAME_ID: Final = 264
"""The number that X-Moon has at mod.io."""
OTHER_GAME_ID: Final = 265
"""The game of another studio."""

BUYER_ID: Final = 71104
COLLECTOR_ID: Final = 71105
NEWCOMER_ID: Final = 71106
CREATOR_ID: Final = 71107
REFUNDED_ID: Final = 71108
BANNED_ID: Final = 71109
DELETED_ID: Final = 71110

PLAIN_MOD, HIDDEN_MOD, ARCHIVED_MOD, DEARER_MOD, OTHER_GAMES_MOD = 11, 12, 13, 14, 21
COLLECTED: Final = range(1000, 1250)


class UserStatus(IntEnum):
    """The status of an account, by mod.io's numbers."""

    CONFIRMED = 1
    DELETED = 3
    BANNED = 4


class ModioMod(Struct, frozen=True):
    """A premium mod."""

    id: int
    game_id: int = GAME_ID
    creator_id: int = CREATOR_ID
    price: int = 500
    visible: bool = True
    archived: bool = False


class ModioUser(Struct, frozen=True):
    """A user and the mods that the user has bought and not given back."""

    id: int
    name: str
    bought: tuple[int, ...] = ()
    status: UserStatus = UserStatus.CONFIRMED


class ModioGrant(Struct, frozen=True):
    """The power that a token gives."""

    user_id: int
    may_read: bool = True
    expired: bool = False


def token_of(user_id: int, *, use: str = "play") -> str:
    """Return the token of a user: the outside of a JWT, that no key has signed."""
    parts = ({"alg": "RS256", "typ": "JWT"}, {"sub": str(user_id), "use": use})
    encoded = [base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2FuZGJveA"])


USERS: Final = {
    user.id: user
    for user in (
        ModioUser(BUYER_ID, "buyer", (PLAIN_MOD, HIDDEN_MOD, ARCHIVED_MOD, OTHER_GAMES_MOD)),
        ModioUser(COLLECTOR_ID, "collector", tuple(COLLECTED)),
        ModioUser(NEWCOMER_ID, "newcomer"),
        ModioUser(CREATOR_ID, "creator"),
        ModioUser(REFUNDED_ID, "refunded"),
        ModioUser(BANNED_ID, "banned", (PLAIN_MOD,), UserStatus.BANNED),
        ModioUser(DELETED_ID, "deleted", (PLAIN_MOD,), UserStatus.DELETED),
    )
}
MODS: Final = {
    mod.id: mod
    for mod in (
        ModioMod(PLAIN_MOD),
        ModioMod(HIDDEN_MOD, visible=False),
        ModioMod(ARCHIVED_MOD, archived=True),
        ModioMod(DEARER_MOD, price=2000),
        ModioMod(OTHER_GAMES_MOD, game_id=OTHER_GAME_ID, creator_id=NEWCOMER_ID),
        *(ModioMod(number) for number in COLLECTED),
    )
}
EXPIRED_TOKEN: Final = token_of(BUYER_ID, use="expired")
SCOPELESS_TOKEN: Final = token_of(BUYER_ID, use="write")
GRANTS: Final = {token_of(user_id): ModioGrant(user_id) for user_id in USERS} | {
    EXPIRED_TOKEN: ModioGrant(BUYER_ID, expired=True),
    SCOPELESS_TOKEN: ModioGrant(BUYER_ID, may_read=False),
}
