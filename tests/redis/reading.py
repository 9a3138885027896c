"""Readers, and servers to read from that do what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from service.redis.connect import connect
from service.redis.reader import RedisReader
from service.secret import RedisUrl
from tests.clock import FakeClock

MOST = 1_000
"""Bytes of a value that are read."""

KEYS = [f"key-{number}" for number in range(100)]
VALUES = [b"%d" % number for number in range(100)]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[tuple[RedisReader, Redis]]:
    """Read from a Redis that has a hundred numbers; the client is for the test."""
    client = connect(RedisUrl(url))
    assert isinstance(client, Redis)
    await client.mset(dict(zip(KEYS, VALUES, strict=True)))
    reader = RedisReader(client, most=MOST, clock=FakeClock())
    yield reader, client
    await reader.close()
    await client.aclose()


@asynccontextmanager
async def reading_from(serve: Serve, clock: FakeClock) -> AsyncIterator[RedisReader]:
    """Read from a server of the test's own."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    client = connect(RedisUrl(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert isinstance(client, Redis)
    reader = RedisReader(client, most=MOST, clock=clock)
    yield reader
    await reader.close()
    await client.aclose()
    server.close()


class Script:
    """A server that takes a read for each of its lines, and writes them: one list of lines for each connection.

    A connection is closed after its last line. The line `b"..."` waits for `hang_up`, or for the end of the connection.
    """

    def __init__(self, *connections: list[bytes]) -> None:
        self._connections = list(connections)
        self.requests = 0
        self.hang_up = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the next connection."""
        for line in self._connections.pop(0):
            await self._request(reader)
            if line == b"...":
                await self._wait(reader)
                return
            writer.write(line)

    async def _wait(self, reader: asyncio.StreamReader) -> None:
        ends = [asyncio.ensure_future(self.hang_up.wait()), asyncio.ensure_future(reader.read())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self.hang_up.clear()
        for end in ends:
            end.cancel()

    async def _request(self, reader: asyncio.StreamReader) -> None:
        await reader.readuntil(b"GETRANGE\r\n")
        for _ in range(2 * 3):  # the length of each argument, and the argument
            await reader.readuntil(b"\r\n")
        self.requests += 1
