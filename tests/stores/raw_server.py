"""A server on a loopback port that writes prepared bytes, and keeps the requests that it received."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

Serve: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """The connections and requests that a server on a loopback port has received."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.connections = 0
        self.received: list[bytes] = []
        """The head of each request."""


@asynccontextmanager
async def raw_server(serve: Serve | bytes, *, greeting: bytes = b"") -> AsyncIterator[RawServer]:
    """Answer every request with these bytes, or call `serve`, which may also close the connection.

    A `greeting` is sent as soon as a connection opens, before any request.
    """
    handlers: list[asyncio.Task[None]] = []
    writers: set[asyncio.StreamWriter] = set()
    seen = RawServer("")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        if (task := asyncio.current_task()) is not None:
            handlers.append(task)
        seen.connections += 1
        writer.write(greeting)
        try:
            while True:
                seen.received.append(await reader.readuntil(b"\r\n\r\n"))
                if isinstance(serve, bytes):
                    writer.write(serve)
                    await writer.drain()
                else:
                    await serve(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone, as it may
        except RuntimeError:
            if not writer.is_closing():  # else it is uvloop's word for the same
                raise
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    seen.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*handlers)
        await server.wait_closed()


def http_answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Write an answer with a length and the headers given."""
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def closed_port() -> str:
    """Return the address of a port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
