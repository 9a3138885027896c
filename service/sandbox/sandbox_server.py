"""The sandbox's own HTTP server: asyncio's streams in the running event loop, on loopback by default.

Faults make it drip, stop in the middle and hang up, which no other server does on purpose. Its clients are the gateway
and developers' tools: it bounds a request's size, and neither time nor the number of connections.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

from service.sandbox.control import LARGEST_BODY, control, refuse
from service.sandbox.state import Delivery, Sandbox
from service.sandbox.store_answers import SANDBOX_HEADER, SANDBOX_HEADER_VALUE, SandboxAnswer
from service.sandbox.store_endpoints import StoreRequest

_LARGEST_HEAD: Final = 32 * 1024
_PIECE: Final = 64 * 1024
_BACKLOG: Final = 2048
"""Connections that may wait to be accepted: load tests open hundreds at once."""
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class _EndOfConnectionError(Exception):
    """The client has hung up, or the last answer on this connection is sent."""


class _Request(Struct, frozen=True):
    """A whole request, or one that is answered with the status `refused` and closes the connection."""

    method: str = ""
    path: str = ""
    query: str = ""
    authorization: str | None = None
    site: str | None = None
    body: bytes = b""
    last: bool = True
    refused: int | None = None


class SandboxServer:
    """`async with SandboxServer(sandbox) as server`: serves at `server.base_url` meanwhile.

    Entering raises `OSError` where it cannot listen. It takes no signals. On the way out it hangs up in the middle of
    answers, however slow a fault makes them.
    """

    def __init__(self, sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._sandbox = sandbox
        self._host = host
        self._port = port
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """The sandbox's address."""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=_LARGEST_HEAD, backlog=_BACKLOG)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read_request(reader, writer)
            while True:
                # The next request is read meanwhile, so that a slow answer ends as soon as its client hangs up.
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._answer(request, writer))
                    following = both.create_task(_read_request(reader, writer))
                request = following.result()
        except* _EndOfConnectionError:
            writer.close()
            await writer.wait_closed()
        except* ConnectionError:
            pass  # the client has cut the connection
        finally:
            writer.transport.abort()

    async def _answer(self, request: _Request, writer: asyncio.StreamWriter) -> None:
        delivery = await self._deliver(request)
        answer, fault = delivery.answer, delivery.fault
        body = b"" if request.method == "HEAD" else answer.body
        sent = fault.cut(body) if fault is not None else body
        last = request.last or sent != body
        if fault is None:
            writer.write(_head(answer, last=last) + sent)
        else:
            await fault.send(_head(answer, last=last), sent, writer, self._sandbox)
        await writer.drain()
        if last:
            raise _EndOfConnectionError

    async def _deliver(self, request: _Request) -> Delivery:
        if request.refused is not None:
            return Delivery(refuse(request.refused), None)
        answer = await control(self._sandbox, request.method, request.path, request.body, site=request.site)
        if answer is not None:
            return Delivery(answer, None)
        return self._sandbox.receive(
            StoreRequest(
                method=request.method,
                path=request.path,
                # Percent-decoding replaces what is no UTF-8.
                query=tuple(parse_qsl(request.query, keep_blank_values=True)),
                authorization=request.authorization,
            )
        )


def _head(answer: SandboxAnswer, *, last: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, '')}",
        f"{SANDBOX_HEADER}: {SANDBOX_HEADER_VALUE}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        *(f"{name}: {value}" for name, value in answer.headers),
        *(["Connection: close"] if last else []),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1")


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Request:
    """Read one request. Raises `_EndOfConnectionError` where the client hangs up instead."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, version = request_line.split(" ")
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields.setdefault(name.lower(), value.strip())
        if fields.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        async for piece in _read_body(reader, fields):
            # The rest of a body that is too large is read too: else the client would not read the refusal.
            body += piece if len(body) <= LARGEST_BODY else b""
    except asyncio.IncompleteReadError:
        raise _EndOfConnectionError from None
    except asyncio.LimitOverrunError:
        return _Request(refused=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    except ValueError:
        return _Request(refused=HTTPStatus.BAD_REQUEST)
    path, _, query = target.partition("?")
    return _Request(
        method=method,
        path=unquote(path),
        query=query,
        authorization=fields.get("authorization"),
        site=fields.get("sec-fetch-site"),
        body=bytes(body),
        last=version != "HTTP/1.1" or fields.get("connection", "").lower() == "close",
        refused=HTTPStatus.REQUEST_ENTITY_TOO_LARGE if len(body) > LARGEST_BODY else None,
    )


async def _read_body(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> AsyncIterator[bytes]:
    if fields.get("transfer-encoding", "").lower() != "chunked":
        async for piece in _read_exactly(reader, int(fields.get("content-length", "0"))):
            yield piece
        return
    # RFC 9112 §7.1: a size in hexadecimal digits and perhaps extensions, the chunk, a line break; at last trailers.
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        async for piece in _read_exactly(reader, size):
            yield piece
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        continue


async def _read_exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        piece = await reader.readexactly(min(size, _PIECE))
        size -= len(piece)
        yield piece
