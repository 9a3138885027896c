"""Uvicorn's HTTP protocol with what it lacks: bounds on slow and large requests, and an ear for callers who hang up."""

from asyncio import CancelledError, Task, TimerHandle, Transport, current_task
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade
from msgspec import Struct
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable
from uvicorn._types import Scope as ASGIScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.api.problems import Reply
from service.api.response_bytes import CLOSE, response_bytes

_PIECE: Final = 4096
"""How much is parsed at a time, and so how closely headers are counted: one read may bring 256 KiB."""

_MOST_QUEUED: Final = 16
"""How many pipelined requests wait before nothing more is parsed; what one piece holds may come on top. One read of
256 KiB can hold thousands, each of which costs far more memory than its bytes."""

_FAREWELL_SECONDS: Final = 0.1
"""How long an idle connection is kept when the server stops: a request may be on its way already."""


class Bounds(Struct, frozen=True, kw_only=True):
    """What one connection may cost. Uvicorn itself waits for ever, and its parser takes headers of any size."""

    arrival_seconds: float = 10.0
    """How long a request may take to arrive whole: a caller on the same network needs milliseconds."""
    sending_seconds: float = 10.0
    """How long a caller may leave unread what it asked for, once that no longer fits into the socket's buffers."""
    body_seconds: float = 0.1
    """How long the head of a plain question is kept for its body, before the parser has both as they come."""
    header_bytes: int = 32 * 1024
    """The largest header, to the nearest 4 KiB; twice the largest body."""


class _Part(Enum):
    """What was last heard of a request."""

    NOTHING = "nothing"
    HEADER = "header"
    BODY = "body"
    END = "end"


class _Answering(Struct, frozen=True):
    """A request that is being answered, and the task that does it."""

    cycle: RequestResponseCycle
    task: Task[Any]


