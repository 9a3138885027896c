"""The outermost layer: what every HTTP exchange has, whatever answers it.

Every response carries its request id and `Cache-Control: no-store`; whoever answers past the server's parser gives the
request its id, and leaves by `Exit`. The operational endpoints can be kept to a
listener of their own, and are told apart here by the port that a request came in on.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils import normalize_path
from msgspec.structs import replace

from service.api.answers import shed_reply
from service.api.identifiers import request_id_from, trace_id_from
from service.api.problems import Reply, status_reply
from service.api.response_bytes import CLOSE, Response, common_headers, response_bytes
from service.verification.interfaces import Clock

OPERATIONS: Final = frozenset({"/livez", "/readyz", "/metrics", "/version"})

_COME_BACK_SECONDS: Final = 1
"""An overload that lasts longer needs more gateways, not longer waits."""

_REQUEST_ID: Final = "ownership_gateway_request_id"
_TRACE_ID: Final = "ownership_gateway_trace_id"


def request_id_of(scope: Scope) -> str:
    """Return the id of the request."""
    request_id: str = scope["state"][_REQUEST_ID]
    return request_id


def trace_id_of(scope: Scope) -> str | None:
    """Return the trace that the request belongs to, if any."""
    trace_id: str | None = scope["state"][_TRACE_ID]
    return trace_id


AnswerAtOnce: TypeAlias = Callable[[bytes, bytes], bytes | None]
"""Takes a whole request and header fields for the response; returns the response if it needs no waiting."""


IsBeginning: TypeAlias = Callable[[bytes], bool]
"""Takes what has come of a request; says whether it is a plain question of which some is still to come."""


class Exit(Protocol):
    """Where answers leave that went past the server's parser."""

    def finish(self, reply: Reply, request_id: str) -> Response:
        """Return the response to the request with that id."""

    def finish_written(self, write: Callable[[bytes], bytes]) -> Response:
        """Return the response that is written already, but for further header fields."""


AnswerSoon: TypeAlias = Callable[[bytes, Exit], asyncio.Future[Response] | None]
"""Takes a whole request; returns what will be its response, if that needs neither parser nor framework."""


class Edge:
    """Wraps the application, and its parts for plain questions: `answers_at_once` without waiting, `answers_soon`.

    `soon` says how many of the latter are under way.
    `operations_port` is the port that alone serves the operational endpoints, if any. While `draining`, every response
    asks its connection to be closed, so that callers come back to another gateway.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        answers_at_once: AnswerAtOnce,
        answers_soon: AnswerSoon,
        is_beginning: IsBeginning,
        soon: Callable[[], int],
        clock: Clock,
        on_shed: Callable[[], None],
        operations_port: int | None = None,
    ) -> None:
        self._app = app
        self._answers_at_once = answers_at_once
        self._answers_soon = answers_soon
        self._is_beginning = is_beginning
        self._soon = soon
        self._clock = clock
        self._on_shed = on_shed
        self.operations_port = operations_port
        self.draining = False
        self._in_flight = 0

    def in_flight(self) -> int:
        """Return how many requests are being answered."""
        return self._in_flight + self._soon()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        state = scope.setdefault("state", {})
        state[_REQUEST_ID] = request_id
        state[_TRACE_ID] = trace_id_from(_text(headers.get(b"traceparent")))
        send_marked = self._marking(send, request_id)
        if self._misplaced(scope):
            await send_reply(status_reply(404, request_id=request_id), send_marked)
            return
        self._in_flight += 1
        try:
            await self._app(scope, receive, send_marked)
        finally:
            self._in_flight -= 1

    def answer_at_once(self, request: bytes, fields: bytes, server: Any) -> bytes | None:  # noqa: ANN401 - as a socket has it
        """Return the response to a whole request that came in at that address, `fields` among its headers.

        None for whatever needs to be waited for, and then nothing has happened yet: it goes the usual way.
        """
        if self.draining or self._is_for_operations(server):
            return None
        return self._answers_at_once(request, fields)

    def answer_soon(self, request: bytes, server: Any) -> asyncio.Future[Response] | None:  # noqa: ANN401 - as above
        """Return what will be, or is, the response to a whole request that came in at that address.

        None for whatever needs the parser, and then nothing has happened yet: it goes the usual way.
        """
        if self.draining or self._is_for_operations(server):
            return None
        return self._answers_soon(request, self)

    def is_beginning(self, request: bytes, server: Any) -> bool:  # noqa: ANN401 - as above
        """Return whether what came in at that address is a plain question whose rest is worth waiting for."""
        return not self.draining and not self._is_for_operations(server) and self._is_beginning(request)

    async def shed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what comes on top of what the process can take on: at once, and without looking at it.

        The operational endpoints are answered as ever: an orchestrator must not kill a gateway for being busy.
        """
        if scope["type"] != ScopeType.HTTP or normalize_path(scope["path"]) in OPERATIONS or self._misplaced(scope):
            await self(scope, receive, send)
            return
        self._on_shed()
        request_id = self._request_id(dict(scope["headers"]))
        reply = shed_reply(request_id=request_id, retry_after_seconds=_COME_BACK_SECONDS)
        await send_reply(reply, self._marking(send, request_id))

    def refuse(self) -> Reply:
        """Return what is told to whoever does not speak HTTP, with all its headers."""
        request_id = self._request_id({})
        return status_reply(400, request_id=request_id, headers=common_headers(request_id))

    def finish(self, reply: Reply, request_id: str) -> Response:
        """Return the response to the request with that id, with the headers that every response has."""
        headers = {**reply.headers, **common_headers(request_id)}
        return self.finish_written(partial(response_bytes, replace(reply, headers=headers)))

    def finish_written(self, write: Callable[[bytes], bytes]) -> Response:
        """Return the response that is written already, but for further header fields."""
        if not self.draining:
            return Response(write)
        return Response(lambda fields: write(fields + CLOSE), closes=True)

    def _is_for_operations(self, server: Any) -> bool:  # noqa: ANN401 - as a socket has it, or as ASGI does
        return self.operations_port is not None and server is not None and bool(server[1] == self.operations_port)

    def _request_id(self, headers: Mapping[bytes, bytes]) -> str:
        return request_id_from(_text(headers.get(b"x-request-id")), at=self._clock.now())

    def _marking(self, send: Send, request_id: str) -> Send:
        common = _encoded(common_headers(request_id))

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *common,
                    *([(b"connection", b"close")] if self.draining else []),
                ]
            await send(message)

        return send_marked

    def _misplaced(self, scope: Scope) -> bool:
        if self.operations_port is None:
            return False
        # As the router reads it: to it, `/metrics/` is `/metrics` too.
        return self._is_for_operations(scope.get("server")) != (normalize_path(scope["path"]) in OPERATIONS)


async def send_reply(reply: Reply, send: Send) -> None:
    """Send a reply without the framework."""
    headers = [(b"content-type", reply.media_type.encode("ascii")), (b"content-length", b"%d" % len(reply.body))]
    headers += _encoded(reply.headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")
