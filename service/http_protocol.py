"""Uvicorn's HTTP protocol with the two bounds it lacks: on slow headers, and on how much is taken on at once."""

from asyncio import TimerHandle, Transport
from typing import Any, Final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADER_SECONDS: Final = 10.0
"""How long a connection may take to send a whole header; uvicorn waits for ever, a caller nearby needs milliseconds."""

LARGEST_HEADER: Final = 32 * 1024
"""Twice the largest body; the parser itself has no bound."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `max_requests` and `shed` are set by `bounded_protocol`.

    A connection that has not sent a whole header in `HEADER_SECONDS` is closed: the first one counted from the
    connection, later ones from their first byte. While `max_requests` are under way in the process, further ones go to
    `shed`, which answers at once; it is told apart there what must never be shed.
    """

    max_requests: int
    shed: Any

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(*arguments, **settings)
        self._reading_header = True
        self._header_bytes = 0
        self._header_deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(transport)
        self._header_deadline = self.loop.call_later(HEADER_SECONDS, self._hang_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._reading_header:
            self._stop_waiting()
            return
        self._header_bytes += len(data)
        if self._header_bytes > LARGEST_HEADER:
            self._hang_up()
        elif self._header_deadline is None:
            self._header_deadline = self.loop.call_later(HEADER_SECONDS, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._reading_header = True
        self._header_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._reading_header = False
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, app if len(self.tasks) < self.max_requests else self.shed)

    def _stop_waiting(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _hang_up(self) -> None:
        self._header_deadline = None
        self.transport.abort()


def bounded_protocol(*, max_requests: int, shed: Any) -> type[BoundedProtocol]:  # noqa: ANN401 - ASGI, as either library types it
    """Return the protocol for one server: `shed` is the ASGI application for what comes on top of `max_requests`."""
    members = {"max_requests": max_requests, "shed": staticmethod(shed)}
    return type("BoundedProtocol", (BoundedProtocol,), members)
