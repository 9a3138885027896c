"""Everything an operator can set, as one frozen tree; the string under each field is its documentation."""

from collections.abc import Collection
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, TypeGuard, get_origin

from msgspec import Meta, Struct, field, structs

from service.ownership import GameId, Method
from service.rights import Right
from service.secret import HubToken, PassKeys, ProxyUrl, RedisUrl, SealingSecret, SellerKey
from service.settings.games import GameSettings
from service.settings.proofs import MailSettings, OidcSettings
from service.settings.values import (
    BaseUrl,
    CallerName,
    ContactUrl,
    CookieName,
    GameName,
    GameNames,
    Hosts,
    HubUrl,
    IssuerUrl,
    LinksUrl,
    PolicyCredentials,
    Port,
    TokenDigest,
)


class ItchDialect(StrEnum):
    """The two APIs of itch.io."""

    CURRENT = "current"
    SERVER_SIDE = "server-side"


class LogLevel(StrEnum):
    """The least important events that are still logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """The forms of a log line."""

    JSON = "json"
    CONSOLE = "console"


DEFAULT_BASE_URLS: Final = {
    ItchDialect.CURRENT: "https://api.itch.io",
    ItchDialect.SERVER_SIDE: "https://itch.io/api/1",
}


class ItchSettings(Struct, frozen=True, kw_only=True):
    """The itch.io account, its API, and the pace of requests."""

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
    """The address of the API, without user name, query and fragment; https, or http on loopback.
    Default: `https://api.itch.io`, with the `server-side` dialect `https://itch.io/api/1`."""
    dialect: ItchDialect = ItchDialect.CURRENT
    """The API that is spoken: `current` (api.itch.io) or `server-side` (itch.io/api/1). Default: `current`."""
    proxy: ProxyUrl | None = None
    """The HTTP proxy on the way to itch.io, and to nothing else: `http://[user:password@]host:port`. Default: unset."""
    proxy_file: Path | None = None
    """A file that holds the proxy's URL; it is read again when the file changes. Default: unset."""
    rate: Annotated[float, Meta(gt=0, le=8)] | None = None
    """Requests a second to itch.io, of all replicas together. Default: 6, for the sandbox no limit; itch.io's own
    client stops at 8."""
    burst: Annotated[int, Meta(ge=1, le=15)] = 12
    """Requests that may be sent at once after a quiet time. Default: 12; itch.io's own client stops at 15."""
    timeout_seconds: Annotated[float, Meta(ge=0.5, le=30)] = field(name="timeout", default=5.0)
    """Seconds for one look-up in all, however many requests to itch.io it needs. Default: 5."""
    access_tokens: bool = False
    """Take OAuth access tokens of itch.io, as browser games have them. Default: `false`."""
    contact_url: ContactUrl | None = None
    """A page that tells itch.io whom to ask about this traffic; sent in the User-Agent. Default: unset."""

    @property
    def effective_base_url(self) -> str:
        """The address of the API, the dialect's own unless another is set; ends in no slash."""
        return (self.base_url or DEFAULT_BASE_URLS[self.dialect]).rstrip("/")


class RedisSettings(Struct, frozen=True, kw_only=True):
    """The second cache tier, which all replicas share."""

    url: RedisUrl | None = None
    """The address of Redis: `redis://`, `rediss://`, `unix://`, and `redis+sentinel://`, `redis+cluster://` with
    their `rediss` forms. Default: unset, the in-process cache only."""
    url_file: Path | None = None
    """A file that holds the Redis URL; user and password are read again when the file changes. Default: unset."""


class CacheSettings(Struct, frozen=True, kw_only=True):
    """The first cache tier, in the process."""

    max_entries: Annotated[int, Meta(ge=1, le=10_000_000)] = 200_000
    """Observations that the process keeps at most. Default: 200000."""
    max_mebibytes: Annotated[int, Meta(ge=1, le=65_536)] = 64
    """Memory that they may take, in MiB; a fifth of it is for answers ready to be given again. Default: 64."""


class PassesSettings(Struct, frozen=True, kw_only=True):
    """Passes: signed decisions that other servers check by themselves."""

    issuer: IssuerUrl | None = None
    """The name by which passes say which gateway signed them, the same on all replicas: an `https` URL, which need not
    lead anywhere. Default: unset; required with a key."""
    key: PassKeys | None = None
    """One to four RSA private keys in PEM: the first signs, all are published. `ownership-gateway new-pass-key` prints
    one. Default: unset, there are no passes."""
    key_file: Path | None = None
    """A file that holds these keys; it is read again when it changes. Default: unset."""
    seconds: Annotated[int, Meta(ge=60, le=86_400)] = 900
    """Seconds that a pass is good for at most. Default: a quarter of an hour."""


