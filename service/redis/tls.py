"""TLS to Redis, whose authorities are read once and not for every connection.

redis-py reads all that the machine trusts for each connection: 31 to 49 ms of CPU time in which nothing else happens,
where the handshake takes 2. A container with half a core would never connect within `CONNECT_SECONDS`.
"""

import ssl
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, Final, TypeVar

from redis.asyncio.connection import RedisSSLContext, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from service.file_stamp import Stamp, stamp_of

AnyTlsConnection = TypeVar("AnyTlsConnection", bound=SSLConnection)


def sharing_trust(kind: type[AnyTlsConnection], *, unusable: Callable[[str], None]) -> type[AnyTlsConnection]:
    """Return that kind of connection, for one client: all share what they trust, and what they show of themselves.

    Files that have changed, the operator's or the machine's, are read again by the next connection. That fails while
    they cannot be read, and `unusable` is told why, once; connections that are open notice nothing.
    """
    trust: Final = _Trust(unusable)

    class Sharing(kind):  # type: ignore[valid-type, misc]  # a class like any other
        async def connect_check_health(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - redis-py's own
            """Connect, however redis-py came to that; it comes here before every command."""
            if not self.is_connected:
                # Before its time to connect begins.
                self.ssl_context: RedisSSLContext = trust.instead_of(self.ssl_context)
            await super().connect_check_health(*arguments, **named)

    return Sharing


class TlsFileError(RedisConnectionError):
    """A file that redis.url names for TLS is missing, cannot be read, or does not hold what it should.

    Its text names the option, and repeats nothing of the file.
    """


class _Trust:
    """The latest context, and the stamps of the files it is made of."""

    def __init__(self, unusable: Callable[[str], None]) -> None:
        self._context: RedisSSLContext | None = None
        self._made_of: list[Stamp] = []
        self._unusable = unusable
        self._said = ""

    def instead_of(self, own: RedisSSLContext) -> RedisSSLContext:
        machine = ssl.get_default_verify_paths()
        paths = (own.ca_certs, own.certfile, own.keyfile, machine.cafile, machine.capath)
        files = [None if path is None else stamp_of(Path(path)) for path in paths]
        if self._context is None or files != self._made_of:
            try:
                self._context, self._made_of, self._said = _made_anew(own), files, ""
            except TlsFileError as error:
                if str(error) != self._said:
                    self._said = str(error)
                    self._unusable(self._said)
                raise
        return self._context


def _made_anew(own: RedisSSLContext) -> RedisSSLContext:
    new = copy(own)
    new.context = None
    _read_by_itself(own)
    new.get()
    return new


def _read_by_itself(own: RedisSSLContext) -> None:
    """Raise `TlsFileError` for one of the operator's: that takes a twentieth of what all together take."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = "ssl_certfile and ssl_keyfile"
    try:
        if own.certfile is not None:
            context.load_cert_chain(own.certfile, own.keyfile)
        options = "ssl_ca_certs"
        if own.ca_certs is not None:
            context.load_verify_locations(own.ca_certs)
    except OSError as error:
        raise TlsFileError(f"{options} in redis.url cannot be used: {_why(error)}") from None


def _why(error: OSError) -> str:
    return "no certificate or key in PEM form" if isinstance(error, ssl.SSLError) else error.strerror or "unreadable"
