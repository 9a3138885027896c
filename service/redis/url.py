"""The address of Redis, as the operator writes it.

    redis://[user:password@]host[:6379][/db]              rediss:// with TLS
    unix://[user:password@]/path/to/redis.sock[?db=1]
    redis+sentinel://[user:password@]host[:26379],host,…/master[/db]     rediss+sentinel:// with TLS
    redis+cluster://[user:password@]host[:6379],host,…                   rediss+cluster:// with TLS

User and password may be left out (`:password@` is the password of the default user) and are percent-encoded. They are
those of Redis itself; `?sentinel_username=` and `?sentinel_password=` are those of the Sentinels. With TLS,
`?ssl_ca_certs=`, `?ssl_certfile=` and `?ssl_keyfile=` name files in PEM; certificate and host name are always verified.
"""

from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from service.errors import SettingsError
from service.secret import RedisUrl, Secret


class RedisPassword(Secret):
    """A password for Redis or for its Sentinels."""


class Form(Enum):
    """The kinds of addresses."""

    SERVER = "server"
    SOCKET = "socket"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class RedisAddress(Struct, frozen=True, kw_only=True):
    """A Redis URL, in its parts."""

    form: Form
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    master: str = ""
    db: int = 0
    username: str | None = None
    password: RedisPassword | None = None
    sentinel_username: str | None = None
    sentinel_password: RedisPassword | None = None
    ssl_ca_certs: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None


_SCHEMES: Final = {
    "redis": (Form.SERVER, False),
    "rediss": (Form.SERVER, True),
    "unix": (Form.SOCKET, False),
    "redis+sentinel": (Form.SENTINEL, False),
    "rediss+sentinel": (Form.SENTINEL, True),
    "redis+cluster": (Form.CLUSTER, False),
    "rediss+cluster": (Form.CLUSTER, True),
}
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS: Final = {
    Form.SERVER: (),
    Form.SOCKET: ("db",),
    Form.SENTINEL: ("sentinel_username", "sentinel_password"),
    Form.CLUSTER: (),
}
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_LARGEST_PORT: Final = 65_535


_NEEDS_ENCODING: Final = frozenset("/?#")
"""Characters that end the user and the password of a URL."""


def parse_redis_url(url: RedisUrl, *, name: str = "redis.url") -> RedisAddress:
    """Return what the URL says. Raises `SettingsError` with a line that repeats nothing of the URL.

    `name` is the setting's, in the operator's words.
    """
    try:
        return _parse(url.reveal())
    except _Mistake as mistake:
        if _NEEDS_ENCODING.intersection(_credentials_as_meant(url.reveal())):
            detail = (
                "has a user or password that is not percent-encoded: write % as %25, @ as %40, : as %3A, / as %2F,"
                " ? as %3F, # as %23, [ as %5B and ] as %5D"
            )
        else:
            detail = str(mistake)
        # The URL that it came from stays out of the traceback.
        raise SettingsError([f"{name} {detail}"]) from None


class _Mistake(Exception):  # noqa: N818 - it names what the URL is
    """A URL that leads nowhere; the text goes on after the name of the setting."""


def _credentials_as_meant(url: str) -> str:
    """Return the text between the scheme and the last @, wherever the user and the password end by the rules."""
    return url.partition("://")[2].rpartition("@")[0]


def _parse(url: str) -> RedisAddress:
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        # The error would quote the URL.
        raise _Mistake("is not a URL") from None
    if parts.scheme not in _SCHEMES:
        raise _Mistake(f"must begin with one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
    if parts.fragment:
        raise _Mistake("must not contain #")
    form, tls = _SCHEMES[parts.scheme]
    _check_options(options, form, tls=tls)
    username, password = _credentials(parts)
    sentinel_password = options.get("sentinel_password")
    master, db = _path(parts, form, options)
    return RedisAddress(
        form=form,
        tls=tls,
        hosts=_hosts(parts, form),
        path=unquote(parts.path) if form is Form.SOCKET else "",
        master=master,
        db=db,
        username=username,
        password=password,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=RedisPassword(sentinel_password) if sentinel_password else None,
        ssl_ca_certs=options.get("ssl_ca_certs"),
        ssl_certfile=options.get("ssl_certfile"),
        ssl_keyfile=options.get("ssl_keyfile"),
    )


def _check_options(options: dict[str, str], form: Form, *, tls: bool) -> None:
    allowed = _OPTIONS[form] + (_TLS_OPTIONS if tls else ())
    if not options.keys() <= set(allowed):
        raise _Mistake(f"may have after its ? only: {', '.join(allowed) or 'nothing'}")
    for option in _TLS_OPTIONS:
        if option in options and not Path(options[option]).is_file():
            raise _Mistake(f"names a file in {option} that is not there")
    if ("ssl_certfile" in options) != ("ssl_keyfile" in options):
        raise _Mistake("needs ssl_certfile and ssl_keyfile together")
    if "sentinel_username" in options and "sentinel_password" not in options:
        raise _Mistake("has a sentinel_username without a sentinel_password")


def _credentials(parts: SplitResult) -> tuple[str | None, RedisPassword | None]:
    user_and_password, has_credentials, _ = parts.netloc.rpartition("@")
    if not has_credentials:
        return None, None
    username, _, password = user_and_password.partition(":")
    if not password:
        raise _Mistake("has a user without a password; write :password@ for the default user")
    return unquote(username) or None, RedisPassword(unquote(password))


def _hosts(parts: SplitResult, form: Form) -> tuple[tuple[str, int], ...]:
    _, _, netloc = parts.netloc.rpartition("@")
    if form is Form.SOCKET:
        if netloc or not parts.path.strip("/"):
            raise _Mistake("must have three slashes before the path of the socket: unix:///path")
        return ()
    hosts = netloc.split(",")
    if form is Form.SERVER and len(hosts) > 1:
        raise _Mistake("names several hosts: use redis+sentinel:// or redis+cluster:// for these")
    return tuple(_host(host, _SENTINEL_PORT if form is Form.SENTINEL else _PORT) for host in hosts)


def _host(host_and_port: str, default_port: int) -> tuple[str, int]:
    if host_and_port.startswith("["):
        host, _, port = host_and_port[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = host_and_port.partition(":")
    if not host:
        raise _Mistake("has no host")
    if not port:
        return host, default_port
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _LARGEST_PORT):
        raise _Mistake("has a port that is not a number from 1 to 65535")
    return host, int(port)


def _path(parts: SplitResult, form: Form, options: dict[str, str]) -> tuple[str, int]:
    """Return the name of the Sentinels' master, if any, and the number of the database."""
    if form is Form.SOCKET:
        return "", _db(options.get("db", ""))
    first, _, second = parts.path.removeprefix("/").partition("/")
    if form is Form.SENTINEL:
        if not first:
            raise _Mistake("must name the master that the Sentinels watch: redis+sentinel://host:26379/mymaster")
        return unquote(first), _db(second)
    db = _db(parts.path.removeprefix("/"))
    if form is Form.CLUSTER and db:
        raise _Mistake("must not name a database: Redis Cluster has only 0")
    return "", db


def _db(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise _Mistake("must end in the number of the database, or in nothing")
    return int(text)