class RelaySettings(Struct, frozen=True, kw_only=True):
    """The hub of a relay: a gateway without a seller's key, which asks another one."""

    url: HubUrl | None = None
    """The address of the hub, `https`, or `http` on loopback, without user, path, query and fragment. It makes this
    gateway a relay. Default: unset."""
    token: HubToken | None = None
    """The relay's token: that of a caller at the hub. Default: unset; required with `relay.url`."""
    token_file: Path | None = None
    """A file that holds the token; it is read again when it changes. Default: unset."""
    ca_file: Path | None = None
    """A file in PEM with the authorities that the hub's certificate is checked against, and no others; it is read again
    when it changes. Default: unset, those that the system trusts."""
    fresh_seconds: Annotated[int, Meta(ge=1, le=300)] = 30
    """Seconds that the hub's decision is repeated at most before the hub is asked again. Default: 30."""


class LinksSettings(Struct, frozen=True, kw_only=True):
    """The place at which this project's files can be read."""

    base_url: LinksUrl | None = None
    """The address below which `docs/` can be read, as a copy of the repository on the web has it. Types of problems are
    made from it, and the User-Agent; in the chart links of alerts and dashboard too. Default: unset, links are
    relative."""


class OperationsSettings(Struct, frozen=True, kw_only=True):
    """A listener of its own for `/livez`, `/readyz`, `/metrics` and `/version`."""

    host: Hosts | None = None
    """The address of that listener, or a list of addresses. Default: the same as `host`."""
    port: Port | None = None
    """The port of that listener; 0 takes any free one. Default: unset, they are served beside the questions."""


class LogSettings(Struct, frozen=True, kw_only=True):
    """The log: its level and its form."""

    level: LogLevel = LogLevel.INFO
    """The least important events that are logged: `debug`, `info`, `warning` or `error`. Default: `info`."""
    format: LogFormat | None = None
    """`json` or `console`. Default: `console` on a terminal, `json` elsewhere."""


class CallerSettings(Struct, frozen=True, kw_only=True):
    """One game server, or one fleet of them, that may ask. What is not listed is refused."""

    name: CallerName
    """The name of the caller in logs and metrics. Required."""
    token_sha256: TokenDigest
    """The SHA-256 of the caller's whole token, in hexadecimal; `ownership-gateway new-caller` prints it. Required."""
    games: GameNames
    """The games it may ask about, by slug or itch.io id; `["*"]` for all. Required."""
    rights: Annotated[
        frozenset[Right],
        Meta(min_length=1, extra={"expected": f"a list of at least one of {', '.join(Right)}, each only once"}),
    ]
    """The rights that it has. `assert:user` and `assert:email` let it vouch for players itself. Required."""
    rate: Annotated[float, Meta(gt=0, le=100_000)] = 50.0
    """Questions a second; bursts may hold twice as many. Default: 50."""
    failed_keys_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 60
    """Download keys and JWTs a minute that may turn out no good before the caller has to wait: it stops guessing.
    Default: 60."""

    @property
    def token_digest(self) -> bytes:
        """The 32 bytes that `token_sha256` stands for, by which the caller is found."""
        return bytes.fromhex(self.token_sha256)

    @property
    def all_games(self) -> bool:
        """Whether the caller may ask about every game."""
        return "*" in self.games


