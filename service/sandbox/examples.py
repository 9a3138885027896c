"""Ready-to-use credentials: one of each kind that the seeded world holds, with what to expect of it."""

from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct

from service.ownership import Reason
from service.sandbox import seed
from service.sandbox.jwts import MintedJwt

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
        return Example(about, "/verify/download-key", {"game": seed.GAME_ID, "download_key": key}, reason)

    return [
        example("the key of an owner, claimed by user 1994", seed.OWNER_KEY, Reason.DOWNLOAD_KEY),
        example("a key of 18 characters", seed.SHORT_KEY, Reason.DOWNLOAD_KEY),
        example("a key of 20 characters", seed.MEDIUM_KEY, Reason.DOWNLOAD_KEY),
        example("a key that nobody has claimed: no player", seed.UNCLAIMED_KEY, Reason.DOWNLOAD_KEY),
        example("a revoked key", seed.REVOKED_KEY, Reason.INVALID_DOWNLOAD_KEY),
        example("a key for another game", seed.OTHER_GAME_KEY, Reason.INVALID_DOWNLOAD_KEY),
    ]


def _jwts(mint: MintJwt) -> list[Example]:
    def example(about: str, user_id: int, reason: Reason, lifetime: timedelta = _WEEK) -> Example:
        body: dict[str, str | int] = {"game": seed.GAME_ID, "jwt": mint(user_id, lifetime).jwt}
        return Example(about, "/verify/jwt", body, reason)

    return [
        example("the owner's JWT", seed.OWNER_ID, Reason.DOWNLOAD_KEY),
        example("the JWT of somebody who owns nothing", seed.STRANGER_ID, Reason.NO_DOWNLOAD_KEY),
        example("the developer's own JWT", seed.SELLER_ID, Reason.SELLER_ACCOUNT),
        example(
            "the JWT of a press account; let in where the game has grant_press",
            seed.PRESS_ID,
            Reason.NO_DOWNLOAD_KEY,
        ),
        example("an expired JWT", seed.OWNER_ID, Reason.EXPIRED_JWT, timedelta(seconds=-1)),
    ]


def _emails() -> list[Example]:
    def example(about: str, email: str, reason: Reason) -> Example:
        return Example(about, "/verify/email", {"game": seed.GAME_ID, "email": email}, reason)

    return [
        example("the address of a buyer", seed.BUYER_EMAIL, Reason.PURCHASE),
        example(
            "an address linked to the one that paid, lin+games@example.com",
            seed.LINKED_BUYER_OTHER_EMAIL,
            Reason.PURCHASE,
        ),
        example("the address that a key was sent to", seed.UNCLAIMED_KEY_EMAIL, Reason.DOWNLOAD_KEY),
        example(
            "an owner's address, which itch.io does not find once the key is claimed",
            seed.OWNER_EMAIL,
            Reason.NO_DOWNLOAD_KEY,
        ),
        example("the address of somebody who owns nothing", seed.STRANGER_EMAIL, Reason.NO_DOWNLOAD_KEY),
    ]


def _users() -> list[Example]:
    def example(about: str, user_id: int, reason: Reason) -> Example:
        return Example(about, "/verify/user", {"game": seed.GAME_ID, "user_id": user_id}, reason)

    return [
        example("an owner", seed.OWNER_ID, Reason.DOWNLOAD_KEY),
        example("a buyer without a key", seed.BUYER_ID, Reason.PURCHASE),
        example("the buyer of a large bundle, without a key", seed.BUNDLE_BUYER_ID, Reason.BUNDLE_PURCHASE),
        example(
            "paid for the web game; owned where the game accepts web_purchase",
            seed.WEB_BUYER_ID,
            Reason.NO_DOWNLOAD_KEY,
        ),
        example("bought only a sub-product", seed.SUB_PRODUCT_BUYER_ID, Reason.NO_DOWNLOAD_KEY),
        example("got the money back", seed.REFUNDED_ID, Reason.NO_DOWNLOAD_KEY),
        example("owns only the other game", seed.OTHER_GAME_OWNER_ID, Reason.NO_DOWNLOAD_KEY),
        example("owns nothing", seed.STRANGER_ID, Reason.NO_DOWNLOAD_KEY),
    ]
