"""Each request's way: single questions go the short way, everything else to the framework.

The operational endpoints can have a listener of their own; the other listeners then answer 404 for them.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from litestar.types import ASGIApp, Scope

from service.api.answers import shed_reply
from service.api.current_configuration import CurrentConfiguration
from service.api.identifiers import request_id_from, trace_id_from
from service.api.paths import is_administration, is_console, is_forward_auth, is_operational, method_at
from service.api.problems import common_headers, problem_reply, status_reply
from service.api.short_way import ShortWay
from service.api.verify_service import VerifyService
from service.http.application import Answering, Listener
from service.http.asgi import reply_of
from service.http.connection import HttpRefusal, Request
from service.http.reply import Reply
from service.observability.labels import RefusalCause
from service.verification.interfaces import Clock

if TYPE_CHECKING:  # off until configured: not even imported
    from service.api.forward_auth import ForwardAuth

_SHED_RETRY_SECONDS: Final = 1
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


class Dispatcher:
    """Answers every request that a connection brings; the connections' `Application`.

    With a `console` the listener for operations has it alone, and what it acts by too. `open_forward_auth` is called
    when a proxy first asks while there are policies.
    """

    def __init__(
        self,
        *,
        short_way: ShortWay,
        framework: ASGIApp,
        service: VerifyService,
        current: CurrentConfiguration,
        open_forward_auth: "Callable[[], ForwardAuth]",
        clock: Clock,
        console: bool,
    ) -> None:
        self._short_way = short_way
        self._framework = framework
        self._service = service
        self._clock = clock
        self._current = current
        self._open_forward_auth = open_forward_auth
        self._forward_auth: ForwardAuth | None = None
        self._console = console
        self._loop = asyncio.get_running_loop()

    def answer(self, request: Request, listener: Listener) -> Answering:
        """Return the reply to a request, or the task that will have it."""
        method = method_at(request.target)
        if method is not None and listener is not Listener.OPERATIONS:
            return self._short_way.answer(method, request)
        if is_forward_auth(request.target) and listener is not Listener.OPERATIONS:
            return self._by_policy(request)
        return self._loop.create_task(self._by_framework(request, listener))

    def shed(self, request: Request, listener: Listener) -> Answering:
        """Refuse a request at once, and without looking at it: more are under way than can be taken on.

        The operational endpoints are answered as ever: an orchestrator must not kill a gateway for being busy.
        """
        operational = listener is Listener.EVERYTHING and is_operational(request.target)
        if operational or listener is Listener.OPERATIONS:
            return self._loop.create_task(self._by_framework(request, listener))
        self._service.count_refused(RefusalCause.OVERLOADED)
        return shed_reply(request_id=self._request_id(request), retry_after_seconds=_SHED_RETRY_SECONDS)

    def refuse(self, refusal: HttpRefusal) -> Reply:
        """Answer bytes that are no request."""
        cause = RefusalCause.BODY_TOO_LARGE if refusal.status == 413 else RefusalCause.BAD_REQUEST  # noqa: PLR2004
        self._service.count_refused(cause)
        return status_reply(refusal.status, request_id=request_id_from(None, at=self._clock.now()))

    def crashed(self, bug: BaseException) -> Reply:
        """Answer a request that met a bug outside of both ways."""
        return self._service.crashed(bug, request_id=request_id_from(None, at=self._clock.now()))

    def _by_policy(self, request: Request) -> Answering:
        if not self._current.configuration.policies:
            title, detail = "This is not turned on here", "there are no policies: configure [forward_auth.<policy>]"
            return problem_reply(404, "not_enabled", title, request_id=self._request_id(request), detail=detail)
        if self._forward_auth is None:
            self._forward_auth = self._open_forward_auth()
        return self._forward_auth.answer(request)

    async def _by_framework(self, request: Request, listener: Listener) -> Reply:
        request_id = self._request_id(request)
        if not self._is_at(request.target, listener):
            return status_reply(404, request_id=request_id)
        trace_id = trace_id_from(request.headers.get(b"traceparent"))
        try:
            reply = await reply_of(self._framework, request, {_REQUEST_ID: request_id, _TRACE_ID: trace_id})
        except Exception as bug:  # noqa: BLE001 - 500, and a line in the log under the request's own id
            return self._service.crashed(bug, request_id=request_id)
        for name, value in common_headers(request_id).items():
            reply.headers.setdefault(name, value)  # a browser may keep the files of the console, and no more
        return reply

    def _is_at(self, target: bytes, listener: Listener) -> bool:
        match listener:
            case Listener.EVERYTHING:
                return True
            case Listener.OPERATIONS:
                return is_operational(target) or (self._console and is_administration(target))
            case _:
                return not is_operational(target) and not is_console(target)

    def _request_id(self, request: Request) -> str:
        return request_id_from(request.headers.get(b"x-request-id"), at=self._clock.now())