class PolicySettings(Struct, frozen=True, kw_only=True):
    """The demand of one place on the players about whose requests a proxy asks (forward-auth)."""

    name: str
    game: GameName
    """The game that a player must own, by slug or itch.io id. Required."""
    caller: CallerName | None = None
    """The name of the caller that may ask by this policy: the proxy. Default: unset, which is for a
    gateway without callers alone."""
    credentials: PolicyCredentials
    """The credentials that a player may present: `pass`, `jwt`, `download_key`,
    `access_token`. Required."""
    cookie: CookieName | None = None
    """The name of a cookie that may hold a pass, for players without a header of their own. Default: unset, no cookie
    is read."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything an operator can set; free of contradictions when it comes from `load_settings`."""

    host: Hosts = ("127.0.0.1",)
    """The address to listen on, or a list of addresses; `::` is IPv4, too. Default: `127.0.0.1`; anything but loopback
    needs callers."""
    port: Port = 8080
    """The port to listen on; 0 takes any free one. Default: 8080."""
    unix_socket: Path | None = None
    """A Unix socket to listen on; `host` and `port` then go unused. Default: unset."""
    deadline_ms: Annotated[int, Meta(ge=50, le=10_000)] = 3000
    """Milliseconds a question may take when its caller names no deadline. Default: 3000."""
    max_requests: Annotated[int, Meta(ge=1, le=100_000)] = 1024
    """Requests that may be under way at once; more are answered with 503 at once. Default: 1024."""
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """Connections that may be open at once; for one more the oldest idle one is closed. Default: unset, four fifths of
    the file descriptors that the process may open, at most 10000."""
    keep_alive_seconds: Annotated[int, Meta(ge=5, le=7200)] = 620
    """Seconds that a connection may be idle before the gateway closes it; longer than a load balancer in front keeps
    idle connections. Default: 620."""
    drain_seconds: Annotated[float, Meta(ge=0, le=600)] = 5.0
    """Seconds to keep serving after SIGTERM, while load balancers notice that the gateway is not ready. Default: 5."""
    replicas: Annotated[int, Meta(ge=1, le=1000)] = 1
    """Gateways that share the seller's key: while Redis is away, each takes its part of the budget. Default: 1."""
    revocation_guard: bool = True
    """Hold back itch.io's noes about proven owners of a game while there are more of them than can be true.
    Default: `true`."""
    remember_refusals: bool = True
    """Remember refusals, 10000 in the process and for 72 hours in Redis, so that `why` and `/admin/explain` find them.
    Default: `true`."""
    sandbox: bool = False
    """Answer from the built-in sandbox instead of itch.io. Default: `false`."""
    console: bool | None = None
    """Serve the page for support at `/console`; with `operations.port` on that port, and the endpoints under `/admin`
    there too. Default: `false`, in the sandbox `true`."""
    secret: SealingSecret | None = None
    """Seals and names cache entries, the same on all replicas; at least 32 characters.
    Default: unset, made anew by each process; required with Redis."""
    secret_file: Path | None = None
    """A file that holds the secret. Default: unset."""
    itch: ItchSettings = ItchSettings()
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    passes: PassesSettings = PassesSettings()
    relay: RelaySettings = RelaySettings()
    mail: MailSettings = MailSettings()
    operations: OperationsSettings = OperationsSettings()
    log: LogSettings = LogSettings()
    links: LinksSettings = LinksSettings()
    games: tuple[GameSettings, ...] = ()
    callers: tuple[CallerSettings, ...] = ()
    forward_auth: tuple[PolicySettings, ...] = ()
    oidc: tuple[OidcSettings, ...] = ()

    @property
    def serves_console(self) -> bool:
        """Whether there is a console. The sandbox has one unless people elsewhere could use it without a token."""
        return self.sandbox and not self.console_is_open_to_all if self.console is None else self.console

    @property
    def console_is_open_to_all(self) -> bool:
        """Whether a console would ask for no token at an address that other machines can reach."""
        if self.callers or self.operations.port is None:
            return False
        return not all(is_loopback(host) for host in self.operations.host or self.host)

    @property
    def is_relay(self) -> bool:
        """Whether a hub decides."""
        return self.relay.url is not None

    @property
    def has_passes(self) -> bool:
        """Whether there are passes: with a key of the operator's, and in the sandbox, which makes one for itself."""
        return self.sandbox or self.passes.key is not None

    @property
    def methods_off(self) -> list[Method]:
        """The methods that questions are not asked by. A relay has all: its hub says which it takes."""
        on = {Method.PASS: self.has_passes, Method.ACCESS_TOKEN: self.itch.access_tokens}
        return [] if self.is_relay else [method for method, is_on in on.items() if not is_on]

    @property
    def has_channels(self) -> bool:
        """Whether callers may ask for the newest version of a channel of any game."""
        return any(game.channels for game in self.games)

    @property
    def has_mail(self) -> bool:
        """Whether codes are mailed: by a mail server, and in the sandbox, which keeps them in its outbox."""
        return self.sandbox or self.mail.url is not None

    def games_of(self, caller: CallerSettings) -> frozenset[GameId] | None:
        """Return the games that the caller may ask about; None means all."""
        if caller.all_games:
            return None
        ids = {game.slug: game.id for game in self.games}
        return frozenset(ids.get(str(game)) or GameId(int(game)) for game in caller.games)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host: 127.0.0.0/8, ::1, or localhost by name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


# The keys of all settings, read off the structs, so that no second list can disagree with them.


def fields_of(struct: type[Struct]) -> dict[str, structs.FieldInfo]:
    """Return the single values of a struct by the key the operator writes; not its groups and lists of tables."""
    return {
        field.encode_name: field
        for field in structs.fields(struct)
        if not is_group(field.type) and get_origin(field.type) is not tuple
    }


def is_group(kind: object) -> TypeGuard[type[Struct]]:
    """Whether settings stand below this one."""
    return isinstance(kind, type) and issubclass(kind, Struct)


GROUPS: Final[dict[str, type[Struct]]] = {
    field.encode_name: field.type for field in structs.fields(Settings) if is_group(field.type)
}
"""Groups of settings: each is a table of its own, once."""

SINGLE: Final[dict[str, structs.FieldInfo]] = fields_of(Settings) | {
    f"{group}.{key}": field for group, struct in GROUPS.items() for key, field in fields_of(struct).items()
}
"""Every setting that exists once, by its dotted key; these the environment can set."""

GAME: Final = {key: field for key, field in fields_of(GameSettings).items() if key != "slug"}
"""The settings of one game; its slug is the name of the table."""

CALLER: Final = fields_of(CallerSettings)
"""The settings of one caller."""

POLICY: Final = {key: field for key, field in fields_of(PolicySettings).items() if key != "name"}
"""The settings of one policy; its name is the name of the table."""

OIDC: Final = fields_of(OidcSettings)
"""The settings of one issuer of id tokens."""


def _secret_files(fields: Collection[str]) -> dict[str, str]:
    return {secret: key for key in fields if key.endswith("_file") and (secret := key.removesuffix("_file")) in fields}


SECRET_FILES: Final = _secret_files(SINGLE)
"""The key of each secret, and the key that names a file with it."""

SECRET_FILES_OF_GAME: Final = _secret_files(GAME)
"""The same for the secrets of one game."""
