"""Everything an operator can set, as one frozen tree; the string under each field is its documentation."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from service.ownership import GameId
from service.secret import RedisUrl, SealingSecret, SellerKey
from service.settings.callers import CallerSettings
from service.settings.games import GameSettings
from service.settings.kinds import BaseUrl, ContactUrl, Host, Port


class Dialect(StrEnum):
    """Which of itch.io's two APIs is spoken."""

    CURRENT = "current"
    SERVER_SIDE = "server-side"


class LogLevel(StrEnum):
    """The least important events that are still logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    CONSOLE = "console"


DEFAULT_BASE_URLS: Final = {
    Dialect.CURRENT: "https://api.itch.io",
    Dialect.SERVER_SIDE: "https://itch.io/api/1",
}


class ItchSettings(Struct, frozen=True, kw_only=True):
    """How itch.io is asked."""

    api_key: SellerKey | None = None
    """The seller's itch.io API key. Default: unset; either it or the sandbox is needed."""
    api_key_file: Path | None = None
    """A file that holds the seller's API key; the key is read again when the file changes. Default: unset."""
    next_api_key: SellerKey | None = None
    """Another API key of the seller's, used once itch.io refuses the first: for changing keys without a gap.
    Default: unset."""
    next_api_key_file: Path | None = None
    """A file that holds that other key; it is read again when the file changes. Default: unset."""
    base_url: BaseUrl | None = None
    """Where the API is, without user name, query and fragment; https, or http on loopback.
    Default: `https://api.itch.io`, with the `server-side` dialect `https://itch.io/api/1`."""
    dialect: Dialect = Dialect.CURRENT
    """Which API is spoken: `current` (api.itch.io) or `server-side` (itch.io/api/1). Default: `current`."""
    rate: Annotated[float, Meta(gt=0, le=8)] = 6.0
    """Requests a second to itch.io, of all replicas together. Default: 6; itch.io's own client stops at 8."""
    burst: Annotated[int, Meta(ge=1, le=15)] = 12
    """Requests that may be sent at once after a quiet time. Default: 12; itch.io's own client stops at 15."""
    timeout_seconds: Annotated[float, Meta(ge=0.5, le=30)] = field(name="timeout", default=5.0)
    """Seconds for one look-up in all, however many requests to itch.io it needs. Default: 5."""
    contact_url: ContactUrl | None = None
    """A page that tells itch.io whom to ask about this traffic; sent in the User-Agent. Default: unset."""

    @property
    def effective_base_url(self) -> str:
        """Where the API is, the dialect's own address unless another is set; ends in no slash."""
        return (self.base_url or DEFAULT_BASE_URLS[self.dialect]).rstrip("/")


class RedisSettings(Struct, frozen=True, kw_only=True):
    """The second cache tier, which all replicas share."""

    url: RedisUrl | None = None
    """Where Redis is: `redis://`, `rediss://`, `unix://`, and `redis+sentinel://`, `redis+cluster://` with
    their `rediss` forms. Default: unset, the in-process cache only."""
    url_file: Path | None = None
    """A file that holds the Redis URL. Default: unset."""


class CacheSettings(Struct, frozen=True, kw_only=True):
    """The first cache tier, in the process."""

    max_entries: Annotated[int, Meta(ge=1, le=10_000_000)] = 200_000
    """How many observations the process keeps at most. Default: 200000."""
    max_mebibytes: Annotated[int, Meta(ge=1, le=65_536)] = 64
    """How much memory they may take, in MiB; a fifth of it is for answers ready to be given again. Default: 64."""


class OperationsSettings(Struct, frozen=True, kw_only=True):
    """A listener of its own for `/livez`, `/readyz`, `/metrics` and `/version`."""

    host: Host | None = None
    """The address of that listener. Default: the same as `host`."""
    port: Port | None = None
    """The port of that listener; 0 takes any free one. Default: unset, they are served beside the questions."""


class LogSettings(Struct, frozen=True, kw_only=True):
    """What is logged, and how."""

    level: LogLevel = LogLevel.INFO
    """The least important events that are logged: `debug`, `info`, `warning` or `error`. Default: `info`."""
    format: LogFormat | None = None
    """`json` or `console`. Default: `console` on a terminal, `json` elsewhere."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything an operator can set; free of contradictions when it comes from `load_settings`."""

    host: Host = "127.0.0.1"
    """The address to listen on. Default: `127.0.0.1`; anything but loopback needs callers."""
    port: Port = 8080
    """The port to listen on; 0 takes any free one. Default: 8080."""
    unix_socket: Path | None = None
    """A Unix socket to listen on; `host` and `port` then go unused. Default: unset."""
    deadline_ms: Annotated[int, Meta(ge=50, le=10_000)] = 3000
    """Milliseconds a question may take when its caller names no deadline. Default: 3000."""
    max_requests: Annotated[int, Meta(ge=1, le=100_000)] = 1024
    """Requests that may be under way at once; whatever comes on top is answered with 503 at once. Default: 1024."""
    drain_seconds: Annotated[float, Meta(ge=0, le=600)] = 5.0
    """Seconds to keep serving after SIGTERM, while load balancers notice that the gateway is not ready. Default: 5."""
    replicas: Annotated[int, Meta(ge=1, le=1000)] = 1
    """How many gateways share the seller's key: where Redis is away, each takes its part of the budget. Default: 1."""
    sandbox: bool = False
    """Answer from the built-in sandbox instead of itch.io. Default: `false`."""
    secret: SealingSecret | None = None
    """Seals and names cache entries, the same on all replicas; at least 32 characters.
    Default: unset, made anew by each process; required with Redis."""
    secret_file: Path | None = None
    """A file that holds the secret. Default: unset."""
    itch: ItchSettings = ItchSettings()
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    operations: OperationsSettings = OperationsSettings()
    log: LogSettings = LogSettings()
    games: tuple[GameSettings, ...] = ()
    callers: tuple[CallerSettings, ...] = ()

    def games_of(self, caller: CallerSettings) -> frozenset[GameId] | None:
        """Return the games that the caller may ask about; None means all."""
        if caller.all_games:
            return None
        ids = {game.slug: game.id for game in self.games}
        return frozenset(ids.get(str(game)) or GameId(int(game)) for game in caller.games)
