"""An HTTP proxy that knows CONNECT and nothing else, on the wire."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

_TIMEOUT_SECONDS: Final = 30


class ConnectProxy:
    """A proxy that leads to where it is told, unless `refusal` is the status line that it answers with.

    With `credentials`, `user:password`, it wants them, and answers 407 else. `heads` are those of the requests that it
    received; `carried` are the bytes that it carried away from its clients, once they were connected.
    """

    def __init__(self, *, credentials: str | None = None, refusal: bytes | None = None) -> None:
        self.heads: list[bytes] = []
        self.carried = bytearray()
        self.address = ""
        self._wanted = None if credentials is None else b"Basic " + b64encode(credentials.encode())
        self._refusal = refusal

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b" ", 2)
        refusal = self._refusal
        if method != b"CONNECT":
            refusal = b"405 Method Not Allowed"
        elif self._wanted is not None and self._wanted not in _field(head, b"proxy-authorization"):
            refusal = b"407 Proxy Authentication Required"
        if refusal is not None:
            writer.write(b"HTTP/1.1 " + refusal + b"\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        host, _, port = target.decode().rpartition(":")
        away_reader, away_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(self._carry(reader, away_writer, self.carried), self._carry(away_reader, writer, None))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray | None) -> None:
        while data := await reader.read(65_536):
            if seen is not None:
                seen += data
            writer.write(data)
            await writer.drain()
        writer.close()


def _field(head: bytes, name: bytes) -> list[bytes]:
    """Return the values of a header field."""
    fields = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
    return [value for found, _, value in fields if found.lower() == name]


@asynccontextmanager
async def connect_proxy(*, credentials: str | None = None, refusal: bytes | None = None) -> AsyncIterator[ConnectProxy]:
    """Serve a proxy on a loopback port."""
    proxy = ConnectProxy(credentials=credentials, refusal=refusal)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


class BabblingProxy:
    """A proxy that sends the same bytes to all who ask, once or `again` and again; without bytes it is silent.

    `sent` counts the bytes that were taken from it; `closed` is whether its client has gone.
    """

    def __init__(self, answer: bytes | None, *, again: bool) -> None:
        self.asked = False
        self.closed = False
        self.sent = 0
        self.address = ""
        self._answer = answer
        self._again = again

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                self.asked = True
                if self._answer is None:
                    await reader.read()
                else:
                    await self._babble(writer, self._answer)
        writer.close()
        self.closed = True

    async def _babble(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        while True:
            writer.write(answer)
            await writer.drain()
            self.sent += len(answer)
            if not self._again:
                return


@asynccontextmanager
async def babbling_proxy(answer: bytes | None, *, again: bool = False) -> AsyncIterator[BabblingProxy]:
    """Serve such a proxy on a loopback port."""
    proxy = BabblingProxy(answer, again=again)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
