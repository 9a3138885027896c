"""Where the store's endpoints are, in both dialects."""

import re
from enum import Enum, StrEnum
from typing import Final

from msgspec import Struct

from service.sandbox.wire import Dialect


class Endpoint(StrEnum):
    """What can be asked of the store."""

    PROFILE = "profile"
    GAMES = "games"
    CREDENTIALS = "credentials"
    DOWNLOAD_KEYS = "download_keys"
    PURCHASES = "purchases"


class Expects(Enum):
    """Which credential an address is for."""

    EITHER = "either"
    KEY = "key"
    JWT = "jwt"
    IN_PATH = "in_path"


class Place(Struct, frozen=True):
    """An address of the store. `shown` is the path as it may be recorded: without a key that is part of it."""

    dialect: Dialect
    shown: str
    endpoint: Endpoint | None = None
    expects: Expects = Expects.EITHER
    game: str | None = None
    refused_version: str | None = None


_PLACES: Final = {
    Dialect.CURRENT: {
        "profile": Endpoint.PROFILE,
        "profile/games": Endpoint.GAMES,
        "credentials/info": Endpoint.CREDENTIALS,
    },
    Dialect.SERVER_SIDE: {
        "me": Endpoint.PROFILE,
        "my-games": Endpoint.GAMES,
        "credentials/info": Endpoint.CREDENTIALS,
    },
}
_GAME_PLACES: Final = {
    Dialect.CURRENT: re.compile(r"games/([^/]+)/(download_keys|purchases)"),
    Dialect.SERVER_SIDE: re.compile(r"game/([^/]+)/(download_keys|purchases)"),
}


def find_place(path: str) -> Place:
    """Return where a path leads; nowhere, where it has neither endpoint nor refused version."""
    path = path.strip("/")
    match path.split("/", 3):
        case ["api", version, credential, *rest]:
            return _find_server_side(version, credential, "".join(rest))
        case _:
            endpoint, game = _find_endpoint(Dialect.CURRENT, path)
            return Place(Dialect.CURRENT, f"/{path}", endpoint, Expects.EITHER, game)


def _find_server_side(version: str, credential: str, rest: str) -> Place:
    expects = {"key": Expects.KEY, "jwt": Expects.JWT}.get(credential, Expects.IN_PATH)
    shown = f"/api/{version}/{'***' if expects is Expects.IN_PATH else credential}/{rest}"
    if version != "1":
        return Place(Dialect.SERVER_SIDE, shown, refused_version=version)
    endpoint, game = _find_endpoint(Dialect.SERVER_SIDE, rest)
    return Place(Dialect.SERVER_SIDE, shown, endpoint, expects, game)


def _find_endpoint(dialect: Dialect, path: str) -> tuple[Endpoint | None, str | None]:
    if about_game := _GAME_PLACES[dialect].fullmatch(path):
        return Endpoint(about_game[2]), about_game[1]
    return _PLACES[dialect].get(path), None
