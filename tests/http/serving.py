"""Applications behind real sockets, spoken to byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Self

from service.api.problems import status_reply
from service.clock import SystemClock
from service.http.application import Listener
from service.http.connection import Bounds, HttpRefusal, Request
from service.http.protocol import HttpServer
from service.http.reply import Reply
from service.listening import BACKLOG

TIMEOUT: Final = 10.0
"""Seconds after which a test gives up; nothing that works takes nearly as long."""

_ENDLESS: Final = 1_000_000

UNBOUNDED: Final = Bounds(
    fields=_ENDLESS,
    head_bytes=1024 * _ENDLESS,
    body_bytes=1024 * _ENDLESS,
    trailer_bytes=1024 * _ENDLESS,
    extension_bytes=1024 * _ENDLESS,
    held_bytes=1024 * _ENDLESS,
    idle_seconds=_ENDLESS,
    arrival_seconds=_ENDLESS,
    sending_seconds=_ENDLESS,
    linger_seconds=_ENDLESS,
)
"""The broken variant: nothing has an end."""


class Application:
    """Answers every request with its path, once it `may_answer`; keeps what was asked.

    Requests to `/now` are answered at once, without a task. `left` are those whose answering was cancelled.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.left: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.bugs: list[BaseException] = []

    @property
    def paths(self) -> list[str]:
        """The paths of all requests so far."""
        return [path for path, _ in self.asked]

    def answer(self, request: Request, _listener: Listener, /) -> Reply | asyncio.Task[Reply]:
        """Answer one request."""
        path, _, query = request.target.decode("latin-1").partition("?")
        self.asked.append((path, request.body))
        if path == "/bug":
            raise ZeroDivisionError
        reply = Reply(200, path.encode("latin-1") + b"x" * int(query or "0"), "text/plain")
        if path.startswith("/now"):
            return reply
        return asyncio.get_running_loop().create_task(self._answer(path, reply))

    def shed(self, _request: Request, _listener: Listener, /) -> Reply:
        """Shed as the gateway does."""
        return Reply(503, b"too much", "text/plain")

    def refuse(self, refusal: HttpRefusal) -> Reply:
        """Refuse as the gateway does."""
        return status_reply(refusal.status, request_id="1")

    def crashed(self, bug: BaseException) -> Reply:
        """Keep the bug, and answer as the gateway does."""
        self.bugs.append(bug)
        return status_reply(500, request_id="1")

    async def _answer(self, path: str, reply: Reply) -> Reply:
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.left.append(path)
            raise
        if path == "/late-bug":
            raise ZeroDivisionError
        return reply


class Wire:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.closing = False
        """Whether the last answer said that the connection is closed after it."""

    @classmethod
    async def to(cls, port: int) -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        """Send the pieces, with a pause after each."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def answer(self) -> tuple[int, bytes]:
        """Return the status and body of the next response."""
        async with asyncio.timeout(TIMEOUT):
            head = await self.reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            self.closing = fields.get(b"connection") == b"close"
            return int(head.split()[1]), await self.reader.readexactly(int(fields[b"content-length"]))

    async def rest(self) -> bytes:
        """Return what still comes until the server closes the connection, which it must."""
        received = b""
        async with asyncio.timeout(TIMEOUT):
            try:
                while data := await self.reader.read(65536):
                    received += data
            except ConnectionError:
                pass  # closed is closed
        return received

    async def is_closed_within(self, seconds: float) -> bool:
        """Whether the server closes the connection; what it says before that does not matter."""
        try:
            async with asyncio.timeout(seconds):
                await self.rest()
        except TimeoutError:
            return False
        return True

    def cut(self) -> None:
        """Hang up."""
        self.writer.transport.abort()


class Served:
    """A server on a loopback port."""

    def __init__(self, http: HttpServer, listener: asyncio.Server) -> None:
        self.http = http
        self.listener = listener
        self.port: int = listener.sockets[0].getsockname()[1]
        self._wires: list[Wire] = []

    async def connect(self) -> Wire:
        """Return a connection to it."""
        wire = await Wire.to(self.port)
        self._wires.append(wire)
        return wire

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return the answer to one request on a connection of its own."""
        wire = await self.connect()
        await wire.send(request)
        return await wire.answer()

    @property
    def connections(self) -> int:
        """The number of open connections, as the server sees it."""
        return len(self.http.open_connections)

    async def stop(self) -> None:
        """Stop as the gateway does: finish, then return."""
        self.listener.close()
        await self.http.stop(within_seconds=TIMEOUT)

    def cut(self) -> None:
        """Hang up on everything."""
        for wire in self._wires:
            wire.cut()


def get(path: str, *headers: str) -> bytes:
    """Write a request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: gateway", *headers, "\r\n"]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Write a request with a body."""
    head = [f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(body)}", *headers, "\r\n"]
    return "\r\n".join(head).encode() + body


@asynccontextmanager
async def served(
    application: Application, *, bounds: Bounds | None = None, max_requests: int = 1000, max_connections: int = 10_000
) -> AsyncIterator[Served]:
    """Serve the application; in the end every connection is cut."""
    http = HttpServer(
        application,
        bounds=bounds or Bounds(),
        max_requests=max_requests,
        max_connections=max_connections,
        now=SystemClock().now,
    )
    async with listening(http) as seen:
        yield seen


@asynccontextmanager
async def listening(http: HttpServer, listener: Listener = Listener.EVERYTHING) -> AsyncIterator[Served]:
    """Serve what is open already."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(http.protocol, listener), "127.0.0.1", 0, backlog=BACKLOG)
    seen = Served(http, server)
    try:
        yield seen
    finally:
        server.close()
        seen.cut()
        await http.stop(within_seconds=0)
        await server.wait_closed()
