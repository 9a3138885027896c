"""The fields that are expected in itch.io's answers: those that are read, and those that are known beside them.

Of its documentation and clients (docs/itch.md); `needed` are those that the code cannot do without.
"""

from collections.abc import Mapping
from typing import Final

from service.cli.recording.differences import Api, Expected, Kind
from service.itch.dialect import Dialect

_TEXT: Final = Expected((Kind.TEXT,))
_INTEGER: Final = Expected((Kind.INTEGER,))
_BOOLEAN: Final = Expected((Kind.BOOLEAN,))
_DATE: Final = Expected((Kind.DATE,))
_LIST: Final = Expected((Kind.LIST,))
_ID: Final = Expected((Kind.INTEGER,), needed=True)

_USER: Final[Mapping[str, Expected]] = {
    "id": _ID,
    "username": _TEXT,
    "display_name": _TEXT,
    "url": _TEXT,
    "cover_url": _TEXT,
    "developer": _BOOLEAN,
    "gamer": _BOOLEAN,
    "press_user": _BOOLEAN,
}
_GAME: Final[Mapping[str, Expected]] = {
    "id": _ID,
    "title": _TEXT,
    "url": Expected((Kind.TEXT,), needed=True),
    "short_text": _TEXT,
    "type": _TEXT,
    "cover_url": _TEXT,
    "created_at": _DATE,
    "published_at": _DATE,
    "published": _BOOLEAN,
    "min_price": _INTEGER,
    "downloads_count": _INTEGER,
    "purchases_count": _INTEGER,
    "views_count": _INTEGER,
    "earnings": _LIST,
}
_KEY: Final[Mapping[str, Expected]] = {
    "id": _INTEGER,
    "key": Expected((Kind.TEXT,), needed=True),
    "game_id": _ID,
    "created_at": _DATE,
    "downloads": _INTEGER,
    "owner": Expected((Kind.OBJECT,), fields=_USER),
}
_PURCHASE: Final[Mapping[str, Expected]] = {
    "id": _INTEGER,
    "game_id": Expected((Kind.INTEGER, Kind.LIST), needed=True),
    "email": _TEXT,
    "created_at": _DATE,
    "donation": _BOOLEAN,
    "source": _TEXT,
    "currency": _TEXT,
    "price": _TEXT,
    "sale_rate": _INTEGER,
}
_ONLY_CURRENT_GAME: Final = {"classification": _TEXT, "platforms": Expected((Kind.OBJECT,))}
_ONLY_OLD_GAME: Final = dict.fromkeys(["p_windows", "p_linux", "p_osx", "p_android"], _BOOLEAN)
_ONLY_CURRENT_PURCHASE: Final = dict.fromkeys(["purchase_type", "status"], Expected((Kind.TEXT,), needed=True))


def _fields(game: Mapping[str, Expected], purchase: Mapping[str, Expected]) -> Mapping[str, Mapping[str, Expected]]:
    profile = {"user": Expected((Kind.OBJECT,), needed=True, fields=_USER)}
    games = {"games": Expected((Kind.LIST,), needed=True, fields=game)}
    return {
        "profile": profile,
        "me": profile,
        "games": games,
        "my-games": games,
        "info": {"scopes": Expected((Kind.LIST,), needed=True), "expires_at": _DATE, "type": _TEXT},
        "download_keys": {"download_key": Expected((Kind.OBJECT,), needed=True, fields=_KEY)},
        "purchases": {"purchases": Expected((Kind.LIST,), needed=True, fields=purchase)},
        "latest": {"latest": _TEXT},
        "ownership": {"owns": Expected((Kind.BOOLEAN,), needed=True)},
    }


ITCH_API: Final[Mapping[Dialect, Api]] = {
    Dialect.CURRENT: Api(
        _fields({**_GAME, **_ONLY_CURRENT_GAME}, {**_PURCHASE, **_ONLY_CURRENT_PURCHASE}),
        date_sample="2014-02-28T00:25:09.000000000Z",
        errors_have_status_200=False,
    ),
    Dialect.SERVER_SIDE: Api(
        _fields({**_GAME, **_ONLY_OLD_GAME}, _PURCHASE),
        date_sample="2014-02-28 00:25:09",
        errors_have_status_200=True,
    ),
}
