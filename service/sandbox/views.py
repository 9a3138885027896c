"""What itch.io shows of accounts, games, keys and purchases. What is absent is left out, never null."""

from service.sandbox.records import Account, Game, KeyRecord, Purchase, PurchaseKind
from service.sandbox.wire import Dialect, Json, listed

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


def show_game(game: Game, dialect: Dialect, *, purchases: int) -> Json:
    """Show a game to its seller."""
    earnings: list[Json] = []
    if game.earned_cents:
        formatted = f"${game.earned_cents / 100:.2f}"
        earnings.append({"currency": "USD", "amount": game.earned_cents, "amount_formatted": formatted})
    shown: dict[str, Json] = {
        "id": game.id,
        "title": game.title,
        "url": game.url,
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
    if dialect is Dialect.CURRENT:
        return shown | {"classification": "game", "platforms": {"windows": "all", "linux": "all"}}
    return shown | {"p_windows": True, "p_linux": True, "p_osx": False, "p_android": False}


def show_key(key: KeyRecord, owner: Account | None, dialect: Dialect) -> Json:
    """Show a download key; one that nobody has claimed has no owner."""
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


def show_purchase(purchase: Purchase, dialect: Dialect) -> Json:
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
    if dialect is Dialect.CURRENT:
        return shown | {"purchase_type": purchase.kind.value, "status": "complete"}
    return shown
