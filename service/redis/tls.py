"""TLS to Redis, whose authorities are read once and not for every connection.

redis-py reads all that the machine trusts for each connection: 31 to 49 ms of CPU time in which nothing else happens,
where the handshake takes 2. A container with half a core would never connect within `CONNECT_SECONDS`.
"""

from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio.connection import RedisSSLContext, SSLConnection

AnyTlsConnection = TypeVar("AnyTlsConnection", bound=SSLConnection)

_State: TypeAlias = tuple[int, int] | None


def sharing_trust(kind: type[AnyTlsConnection]) -> type[AnyTlsConnection]:
    """Return that kind of connection, for one client: all share what they trust, and what they show of themselves.

    The operator's own files are read again when they have changed, as they do when certificates are renewed.
    """
    trust: Final = _Trust()

    class Sharing(kind):  # type: ignore[valid-type, misc]  # a class like any other
        async def connect_check_health(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - redis-py's own
            """Connect, however redis-py came to that."""
            self.ssl_context: RedisSSLContext = trust.instead_of(self.ssl_context)
            with suppress(OSError):  # whoever connects is told what is wrong
                self.ssl_context.get()  # before its time to connect begins
            await super().connect_check_health(*arguments, **named)

    return Sharing


class _Trust:
    """The latest context, and the state of the files it is made of."""

    def __init__(self) -> None:
        self._context: RedisSSLContext | None = None
        self._made_of: list[_State] = []

    def instead_of(self, own: RedisSSLContext) -> RedisSSLContext:
        files = [_state_of(file) for file in (own.ca_certs, own.certfile, own.keyfile)]
        if self._context is None or files != self._made_of:
            self._context, self._made_of = copy(own), files
            self._context.context = None  # whoever connects first has it made
        return self._context


def _state_of(path: str | None) -> _State:
    if path is None:
        return None
    try:
        state = Path(path).stat()
    except OSError:
        return None  # as above
    return state.st_mtime_ns, state.st_ino
