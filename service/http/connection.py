"""One HTTP/1.1 connection without I/O: bytes and events in; whole requests, refusals and a deadline out.

| state | received | answered | answered, last | end of input | deadline | then |
|---|---|---|---|---|---|---|
| IDLE | IDLE: line breaks; READING: begun; ANSWERING: whole | | | CLOSED | idle | CLOSED |
| READING | READING: half; ANSWERING: whole | | | CLOSED | arrival | ANSWERING a 408 |
| ANSWERING | held | by what is held: IDLE, READING, ANSWERING | LINGERING | CLOSED | none | CLOSED |
| LINGERING | dropped | | | CLOSED | linger | CLOSED |
| CLOSED | dropped | | | | sending | CLOSED |

An empty cell changes nothing. The deadline is set when the state changes and after each answer, never by bytes alone:

* idle: line breaks between requests are no beginning, and do not prolong it;
* arrival: from the first byte of a request, or from the answer before it if bytes of it were held;
* none: an answer may take its time. While what was sent is not taken, the protocol counts sending seconds;
* linger: what still arrives is read and dropped, up to a bound, so that it does not reset the connection before the
  last answer is read (RFC 9112 §9.6);
* sending: a transport that is closed waits without end for what is not sent yet, so the protocol aborts it.

The end of input while ANSWERING means a caller that is gone: the protocol cancels the answer. Bytes of the next
requests are held as they came; nothing behind the request that is being answered is parsed.
"""

import re
from enum import Enum
from typing import Final, TypeAlias, assert_never

import httptools
from msgspec import Struct

from service.http.chunked import ChunkedBody
from service.http.head import Head
from service.http.refused import Refused

_NO_LINE_BREAK: Final = re.compile(rb"[^\r\n]")


class State(Enum):
    """The place of a connection in the table."""

    IDLE = "idle"
    READING = "reading"
    ANSWERING = "answering"
    LINGERING = "lingering"
    CLOSED = "closed"


class Bounds(Struct, frozen=True, kw_only=True):
    """The most that one connection may cost."""

    fields: int = 128
    """Header fields of a request; equal names count each time."""
    heads_below: bytes = b""
    """The beginning of targets at which the head is the whole request, by each method: a body is never read. None if
    empty."""
    head_bytes: int = 32 * 1024
    """From the first byte of a request to the empty line behind its fields."""
    body_bytes: int = 16 * 1024
    trailer_bytes: int = 4 * 1024
    """Trailers of one body, in total."""
    extension_bytes: int = 4 * 1024
    """Bytes in the lines before the chunks of one body, in total, without the sizes in their shortest form."""
    held_bytes: int = 64 * 1024
    """Bytes behind the request that is being answered at which no more are wanted; one read may go beyond."""
    idle_seconds: float = 620.0
    arrival_seconds: float = 10.0
    sending_seconds: float = 10.0
    linger_seconds: float = 1.0
    linger_bytes: int = 1024 * 1024
    """Bytes behind the last answer that are read and dropped; one read may go beyond. More are left unread."""


