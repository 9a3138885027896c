"""A TCP proxy that does to a connection what networks and dying servers do."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from typing import Self


class Mode(Enum):
    """The treatment of bytes on their way."""

    PASS = "pass"
    """They arrive."""
    SLOW = "slow"
    """They arrive late, see `FaultProxy.delay`."""
    DRIP = "drip"
    """They arrive one by one, each after `FaultProxy.delay`."""
    SWALLOW = "swallow"
    """They vanish: connections are accepted and never answered."""
    REFUSE = "refuse"
    """New connections are closed at once, and those that stand are cut."""


class FaultProxy:
    """`async with FaultProxy(port) as proxy`: leads from `proxy.port` to `port` on loopback, in the mode of the moment.

    A target that is down closes the connection, as it would without the proxy. `accepted` counts connections; `sent` is
    called with what clients send on them, `answered` with what the target sends. Delays are those of the machine, or of
    another `sleep` that takes seconds. With `tls` clients have to speak TLS; the target never has to.
    """

    def __init__(
        self,
        target_port: int,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        sent: Callable[[bytes], None] = lambda _: None,
        answered: Callable[[bytes], None] = lambda _: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.mode = Mode.PASS
        self.delay = 0.1
        self.accepted = 0
        self._sleep = sleep
        self._sent = sent
        self._answered = answered
        self._tls = tls
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._left = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port to connect to."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Cut all connections, and let none be made."""
        assert self._server is not None
        self._left = self.port if self._server.is_serving() else self._left
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def come_back(self) -> None:
        """Lead on from the same port, after `leave`."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._left, ssl=self._tls)

    def cut(self) -> None:
        """Reset every connection that stands."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def be(self, mode: Mode) -> None:
        """Change what happens from now on."""
        self.mode = mode
        if mode is Mode.REFUSE:
            self.cut()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio would report one that is cancelled as an error of ours.
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._lead(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._held(writer):
            if self.mode is Mode.REFUSE:
                return
            try:
                target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            except OSError:
                return  # which the other side learns from its connection being closed
            with self._held(target_writer):
                await asyncio.gather(
                    self._pump(reader, target_writer, self._sent), self._pump(target_reader, writer, self._answered)
                )

    def _held(self, writer: asyncio.StreamWriter) -> "_Held":
        return _Held(self._writers, writer)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        noted: Callable[[bytes], None],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                noted(data)
                for piece in self._pieces(data):
                    if self.mode in (Mode.SLOW, Mode.DRIP):
                        await self._sleep(self.delay)
                    if writer.is_closing():
                        return
                    if self.mode is not Mode.SWALLOW:
                        writer.write(piece)
                        await writer.drain()
        writer.transport.abort()

    def _pieces(self, data: bytes) -> list[bytes]:
        if self.mode is Mode.DRIP:
            return [data[at : at + 1] for at in range(len(data))]
        return [data]


class _Held:
    """One end of a connection: it can be cut meanwhile, and is closed in the end."""

    def __init__(self, writers: set[asyncio.StreamWriter], writer: asyncio.StreamWriter) -> None:
        self._writers = writers
        self._writer = writer

    def __enter__(self) -> None:
        self._writers.add(self._writer)

    def __exit__(self, *_: object) -> None:
        self._writers.discard(self._writer)
        self._writer.transport.abort()