class BoundedProtocol(HttpToolsProtocol):
    """One connection; made by `bounded_protocol`, which sets what all connections of a server share.

    It is closed when a request does not arrive whole in time (the first is counted from the connection, later ones from
    their first byte), when its header is too large, and when answers are not taken off it. While `max_requests` are
    under way in the process, further ones go to `shed`, which answers at once; what must never be shed is told apart
    there. Pipelined requests are read no faster than they are answered. When the caller hangs up, answering its request
    is cancelled.
    """

    bounds: Bounds
    max_requests: int
    shed: Any
    refuse: Callable[[], Reply]

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(*arguments, **settings)
        self._part = _Part.NOTHING
        self._header_bytes = 0
        self._held = b""
        self._deaf = False
        self._body_left = 0
        self._stopping = False
        self._latest: RequestResponseCycle | None = None
        self._answering: _Answering | None = None
        self._arrival: TimerHandle | None = None
        self._sending: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(transport)
        self._await_arrival()

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._read_on()

    def _read_on(self) -> None:
        """Parse what has come, as far as there is room for further requests; the rest is held until there is."""
        data, self._held = self._held, b""
        for at in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            if len(self.pipeline) >= _MOST_QUEUED:
                self._held = data[at:]
                self.flow.pause_reading()
                break
            self._take(data[at : at + _PIECE])
        if self._arrival is None and not (self._part is _Part.END and self._is_busy()):
            # Also for stray line breaks between requests: they have ended uvicorn's own wait for the next one.
            self._await_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self.resume_writing()
        super().connection_lost(exc)
        answering = self._answering
        if answering is not None and not answering.cycle.response_complete:
            # Uvicorn tells only the last of several pipelined requests.
            answering.cycle.disconnected = True
            answering.task.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(self.bounds.sending_seconds, self._hang_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def shutdown(self) -> None:
        """Close once what has begun to arrive, or may be on its way already, is answered."""
        self._stopping = True
        if self._is_busy():
            super().shutdown()
        else:
            self.loop.call_later(_FAREWELL_SECONDS, self._close_if_idle)

    def on_message_begin(self) -> None:
        self._part = _Part.HEADER
        self._header_bytes = 0
        self._arrived()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._part = _Part.BODY
        if self.parser.should_upgrade():
            self._body_left = self._body_length()
        self._latest = self.cycle
        if self._stopping:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self._body_left:
            return  # the parser leaves the body of a request that asks for an upgrade to us
        self._part = _Part.END
        self._arrived()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._arrival is not None:
            # Nothing may have been read meanwhile, so what is missing of the next request has its time from now on.
            self._arrived()
            self._await_arrival()
        super().on_response_complete()
        if self._held:
            self._read_on()  # uvicorn reads on after each answer, whatever is queued

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it is the same for every caller
        """Refuse what is no HTTP, and hear nothing more; nobody's answer may be taken for another's."""
        if self._part is not _Part.BODY and self._is_busy():
            self._answer_no_more()  # the requests before it are answered first
        elif self._part is _Part.BODY and (self.cycle.response_started or self.pipeline):
            self._hang_up()
        else:
            self._send_and_close(self.refuse())

    def _send_and_close(self, reply: Reply) -> None:
        self.transport.write(response_bytes(reply, CLOSE))
        self.transport.close()

    def _take(self, piece: bytes) -> None:
        if self._body_left:
            self._take_body(piece)
        elif not self._deaf:
            self._parse(piece)

    def _parse(self, piece: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(piece)
        except HttpParserUpgrade as upgrade:
            # Answered as if no upgrade had been asked for, but nothing after it: that may be another protocol.
            self._answer_no_more()
            self._take(piece[upgrade.args[0] :])
        except HttpParserError:
            self.send_400_response("This is no HTTP.")
        if self._part in (_Part.NOTHING, _Part.HEADER) and not self.transport.is_closing():
            self._header_bytes += len(piece)
            if self._header_bytes > self.bounds.header_bytes:
                self.send_400_response("The header is too large.")

    def _body_length(self) -> int:
        """Return the length of the body, which the parser has found to be given once and as a number, if at all.

        Raises `HttpParserError` where it can only be known by parsing.
        """
        headers = dict(self.headers)
        if b"transfer-encoding" in headers:
            raise HttpParserError("an upgrade with a body in chunks")
        return int(headers.get(b"content-length", b"0"))

    def _take_body(self, piece: bytes) -> None:
        mine = piece[: self._body_left]
        self._body_left -= len(mine)
        self.on_body(mine)
        if not self._body_left:
            self.on_message_complete()

    def _answer_no_more(self) -> None:
        """Close once everything up to here is answered."""
        self._deaf = True
        self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        chosen = app if len(self.tasks) < self.max_requests else self.shed
        super()._start_asgi_task(cycle, partial(self._answer, cycle, chosen))

    async def _answer(
        self,
        cycle: RequestResponseCycle,
        app: ASGI3Application,
        scope: ASGIScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """Answer, but not to a caller who has gone."""
        task = current_task()
        if task is None or cycle.disconnected:
            return
        self._answering = _Answering(cycle, task)
        try:
            await app(scope, receive, send)
        except CancelledError:
            if not cycle.disconnected:
                raise

    def _is_busy(self) -> bool:
        """Whether the last request that has arrived is not answered yet."""
        return self._latest is not None and not self._latest.response_complete

    def _is_between_requests(self) -> bool:
        """Whether all that has come so far is answered, and what comes next may be a request."""
        at_rest = self._part in (_Part.NOTHING, _Part.END) and not self._is_busy()
        return at_rest and not (self._held or self._deaf or self._body_left or self._stopping)

    def _await_arrival(self) -> None:
        self._arrival = self.loop.call_later(self.bounds.arrival_seconds, self._give_up_on_arrival)

    def _arrived(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _give_up_on_arrival(self) -> None:
        if self.flow.read_paused:
            self._await_arrival()  # we are the slow ones: an earlier request is still being answered
        else:
            self._hang_up()

    def _close_if_idle(self) -> None:
        if self._part in (_Part.NOTHING, _Part.END) and not self._is_busy():
            self.transport.close()

    def _hang_up(self) -> None:
        self.transport.abort()


def bounded_protocol(
    *,
    max_requests: int,
    shed: Any,  # noqa: ANN401 - ASGI, as either library types it
    refuse: Callable[[], Reply],
    bounds: Bounds,
) -> type[BoundedProtocol]:
    """Return the protocol for one server.

    `shed` is the ASGI application for what comes on top of `max_requests`; `refuse` says what whoever does not speak
    HTTP is told.
    """
    members = {
        "bounds": bounds,
        "max_requests": max_requests,
        "shed": staticmethod(shed),
        "refuse": staticmethod(refuse),
    }
    return type("BoundedProtocol", (BoundedProtocol,), members)
