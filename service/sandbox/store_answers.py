"""The store's answers as itch.io writes them, in each of its two dialects. An absent field is left out, never null."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from service.sandbox.world_content import Account, Channel, Game, KeyRecord, Purchase, PurchaseKind

Json: TypeAlias = Mapping[str, "Json"] | Sequence["Json"] | str | int | bool


SANDBOX_HEADER: Final = "X-Sandbox"
SANDBOX_HEADER_VALUE: Final = "ownership-gateway"
"""On every answer of the sandbox, so that it is never taken for the store."""


class SandboxAnswer(Struct, frozen=True):
    """A whole HTTP answer, of the store's endpoints or of the control endpoints."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class StoreRefusalError(Exception):
    """The store refuses; the text is its error string, `status` the one that the current dialect sends with it."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class StoreDialect(Enum):
    """One of itch.io's two APIs."""

    CURRENT = "current"
    SERVER_SIDE = "server-side"

    def date(self, instant: datetime) -> str:
        """Write an instant: with nine fractional digits here, without even a zone there."""
        if self is StoreDialect.CURRENT:
            return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond:06d}000Z"
        return instant.strftime("%Y-%m-%d %H:%M:%S")

    def refuse(self, refusal: StoreRefusalError) -> SandboxAnswer:
        """Write an error: the older API sends all but an unknown address with status 200."""
        keeps_status = self is StoreDialect.CURRENT or refusal.status == 404  # noqa: PLR2004 - the status is its own name
        return say({"errors": [refusal.message]}, status=refusal.status if keeps_status else 200)


def listed(rows: Sequence[Json]) -> Json:
    """Return a list as itch.io writes it: an empty one is an empty object (itchio/itch.io #1301)."""
    return rows or {}


def say(content: Json, *, status: int = 200) -> SandboxAnswer:
    """Write JSON with escaped slashes, as itch.io does."""
    # Outside strings JSON has no slash, so every one of them may be escaped.
    return SandboxAnswer(status, msgspec.json.encode(content).replace(b"/", rb"\/"))


_COVER = "https://img.itch.zone/c2FuZGJveA==/315x250%23/cover.png"


def show_account(account: Account) -> Json:
    """Show an account, without its addresses."""
    shown: dict[str, Json] = {
        "id": account.id,
        "username": account.username,
        "url": account.url,
        "developer": account.developer,
        "gamer": True,
        "press_user": account.press,
    }
    if account.display_name is not None:
        shown["display_name"] = account.display_name
    return shown


def show_game(game: Game, dialect: StoreDialect, *, url: str, purchases: int) -> Json:
    """Show a game to its seller."""
    earnings: list[Json] = []
    if game.earned_cents:
        formatted = f"${game.earned_cents / 100:.2f}"
        earnings.append({"currency": "USD", "amount": game.earned_cents, "amount_formatted": formatted})
    shown: dict[str, Json] = {
        "id": game.id,
        "title": game.title,
        "url": url,
        "short_text": game.short_text,
        "type": "default",
        "cover_url": _COVER,
        "created_at": dialect.date(game.created_at),
        "published_at": dialect.date(game.created_at),
        "published": True,
        "min_price": game.min_price_cents,
        "downloads_count": 109,
        "purchases_count": purchases,
        "views_count": 2682,
        "earnings": listed(earnings),
    }
    if dialect is StoreDialect.CURRENT:
        return shown | {"classification": "game", "platforms": {"windows": "all", "linux": "all"}}
    return shown | {"p_windows": True, "p_linux": True, "p_osx": False, "p_android": False}


def show_key(key: KeyRecord, owner: Account | None, dialect: StoreDialect) -> Json:
    """Show a download key; an unclaimed one has no owner."""
    shown: dict[str, Json] = {
        "id": key.id,
        "key": key.text,
        "game_id": key.game_id,
        "created_at": dialect.date(key.created_at),
        "downloads": key.downloads,
    }
    if owner is not None:
        shown["owner"] = show_account(owner)
    return shown


def show_purchase(purchase: Purchase, dialect: StoreDialect) -> Json:
    """Show a purchase: of a bundle, `game_id` is the list of its games."""
    bundle = purchase.kind is PurchaseKind.BUNDLE
    shown: dict[str, Json] = {
        "id": purchase.id,
        "game_id": purchase.game_ids if bundle else purchase.game_ids[0],
        "email": purchase.email,
        "created_at": dialect.date(purchase.created_at),
        "donation": purchase.donation,
        "source": "stripe",
        "currency": "USD",
        "price": purchase.price,
        "sale_rate": 0,
    }
    if dialect is StoreDialect.CURRENT:
        return shown | {"purchase_type": purchase.kind.value, "status": "complete"}
    return shown


def show_upload(channel: Channel, number: int) -> Json:
    """Return the upload of a channel, the game's `number`, with its newest build: the sandbox knows no more of it."""
    upload_id = channel.game_id * 1000 + number
    build: dict[str, Json] = {"id": upload_id * 10, "upload_id": upload_id, "state": "completed", "version": 1}
    if channel.latest is not None:
        build["user_version"] = channel.latest
    return {
        "id": upload_id,
        "game_id": channel.game_id,
        "filename": f"{channel.channel}.zip",
        "storage": "build",
        "type": "default",
        "channel_name": channel.channel,
        "build_id": upload_id * 10,
        "build": build,
        "traits": {},
    }
