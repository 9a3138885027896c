"""Those who ask and those who are asked about: callers with their limits, and players with their credentials."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from service.sandbox import seed
from tests.gateways import caller_lines
from tests.reliability.store import subject_of

GAMES: Final = (seed.GAME_ID, seed.OTHER_GAME_ID)
TOML: Final = "\n[games.x-moon]\nid = 3\n{bans}\n[games.sun-garden]\nid = 4\n"


RIGHTS: Final = '["verify", "assert:user", "assert:email", "admin", "pass"]'


class GameServer(Struct, frozen=True):
    """A caller, with the limits that the operator gave it."""

    name: str
    rate: float
    failed_keys: int

    @property
    def token(self) -> str:
        """Its token."""
        return f"ogw_{hashlib.sha256(self.name.encode()).hexdigest()}"

    @property
    def toml(self) -> str:
        """Its lines of the configuration."""
        limits = {"rate": str(self.rate), "failed_keys_per_minute": str(self.failed_keys)}
        return caller_lines(self.name, self.token, rights=RIGHTS, **limits)


STUDIO: Final = GameServer("studio", rate=100.0, failed_keys=20)
ARCADE: Final = GameServer("arcade", rate=100.0, failed_keys=20)
OPERATOR: Final = GameServer("operator", rate=100_000.0, failed_keys=100_000)
GAME_SERVERS: Final = (STUDIO, ARCADE, OPERATOR)


class Presented(Struct, frozen=True):
    """A credential for a game, the subject that it comes down to, and the account behind it where that is known."""

    method: str
    field: str
    credential: str | int
    subject: str
    account: int | None = None
    expires_at: datetime | None = None
    game: int = seed.GAME_ID

    @property
    def path(self) -> str:
        """The path to ask about it."""
        return f"/verify/{self.method.replace('_', '-')}"

    @property
    def proves_itself(self) -> bool:
        """Whether it could be guessed or forged, so that callers have only so many tries."""
        return self.method in ("download_key", "jwt")


def by_key(text: str, *, owner: int | None = None, game: int = seed.GAME_ID) -> Presented:
    """Present a download key."""
    return Presented("download_key", "download_key", text, subject_of(game, "download_key", text), owner, game=game)


def by_user(account: int, *, game: int = seed.GAME_ID) -> Presented:
    """Present a user that the caller has authenticated."""
    return Presented("user", "user_id", account, subject_of(game, "user_id", account), account, game=game)


def by_email(address: str, *, game: int = seed.GAME_ID) -> Presented:
    """Present an address that the caller has verified."""
    return Presented("email", "email", address, subject_of(game, "email", address), game=game)


def by_jwt(jwt: str, *, account: int, expires_at: datetime, game: int = seed.GAME_ID) -> Presented:
    """Present a JWT of an account."""
    return Presented("jwt", "jwt", jwt, subject_of(game, "user_id", account), account, expires_at, game)


class Asked(Struct, frozen=True):
    """A question of a caller, perhaps one `over_its_rate`, and when it was asked."""

    presented: Presented
    at: datetime
    max_age: timedelta | None = None
    only_if_cached: bool = False
    caller: GameServer = OPERATOR
    over_its_rate: bool = False
