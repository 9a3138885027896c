"""The two forms of one API: its paths and its dates. See docs/itch.md."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from service.ownership import GameId


class Endpoint(StrEnum):
    """The store's endpoints."""

    PROFILE = "profile"
    GAMES = "games"
    CREDENTIALS = "credentials"
    DOWNLOAD_KEYS = "download_keys"
    PURCHASES = "purchases"
    LATEST = "latest"
    """The newest version of a channel, which the store tells everyone."""
    UPLOADS = "uploads"
    """The files of a game, which the store lists in full for its seller."""
    OWNERSHIP = "ownership"
    """Whether the player owns a game, which the store tells the game's own application."""


class Bearer(StrEnum):
    """The owner of the credential that a request carries."""

    SELLER = "seller"
    PLAYER = "player"
    APPLICATION = "application"
    """A player has given an application an access token."""
    NOBODY = "nobody"
    """The request carries no credential."""


class Dialect(StrEnum):
    """`current` is api.itch.io, `server-side` the older documented API below itch.io/api/1."""

    CURRENT = "current"
    SERVER_SIDE = "server-side"

    def path(self, endpoint: Endpoint, bearer: Bearer, game_id: GameId | None = None) -> str:
        """Return the path below the base URL. Only numbers are ever put into it, and never a credential."""
        game = "" if game_id is None else str(int(game_id))
        if self is Dialect.CURRENT:
            return _CURRENT[endpoint].format(game=game)
        return f"/{_IN_PLACE_OF[bearer]}{_SERVER_SIDE[endpoint].format(game=game)}"


_CURRENT: Final[Mapping[Endpoint, str]] = {
    Endpoint.PROFILE: "/profile",
    Endpoint.GAMES: "/profile/games",
    Endpoint.CREDENTIALS: "/credentials/info",
    Endpoint.DOWNLOAD_KEYS: "/games/{game}/download_keys",
    Endpoint.PURCHASES: "/games/{game}/purchases",
    Endpoint.LATEST: "/wharf/latest",
    Endpoint.UPLOADS: "/games/{game}/uploads",
    Endpoint.OWNERSHIP: "/games/{game}/ownership",
}
_SERVER_SIDE: Final[Mapping[Endpoint, str]] = {
    Endpoint.PROFILE: "/me",
    Endpoint.GAMES: "/my-games",
    Endpoint.CREDENTIALS: "/credentials/info",
    Endpoint.DOWNLOAD_KEYS: "/game/{game}/download_keys",
    Endpoint.PURCHASES: "/game/{game}/purchases",
    Endpoint.LATEST: "/wharf/latest",
    Endpoint.UPLOADS: "/game/{game}/uploads",
}
_IN_PLACE_OF: Final[Mapping[Bearer, str]] = {Bearer.SELLER: "key", Bearer.PLAYER: "jwt", Bearer.NOBODY: "x"}
"""The word that stands where old clients put the credential itself, which then shows up in logs."""

_DATE: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,12}))?(?P<zone>Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)


def read_date(value: object) -> datetime | None:
    """Return the instant in UTC, of either dialect's form; None for anything else.

    `current` writes RFC 3339 with nine fractional digits and `Z`, `server-side` writes `YYYY-MM-DD HH:MM:SS` without a
    zone, which is UTC.
    """
    if not isinstance(value, str) or (match := _DATE.fullmatch(value)) is None:
        return None
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    zone = "+00:00" if match["zone"] in (None, "Z") else match["zone"]
    try:
        return datetime.fromisoformat(f"{match['day']}T{match['time']}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
