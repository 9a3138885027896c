"""One connection to the hub, for one request at a time.

It stays open between requests, because a handshake takes longer than an answer from memory. What arrives while nothing
was asked, or behind the end of an answer, closes it: it could be taken for the answer to the next question.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools
from msgspec import Struct

_LARGEST_HEAD: Final = 16 * 1024


class HttpAnswer(Struct, frozen=True):
    """An answer, read whole; the names of its fields are in lower case, and of equal ones the last counts."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes

    def field(self, name: bytes) -> str | None:
        """Return the text of a field, None where there is none."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")


class UnfitAnswer(Exception):  # noqa: N818 - it names what came
    """The bytes that came are no answer, or one that is larger than any."""


class ConnectionCut(OSError):  # noqa: N818 - it names what happened
    """The connection ended before the answer did; `begun` says whether any of it had come."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class HubConnection(asyncio.Protocol):
    """The connection; `lost` is called with it when it can be used no more."""

    def __init__(self, *, lost: Callable[["HubConnection"], None]) -> None:
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._most = 0
        self.usable = True
        self.used = False
        """Whether a request was sent on it before."""
        self.idle_since = 0.0
        self._start()

    async def exchange(self, request: bytes, *, most: int) -> HttpAnswer:
        """Send a request and return its answer, whose body has at most that many bytes.

        Raises `ConnectionCut`, `UnfitAnswer`. Being cancelled closes it.
        """
        if self._transport is None or self._answer is not None:
            raise AssertionError("a connection carries one request at a time")
        self._start()
        self._most = most
        answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._transport.write(request)
        try:
            return await answer
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self.used = True
            self._answer = None

    def close(self) -> None:
        """Close it at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note that it is open."""
        # By the contract of both loops; uvloop's own is no subclass of it.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read a part of the answer."""
        if self._answer is None or self._answer.done():
            self.close()
            return
        self._received += len(data)
        if self._received > self._most + _LARGEST_HEAD:
            self._fail(UnfitAnswer("the answer is larger than any that is expected"))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self._answer.done():
                self._fail(UnfitAnswer("the answer is not HTTP"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that it is gone."""
        self.usable = False
        cut = ConnectionCut(begun=self._received > 0)
        cut.__cause__ = error
        self._fail(cut)
        self._lost(self)

    # --- the parser's ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read one field."""
        self._fields[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Read a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        if self._answer is None or self._answer.done():
            self.close()  # a second answer behind the one that was asked for
            return
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.usable = False
        self._answer.set_result(HttpAnswer(status, self._fields, bytes(self._body)))

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._fields: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._received = 0

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        if not isinstance(error, ConnectionCut):
            self.close()
