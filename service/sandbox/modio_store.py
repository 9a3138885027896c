"""The answers of the sandbox's mod.io, below `/modio/v1`: a pure step from a request to an answer.

Errors have mod.io's form and numbers; where its documentation names no status, the status here is our guess.
"""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from service.sandbox.modio_world import (
    GAME_ID,
    GRANTS,
    MODS,
    OTHER_GAME_ID,
    USERS,
    ModioMod,
    ModioUser,
    UserStatus,
)
from service.sandbox.store_answers import Json, SandboxAnswer, say
from service.sandbox.store_endpoints import StoreRequest

BELOW: Final = "/modio/v1/"
"""The beginning of the paths that are mod.io's."""

_LARGEST_PAGE: Final = 100
_GAME_NAMES: Final = {GAME_ID: "X-Moon", OTHER_GAME_ID: "Another Studio's"}
_GAME: Final = re.compile(r"games/([0-9]{1,16})")
_FILTER: Final = re.compile(r"(id|game_id|price)(-in|-not-in|-min|-max)?")
_ADMINS_FILTER: Final = re.compile(r"(status|visible)(-.*)?")
_NUMBERS: Final = re.compile(r"[0-9]{1,16}(,[0-9]{1,16})*")


class ModioRefusalError(Exception):
    """mod.io refuses: `error_ref` says why, the text is for people."""

    def __init__(self, error_ref: int, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.error_ref = error_ref
        self.status = status
        self.message = message


def answer_as_modio(request: StoreRequest, *, deny: bool = False) -> SandboxAnswer:
    """Answer a request as mod.io would; with `deny` no user has bought anything."""
    query = dict(request.query)
    try:
        if request.method != "GET":
            raise ModioRefusalError(14000, HTTPStatus.METHOD_NOT_ALLOWED, "There is no such method here.")
        return say(_content(request.path.removeprefix(BELOW).strip("/"), request.authorization, query, deny=deny))
    except ModioRefusalError as refusal:
        error: Json = {"code": int(refusal.status), "error_ref": refusal.error_ref, "message": refusal.message}
        return say({"error": error}, status=refusal.status)


def _content(path: str, authorization: str | None, query: dict[str, str], *, deny: bool) -> dict[str, Json]:
    if path == "ping":
        return {"code": 200, "success": True, "message": "OK"}
    if game := _GAME.fullmatch(path):
        if authorization is None:
            _require_key(query)
        return _show_game(int(game[1]))
    match path:
        case "me":
            return _show_user(_user(authorization, query))
        case "me/purchased":
            user = _user(authorization, query)
            return _list((MODS[number] for number in user.bought if not deny), query)
        case "me/mods":
            user = _user(authorization, query)
            return _list((mod for mod in MODS.values() if mod.creator_id == user.id), query)
        case _:
            raise ModioRefusalError(14000, HTTPStatus.NOT_FOUND, "The resource was not found.")


def _require_key(query: dict[str, str]) -> None:
    if "api_key" not in query:
        raise ModioRefusalError(11000, HTTPStatus.UNAUTHORIZED, "There is no API key.")


def _user(authorization: str | None, query: dict[str, str]) -> ModioUser:
    """Return whose the token is."""
    if authorization is None:
        _require_key(query)
    scheme, _, token = (authorization or "").partition(" ")
    grant = GRANTS.get(token.strip()) if scheme.lower() == "bearer" else None
    if grant is None or grant.expired:
        raise ModioRefusalError(11005, HTTPStatus.UNAUTHORIZED, "The access token is missing, revoked or expired.")
    if not grant.may_read:
        raise ModioRefusalError(11004, HTTPStatus.FORBIDDEN, "The access token may not read.")
    user = USERS[grant.user_id]
    if user.status is UserStatus.DELETED:
        raise ModioRefusalError(11006, HTTPStatus.FORBIDDEN, "The account is deleted.")
    if user.status is UserStatus.BANNED:
        raise ModioRefusalError(11007, HTTPStatus.FORBIDDEN, "The account is banned.")
    return user


def _list(mods: Iterable[ModioMod], query: dict[str, str]) -> dict[str, Json]:
    """Return a page of the mods that the filters leave; an empty list is `[]`."""
    left = [mod for mod in mods if all(keeps(mod) for keeps in _filters(query))]
    limit = min(_number(query, "_limit", _LARGEST_PAGE), _LARGEST_PAGE)
    offset = _number(query, "_offset", 0)
    rows = [_show_mod(mod) for mod in left[offset : offset + limit]]
    return {
        "data": rows,
        "result_count": len(rows),
        "result_offset": offset,
        "result_limit": limit,
        "result_total": len(left),
    }


def _filters(query: dict[str, str]) -> list[Callable[[ModioMod], bool]]:
    if any(_ADMINS_FILTER.fullmatch(name) for name in query):
        raise ModioRefusalError(15025, HTTPStatus.FORBIDDEN, "Only admins of the game may filter by that.")
    return [_filter(found[1], found[2] or "", query[name]) for name in query if (found := _FILTER.fullmatch(name))]


def _filter(field: str, kind: str, text: str) -> Callable[[ModioMod], bool]:
    if not _NUMBERS.fullmatch(text):
        raise ModioRefusalError(13009, HTTPStatus.UNPROCESSABLE_ENTITY, f"{field} is wrong.")
    numbers = [int(number) for number in text.split(",")]

    def keeps(mod: ModioMod) -> bool:
        value: int = getattr(mod, field)
        match kind:
            case "-not-in":
                return value not in numbers
            case "-min":
                return value >= numbers[0]
            case "-max":
                return value <= numbers[0]
            case _:
                return value in numbers

    return keeps


def _number(query: dict[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not _NUMBERS.fullmatch(text) or "," in text:
        raise ModioRefusalError(13009, HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is wrong.")
    return int(text)


def _show_game(number: int) -> dict[str, Json]:
    name = _GAME_NAMES.get(number)
    if name is None:
        # The documentation promises 14001; 14000 is what has been seen.
        raise ModioRefusalError(14000, HTTPStatus.NOT_FOUND, "The resource was not found.")
    return {
        "id": number,
        "status": 1,
        "name": name,
        "name_id": name.lower().replace(" ", "-"),
        "monetization_options": 3,
        "summary": "A game of the sandbox.",
        "profile_url": f"https://mod.io/g/{number}",
    }


def _show_user(user: ModioUser) -> dict[str, Json]:
    return {
        "id": user.id,
        "name_id": user.name,
        "username": user.name.title(),
        "display_name_portal": "",
        "date_online": 1_795_000_000,
        "date_joined": 1_600_000_000,
        "avatar": {"filename": "", "original": "", "thumb_50x50": "", "thumb_100x100": ""},
        "timezone": "",
        "language": "",
        "privacy_options": 0,
        "status": int(user.status),
        "monetization_status": 0,
        "profile_url": f"https://mod.io/u/{user.name}",
    }


def _show_mod(mod: ModioMod) -> dict[str, Json]:
    """Return a Mod Object; the gateway reads its two ids, and must bear the rest."""
    return {
        "id": mod.id,
        "game_id": mod.game_id,
        "status": 3 if mod.archived else 1,
        "visible": 1 if mod.visible else 0,
        "submitted_by": _show_user(USERS[mod.creator_id]),
        "date_added": 1_700_000_000,
        "date_updated": 1_700_000_000,
        "date_live": 1_700_000_000,
        "maturity_option": 0,
        "community_options": 0,
        "monetization_options": 3,
        "credit_options": 0,
        "price": mod.price,
        "tax": 0,
        "logo": {"filename": "logo.png", "original": "", "thumb_320x180": "", "thumb_640x360": ""},
        "homepage_url": "",
        "name": f"Mod {mod.id}",
        "name_id": f"mod-{mod.id}",
        "summary": "A mod of the sandbox.",
        "description": "<p>A mod of the sandbox.</p>",
        "description_plaintext": "A mod of the sandbox.",
        "metadata_blob": "",
        "profile_url": f"https://mod.io/g/{mod.game_id}/m/mod-{mod.id}",
        "media": {"youtube": [], "sketchfab": [], "images": []},
        "modfile": {"id": mod.id, "mod_id": mod.id, "filesize": 15181, "version": "1.0", "metadata_blob": ""},
        "dependencies": False,
        "platforms": [],
        "metadata_kvp": [],
        "tags": [],
        "stats": {"mod_id": mod.id, "downloads_total": 0, "subscribers_total": 0},
    }
