"""HTTP to the hub: connections that stay, each request with an id of its own that its answer must repeat."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Final
from urllib.parse import urlsplit

from service.causes import Cause, find_cause
from service.errors import GatewayInTheWay, HubSilent, SourceProtocolError
from service.hub.hub_connection import ConnectionCut, HttpAnswer, HubConnection, UnfitAnswer
from service.used_up import used_up
from service.verification.interfaces import Clock

LARGEST_ANSWER: Final = 256 * 1024
"""A decision is a kilobyte, and a hundred of them come at once."""

_MOST_IDLE: Final = 64
"""Connections that are kept while nothing is asked."""

_LONGEST_IDLE: Final = 50.0
"""Seconds; balancers on the way close what was idle for a minute."""

_PORTS: Final = {"https": 443, "http": 80}


class HubTransport:
    """Sends requests to the hub at `base_url`. `trust` returns what certificates are checked against now.

    Proxies of the environment are ignored, redirects never followed, answers neither decompressed nor read past a
    bound.
    """

    def __init__(self, *, base_url: str, trust: Callable[[], ssl.SSLContext], user_agent: str, clock: Clock) -> None:
        url = urlsplit(base_url)
        self._host = url.hostname or ""
        self._port = url.port or _PORTS[url.scheme]
        self._trust = trust if url.scheme == "https" else None
        self._clock = clock
        self._fixed = f"Host: {url.netloc}\r\nUser-Agent: {user_agent}\r\nAccept-Encoding: identity\r\n"
        self._idle: list[tuple[HubConnection, ssl.SSLContext | None]] = []
        self._open: set[HubConnection] = set()

    async def send(
        self,
        method: str,
        path: str,
        *,
        fields: Mapping[str, str],
        body: bytes = b"",
        most: int = LARGEST_ANSWER,
        once: bool = False,
    ) -> HttpAnswer:
        """Return the answer to a request, which may be sent twice; with `once` it is not, and has a new connection.

        Raises `HubSilent` if none comes, `SourceProtocolError` for one that belongs to another request, or is unfit.
        """
        request_id = token_hex(16)
        request = self._written(method, path, request_id, fields, body)
        try:
            answer, connection, trusted = await self._exchange(request, most, once=once)
        except UnfitAnswer as unfit:
            raise SourceProtocolError(f"the hub: {unfit}") from None
        except (OSError, ValueError) as error:
            # `from None`: their texts name addresses and hosts.
            if used_up(error):
                raise GatewayInTheWay("the relay has no descriptor, port or memory left") from None
            raise HubSilent("no answer from the hub", cause=find_cause(error, _told_here) or Cause.OTHER) from None
        said = answer.field(b"x-request-id")
        if said != request_id:
            # It may be the answer to another question, late: nothing that comes on this connection can be told apart.
            connection.close()
            if said is None and answer.status >= 500:  # noqa: PLR2004 - of a balancer in front of the hub
                raise HubSilent("what is in front of the hub has no answer", cause=Cause.SERVER_ERROR)
            raise SourceProtocolError("the hub's answer is to another request, or what is on the way changes its id")
        self._keep(connection, trusted)
        if answer.field(b"content-encoding") not in (None, "identity"):
            raise SourceProtocolError("the hub's answer is compressed, which was not asked for")
        return answer

    @property
    def open(self) -> int:
        """The number of connections that are open."""
        return len(self._open)

    async def close(self) -> None:
        """Close the connections."""
        for connection in tuple(self._open):
            connection.close()
        await asyncio.sleep(0)

    async def _exchange(
        self, request: bytes, most: int, *, once: bool
    ) -> tuple[HttpAnswer, HubConnection, ssl.SSLContext | None]:
        connection, trusted = await (self._connect() if once else self._connection())
        kept = connection.used
        try:
            return await connection.exchange(request, most=most), connection, trusted
        except ConnectionCut as cut:
            if not kept or cut.begun:
                raise
            # The hub had closed it, and that was still on its way: the request was not taken.
        connection, trusted = await self._connect()
        return await connection.exchange(request, most=most), connection, trusted

    async def _connection(self) -> tuple[HubConnection, ssl.SSLContext | None]:
        trusted = None if self._trust is None else self._trust()
        oldest = self._clock.monotonic() - _LONGEST_IDLE
        while self._idle:
            connection, trusted_then = self._idle.pop()
            if connection.usable and trusted_then is trusted and connection.idle_since >= oldest:
                return connection, trusted
            connection.close()
        return await self._connect()

    async def _connect(self) -> tuple[HubConnection, ssl.SSLContext | None]:
        trusted = None if self._trust is None else self._trust()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: HubConnection(lost=self._forget), self._host, self._port, ssl=trusted
        )
        self._open.add(connection)
        return connection, trusted

    def _keep(self, connection: HubConnection, trusted: ssl.SSLContext | None) -> None:
        if not connection.usable or len(self._idle) >= _MOST_IDLE:
            connection.close()
            return
        connection.idle_since = self._clock.monotonic()
        self._idle.append((connection, trusted))

    def _forget(self, connection: HubConnection) -> None:
        self._open.discard(connection)

    def _written(self, method: str, path: str, request_id: str, fields: Mapping[str, str], body: bytes) -> bytes:
        more = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
        head = f"{method} {path} HTTP/1.1\r\n{self._fixed}X-Request-ID: {request_id}\r\n{more}"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode("latin-1") + b"\r\n" + body


def _told_here(error: BaseException) -> Cause | None:
    return Cause.RESET if isinstance(error, ConnectionCut) else None