class Request(Struct, frozen=True, kw_only=True):
    """A whole request. Its field names are in lower case; fields of one name are joined by commas."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes = b""
    last: bool = False
    """Whether the connection ends with the answer."""
    expects_continue: bool = False

    def __repr__(self) -> str:
        """Return what holds no secret: fields and body carry tokens and credentials."""
        return f"<Request {self.method!r}>"


class HttpRefusal(Struct, frozen=True):
    """The status to be answered to bytes that are no acceptable request; nothing behind them is read."""

    status: int
    last: bool = True
    method: bytes = b""
    """Known if the head was whole: a refused HEAD is answered without a body."""


Whole: TypeAlias = Request | HttpRefusal


class Connection:
    """One connection; its states and events are the table above."""

    def __init__(self, bounds: Bounds) -> None:
        self.state = State.IDLE
        self.stopping = False
        """Whether the connection is to end with the last request that has begun to arrive."""
        self._bounds = bounds
        self._unread = bytearray()
        self._answering: Whole | None = None
        # The request that is being read: first its head, then its body.
        self._parser: httptools.HttpRequestParser | None = None
        self._head: Head | None = None
        self._chunks: ChunkedBody | None = None
        self._continue_due = False
        self._dropped_bytes = 0

    # --- what the protocol asks ---

    @property
    def deadline_seconds(self) -> float | None:
        """The time that the state may last, from its beginning or from the last answer."""
        bounds = self._bounds
        match self.state:
            case State.IDLE:
                return bounds.idle_seconds
            case State.READING:
                return bounds.arrival_seconds
            case State.ANSWERING:
                return None
            case State.LINGERING:
                return bounds.linger_seconds
            case State.CLOSED:
                return bounds.sending_seconds
            case _:
                assert_never(self.state)

    @property
    def wants_bytes(self) -> bool:
        """Whether there is room for more. Of a request that is being read, all is wanted: its own bounds end it."""
        match self.state:
            case State.READING:
                return True
            case State.LINGERING:
                return self._dropped_bytes < self._bounds.linger_bytes
            case _:
                return len(self._unread) < self._bounds.held_bytes

    def continues(self) -> bool:
        """Whether `100 Continue` is to be sent now; true once (RFC 9110 §10.1.1)."""
        due, self._continue_due = self._continue_due, False
        return due

    # --- events: each returns the request or refusal to be answered next, once there is one ---

    def received(self, data: bytes) -> Whole | None:
        """Bytes came in."""
        state = self.state
        if state is State.LINGERING or state is State.CLOSED:
            self._dropped_bytes += len(data)
            return None
        self._unread += data
        return None if state is State.ANSWERING else self._read()

    def answered(self, *, last: bool = False) -> Whole | None:
        """The answer is on its way; `last` if it said that the connection ends."""
        answering = self._answering
        if answering is None:
            return None
        self._answering = None
        if not (last or answering.last):
            self.state = State.IDLE
            whole = self._read() if self._unread else None
            if whole is not None or self.state is State.READING or not self.stopping:
                return whole
        self._end(State.LINGERING)
        return None

    def ended(self) -> None:
        """The caller sends no more; while it is being answered, it is taken for gone."""
        self._end(State.CLOSED)

    def deadline_passed(self) -> Whole | None:
        """The state has lasted as long as it may."""
        if self.state is State.READING:
            return self._answer(HttpRefusal(408, method=b"" if self._head is None else self._head.method))
        self._end(State.CLOSED)
        return None

    def close(self) -> None:
        """The connection is lost. Drop all state: parser and connection would otherwise hold each other in memory."""
        self._end(State.CLOSED)

    # --- changes of state ---

    def _end(self, state: State) -> None:
        self.state = state
        self._answering = None
        self._forget_half()
        self._unread = bytearray()

    def _answer(self, whole: Whole) -> Whole:
        self.state = State.ANSWERING
        self._answering = whole
        self._forget_half()
        return whole

    def _forget_half(self) -> None:
        self._parser = self._head = self._chunks = None
        self._continue_due = False

    # --- reading ---

    def _read(self) -> Whole | None:
        """Read on until a request is whole, or refused, or no more can be read."""
        head = self._head
        try:
            if head is None:
                head = self._begin_head()
                if head is None:
                    self.state = State.IDLE
                    return None
            self._continue_due = False
            if self._parser is not None and head.read(self._unread, self._parser):
                self._parser = None
                self._begin_body(head)
            body = None if self._parser is not None else self._body(head)
        except Refused as refused:
            return self._answer(HttpRefusal(refused.status, method=b"" if head is None else head.method))
        if body is None:
            self.state = State.READING
            return None
        return self._answer(
            Request(
                method=head.method,
                target=head.target,
                headers=head.headers,
                body=body,
                last=head.is_last,
                expects_continue=head.expects_continue,
            )
        )

    def _begin_head(self) -> Head | None:
        """Begin a head, if there is more than line breaks (RFC 9112 §2.2)."""
        unread = self._unread
        start = _NO_LINE_BREAK.search(unread)
        if start is None:
            unread.clear()
            return None
        del unread[: start.start()]
        self._head = head = Head(
            fields=self._bounds.fields, head_bytes=self._bounds.head_bytes, heads_below=self._bounds.heads_below
        )
        self._parser = httptools.HttpRequestParser(head)
        return head

    def _begin_body(self, head: Head) -> None:
        bounds = self._bounds
        if head.length is None:
            self._chunks = ChunkedBody(
                body_bytes=bounds.body_bytes,
                extension_bytes=bounds.extension_bytes,
                trailer_bytes=bounds.trailer_bytes,
            )
        elif head.length > bounds.body_bytes:
            raise Refused(413)
        self._continue_due = head.expects_continue and not self._unread

    def _body(self, head: Head) -> bytes | None:
        """Return the body, once it is whole."""
        unread, length = self._unread, head.length
        if self._chunks is not None:
            return bytes(self._chunks.data) if self._chunks.read(unread) else None
        if length is None or len(unread) < length:
            return None
        body = bytes(unread[:length])
        del unread[:length]
        return body
