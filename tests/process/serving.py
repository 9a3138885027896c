"""Applications behind real sockets, spoken to byte by byte."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.problems import Reply, status_reply
from service.http_protocol import Bounds, bounded_protocol

PATIENCE: Final = 10.0
"""Seconds after which a test gives up; nothing that works takes nearly as long."""

UNBOUNDED: Final = HttpToolsProtocol
"""The broken variant: what uvicorn does by itself."""


def refuse() -> Reply:
    """Refuse as the gateway does."""
    return status_reply(400, request_id="1", headers={"x-request-id": "1", "cache-control": "no-store"})


async def shed(_scope: Any, _receive: Any, send: Any) -> None:
    """Shed as the gateway does."""
    await reply(send, 503, b"too much")


async def reply(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send a whole response."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Application:
    """Answers every request with its path, once the body is there and `may_answer`; keeps the requests.

    A path that begins with `/early` is answered without its body. `left` are the requests that were cancelled.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.begun: list[str] = []
        self.left: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        path = scope["path"]
        self.begun.append(path)
        try:
            body = b"" if path.startswith("/early") else await _body(receive)
            self.asked.append((path, body))
            await self.may_answer.wait()
            size = int(scope["query_string"] or b"0")
            await reply(send, 200, path.encode() + b"x" * size)
        except asyncio.CancelledError:
            self.left.append(path)
            raise


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


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
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            self.closing = fields.get(b"connection") == b"close"
            return int(head.split()[1]), await self.reader.readexactly(int(fields[b"content-length"]))

    async def rest(self) -> bytes:
        """Return the bytes that follow until the server closes the connection, which it must."""
        received = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(65536):
                    received += data
            except ConnectionError:
                pass  # closed is closed
        return received

    async def is_closed_within(self, seconds: float) -> bool:
        """Whether the server closes the connection; bytes that it sends before do not matter."""
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

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server = server
        self.port = port
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
        """The number of open connections, as the server counts them."""
        return len(self.server.server_state.connections)

    async def stop(self) -> None:
        """Stop as uvicorn does: finish, then return."""
        await self.server.shutdown(sockets=[])

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


def protocol(
    *, bounds: Bounds, max_requests: int = 1000, shed: Any = shed, refuse: Callable[[], Reply] = refuse
) -> type[HttpToolsProtocol]:
    """Return the protocol with these bounds."""
    return bounded_protocol(max_requests=max_requests, shed=shed, refuse=refuse, bounds=bounds)


@asynccontextmanager
async def served(app: Any, http: type[HttpToolsProtocol]) -> AsyncIterator[Served]:
    """Serve the application; at the end running requests are cancelled."""
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=int(PATIENCE),
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.startup(sockets=[listener])
        seen = Served(server, listener.getsockname()[1])
        try:
            yield seen
        finally:
            for listening in server.servers:
                listening.close()
            seen.cut()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            tasks = list(server.server_state.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for listening in server.servers:
                await listening.wait_closed()
