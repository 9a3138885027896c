"""Connections on transports: one timer each, the task that answers, sending, stopping.

A caller whose connection ends is answered no further: its task is cancelled. No more is read than can be answered, and
no request is begun while the answer before it is not taken.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime
from math import inf
from typing import Final, cast

from service.accept_queue import has_unread
from service.http.application import Answering, Application, Listener
from service.http.connection import Bounds, Connection, HttpRefusal, State, Whole
from service.http.reply import Reply, reply_bytes

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_PIPELINED_IN_A_TURN: Final = 32
"""The most pipelined requests, of all connections together, that are begun in one turn of the event loop. One read can
hold thousands: a hundred connections that sent a hundred each kept others waiting for three seconds."""

_STOP_IDLE_SECONDS: Final = 0.1
"""The time for which an idle connection stays open when the server stops: a request may be on its way already."""

_STOP_STEP_SECONDS: Final = 0.02


class HttpServer:
    """All connections of one gateway, and what they share.

    While `draining`, every response closes its connection, so that callers come back to another gateway.
    `max_requests` may wait for answers at the same time; what comes on top is shed. Over `max_connections`, the oldest
    idle connection makes room for a new one.
    """

    def __init__(
        self,
        application: Application,
        *,
        bounds: Bounds,
        max_requests: int,
        max_connections: int,
        now: Callable[[], datetime],
    ) -> None:
        self.application = application
        self.bounds = bounds
        self.max_requests = max_requests
        self.draining = False
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[Reply]] = set()
        self._max_connections = max_connections
        self._connections: dict[HttpProtocol, None] = {}
        self._now = now
        self._date = ""
        self._date_until = 0.0
        self._outgoing: list[tuple[asyncio.Transport, bytes]] = []
        self._by_state: dict[State, dict[HttpProtocol, None]] = {state: {} for state in State}
        self._pipelined: deque[tuple[HttpProtocol, Whole]] = deque()

    def protocol(self, listener: Listener = Listener.EVERYTHING) -> "HttpProtocol":
        """Return the protocol of a new connection to that listener."""
        return HttpProtocol(self, listener)

    @property
    def in_flight(self) -> int:
        """The number of requests that wait for their answers."""
        return len(self.tasks)

    @property
    def open_connections(self) -> tuple["HttpProtocol", ...]:
        """The open connections, oldest first."""
        return tuple(self._connections)

    async def stop(self, *, within_seconds: float) -> None:
        """Answer what has begun to arrive; close the rest, and after that time everything."""
        for connection in self._connections:
            connection.stop()
        begun = self.loop.time()
        while self._connections and (lasted := self.loop.time() - begun) < within_seconds:
            await asyncio.sleep(_STOP_STEP_SECONDS)
            if lasted >= _STOP_IDLE_SECONDS:
                for connection in list(self._connections):
                    connection.close_if_idle()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._connections:  # noqa: ASYNC110 - transports say so in their own turns
            await asyncio.sleep(0)

    # --- for the connections ---

    def opened(self, connection: "HttpProtocol") -> None:
        """Count a connection in. Over the limit, end the oldest that is idle, else the oldest with half a request."""
        if len(self._connections) >= self._max_connections:
            endable = self._by_state[State.IDLE] or self._by_state[State.READING] or {connection: None}
            next(iter(endable)).end()
        self._connections[connection] = self._by_state[State.IDLE][connection] = None

    def moved(self, connection: "HttpProtocol", before: State, now: State) -> None:
        """Take note that a connection has come to another state."""
        self._by_state[before].pop(connection, None)
        self._by_state[now][connection] = None

    def closed(self, connection: "HttpProtocol", state: State) -> None:
        """Count a connection out; it was last seen in that state."""
        self._connections.pop(connection, None)
        self._by_state[state].pop(connection, None)

    def answer_later(self, connection: "HttpProtocol", whole: Whole) -> None:
        """Answer a pipelined request when it is its connection's turn."""
        if not self._pipelined:
            self.loop.call_soon(self._answer_pipelined)
        self._pipelined.append((connection, whole))

    def _answer_pipelined(self) -> None:
        for _ in range(min(len(self._pipelined), _PIPELINED_IN_A_TURN)):
            connection, whole = self._pipelined.popleft()
            connection.answer(whole)
        if self._pipelined:
            self.loop.call_soon(self._answer_pipelined)

    def date(self) -> str:
        """Return the field that says when a response was made (RFC 9110 6.6.1)."""
        at = self.loop.time()
        if at >= self._date_until:
            now = self._now()
            self._date = f"date: {format_datetime(now, usegmt=True)}\r\n"
            self._date_until = at + 1 - now.microsecond / 1_000_000
        return self._date

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write at the end of this turn of the loop.

        Each write wakes its caller, which then competes with the rest of our turn for the processor: together they
        cost 70 to 76 instead of 102 µs a first question from memory.
        """
        if not self._outgoing:
            self.loop.call_soon(self.flush)
        self._outgoing.append((transport, data))

    def flush(self) -> None:
        """Write now."""
        outgoing, self._outgoing = self._outgoing, []
        for transport, data in outgoing:
            transport.write(data)


class HttpProtocol(asyncio.Protocol):
    """One connection on a transport."""

    def __init__(self, server: HttpServer, listener: Listener) -> None:
        self._server = server
        self._listener = listener
        self._connection = Connection(server.bounds)
        self._transport = cast("asyncio.Transport", None)  # until `connection_made`
        self._whole: Whole | None = None
        self._said_last = False
        self._task: asyncio.Task[Reply] | None = None
        self._full = False
        self._held: Whole | None = None  # it waits until the caller has taken what was sent
        self._reading = True
        self._seen = State.IDLE
        self._half_closed = False
        self._deadline = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._connection.state

    # --- what the transport calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)  # also a small answer that is not taken is to be known of
        self._server.opened(self)
        self._follow()

    def data_received(self, data: bytes) -> None:
        connection = self._connection
        before = connection.state
        whole = connection.received(data)
        if whole is None:
            self._follow(before)
        else:
            self.answer(whole)

    def eof_received(self) -> bool:
        self._connection.ended()
        self._follow()
        return False  # the transport closes itself, once what is written is sent

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why makes no difference
        self._server.closed(self, self._seen)
        self._connection.close()
        self._whole = self._held = None
        if self._timer is not None:
            self._timer.cancel()
        self._give_up_answering()

    def pause_writing(self) -> None:
        self._full = True
        self._set_deadline(self._server.bounds.sending_seconds)

    def resume_writing(self) -> None:
        self._full = False
        held, self._held = self._held, None
        if held is None:
            self._follow()
        else:
            self.answer(held)

    # --- answering ---

    def answer(self, whole: Whole) -> None:
        """Answer a request or a refusal: at once, by a task, or when the caller has taken what was sent."""
        server, application = self._server, self._server.application
        if self._connection.state is not State.ANSWERING:
            return  # its caller has gone while it waited for its turn
        if self._full:
            self._held = whole
            return
        self._whole = whole
        try:
            if isinstance(whole, HttpRefusal):
                answer: Answering = application.refuse(whole)
            elif len(server.tasks) < server.max_requests:
                answer = application.answer(whole, self._listener)
            else:
                answer = application.shed(whole, self._listener)
        except Exception as bug:  # noqa: BLE001 - never the caller's bad HTTP; logged by the application
            answer = application.crashed(bug)
        if isinstance(answer, Reply):
            server.write(self._transport, self._bytes(answer))
            self._answered()
        else:
            self._task = answer
            server.tasks.add(answer)
            answer.add_done_callback(self._task_done)
            self._follow()

    def _task_done(self, task: asyncio.Task[Reply]) -> None:
        self._server.tasks.discard(task)
        if self._task is not task:
            return  # the connection is lost
        self._task = None
        if task.cancelled():
            self.abort()
            return
        bug = task.exception()
        reply = task.result() if bug is None else self._server.application.crashed(bug)
        # All that this connection queued in earlier turns has been written by now: callbacks run in order.
        self._transport.write(self._bytes(reply))
        self._answered()

    def _answered(self) -> None:
        following = self._connection.answered(last=self._said_last)
        if following is not None:
            self._server.answer_later(self, following)
        self._follow()

    def _bytes(self, reply: Reply) -> bytes:
        whole, server = self._whole, self._server
        self._said_last = server.draining or (whole is not None and whole.last)
        head_only = whole is not None and whole.method == b"HEAD"
        return reply_bytes(reply, date=server.date(), close=self._said_last, head_only=head_only)

    def _give_up_answering(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    # --- what the state asks for ---

    def _follow(self, before: State | None = None) -> None:
        """Bring transport and timer in line with the state. The deadline of a state that was there `before` stands."""
        connection = self._connection
        state = connection.state
        if state is not self._seen:
            self._server.moved(self, self._seen, state)
            self._seen = state
        if state is State.CLOSED:
            self._close()
            return
        if state is State.LINGERING:
            self._half_close()
        elif state is State.READING and connection.continues():
            self._server.write(self._transport, _CONTINUE)
        if connection.wants_bytes is not self._reading:
            self._reading = not self._reading
            if self._reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        if state is not before and not self._full:
            self._set_deadline(connection.deadline_seconds)

    def _close(self) -> None:
        self._give_up_answering()
        if not self._transport.is_closing():
            self._server.flush()
            self._transport.close()  # waits without end for what is not sent yet
        self._set_deadline(self._connection.deadline_seconds)

    def _half_close(self) -> None:
        """Close in stages (RFC 9112 9.6): a reset would take the answer from a caller that is still sending."""
        if not self._half_closed:
            self._half_closed = True
            self._server.flush()
            self._transport.write_eof()

    # --- time ---

    def _set_deadline(self, seconds: float | None) -> None:
        """Have `_expire` called by then. A timer that is set for earlier finds out that it is not yet time."""
        loop = self._server.loop
        self._deadline = at = inf if seconds is None else loop.time() + seconds
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = loop.call_at(at, self._expire)

    def _expire(self) -> None:
        loop = self._server.loop
        self._timer, self._timer_at = None, inf
        if loop.time() < self._deadline:
            if self._deadline < inf:
                self._timer_at = self._deadline
                self._timer = loop.call_at(self._deadline, self._expire)
            return
        if self._full or self._connection.state is State.CLOSED:
            self.abort()
            return
        whole = self._connection.deadline_passed()
        if whole is None:
            self._follow()
        else:
            self.answer(whole)

    # --- stopping ---

    def stop(self) -> None:
        """Close once what has begun to arrive is answered; while nothing has, `close_if_idle` closes."""
        self._connection.stopping = True

    def close_if_idle(self) -> None:
        """Close, unless a request is here that was not read yet: a proxy does not send a POST a second time.

        The end is sent now, for the transport closes a turn later: of a thousand connections that closed together, ten
        lost a question in that turn. What crosses with the end on the network is lost (RFC 9112 9.5).
        """
        sock = self._transport.get_extra_info("socket")
        if self._connection.state is State.IDLE and not has_unread(sock):
            self._server.flush()
            if not self._transport.get_write_buffer_size():  # else the caller waits for its answer, and the end with it
                _send_end(sock)
            self.end()

    def abort(self) -> None:
        """Close at once, and drop what is not sent."""
        self._transport.abort()

    def end(self) -> None:
        """Close once what is written is sent; nothing more is read or answered."""
        self._connection.ended()
        self._follow()


def _send_end(sock: socket.socket) -> None:
    """Send the end of a connection now: uvloop's `write_eof` does so a turn later, and its sockets cannot do it."""
    # The other side may have left, or no descriptor be left: then the end is sent a turn later.
    with suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as same:
        same.shutdown(socket.SHUT_WR)
