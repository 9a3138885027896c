"""The endpoints. Each converts, asks once, converts back; whatever is raised ends as a problem.

Bodies are read raw: the framework's own conversion takes `"3"` for a number and repeats the request in its errors.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from litestar import Request, Response, Router, get, post
from litestar.exceptions import HTTPException, InternalServerException

from service.api.admin import AdminDesk
from service.api.admission import RIGHT_FOR
from service.api.batch import BatchDesk
from service.api.callers import Caller, CallerDirectory
from service.api.edge import request_id_of, trace_id_of
from service.api.openapi import describe_api
from service.api.paths import BATCH_PATH, INVALIDATE_PATH, PATHS, is_json
from service.api.problems import Reply, status_reply
from service.api.questions import QUESTIONS, BodyReader
from service.api.verify import Asking, VerifyDesk
from service.errors import QuestionRefused
from service.observability.logs import Logging
from service.ownership import Method
from service.rights import Right
from service.verification.interfaces import Clock

BODY_TIMEOUT: Final = timedelta(seconds=5)
"""The server bounds neither headers nor bodies in time; a caller on the same network needs milliseconds."""

AnyRequest = Request[Any, Any, Any]


def create_verify_router(
    *, desk: VerifyDesk, batch_desk: BatchDesk, admin_desk: AdminDesk, callers: CallerDirectory, clock: Clock
) -> Router:
    """Return the `/verify` endpoints and their description."""
    reception = _Reception(desk=desk, callers=callers, clock=clock)
    handlers = [_create_verify_handler(method, path, desk, reception) for method, path in PATHS.items()]

    @post(BATCH_PATH, status_code=200)
    async def verify_batch(request: AnyRequest) -> Response[bytes]:
        """Answer up to 100 questions."""
        # Each item is counted on its own, and needs the right for its own method besides.
        return await reception.receive(request, [Right.VERIFY], batch_desk.answer, counted=False)

    @post(INVALIDATE_PATH, status_code=200)
    async def invalidate(request: AnyRequest) -> Response[bytes]:
        """Forget a subject, or a game."""
        return await reception.receive(request, [Right.ADMIN], admin_desk.invalidate, counted=True)

    @get("/openapi.json", sync_to_thread=False)
    def show_description() -> Response[bytes]:
        """Return the description of this API, in OpenAPI 3.1."""
        return Response(describe_api(), media_type="application/vnd.oai.openapi+json")

    return Router("/", route_handlers=[*handlers, verify_batch, invalidate, show_description])


def _create_verify_handler(method: Method, path: str, desk: VerifyDesk, reception: "_Reception") -> Any:  # noqa: ANN401
    reader = BodyReader(QUESTIONS[method])

    async def answer(body: bytes, asking: Asking) -> Reply:
        return await desk.answer(reader.read(body), asking)

    @post(path, status_code=200, name=f"verify_{method}")
    async def verify(request: AnyRequest) -> Response[bytes]:
        """Answer one question."""
        return await reception.receive(request, RIGHT_FOR[method], answer, counted=True)

    return verify


class _Reception:
    """What happens to every question before it is read: who asks, may they, how much, and in what form."""

    def __init__(self, *, desk: VerifyDesk, callers: CallerDirectory, clock: Clock) -> None:
        self._desk = desk
        self._callers = callers
        self._clock = clock

    async def receive(
        self,
        request: AnyRequest,
        rights: Sequence[Right],
        answer: Callable[[bytes, Asking], Awaitable[Reply]],
        *,
        counted: bool,
    ) -> Response[bytes]:
        scope = request.scope
        request_id = request_id_of(scope)
        caller: Caller | None = None
        try:
            caller = self._callers.identify(_header(request, b"authorization"))
            caller.require(*rights)
            if counted:
                caller.ask()
            if not is_json(_header(request, b"content-type")):
                return response(status_reply(415, request_id=request_id))
            body = await self._body(request)
            reply = await answer(body, Asking(caller, request_id, trace_id_of(scope), self._clock.now()))
        except QuestionRefused as refusal:
            reply = self._desk.refuse(refusal, request_id=request_id, caller=caller)
        except TimeoutError:
            reply = status_reply(408, request_id=request_id, headers={"connection": "close"})
        return response(reply)

    async def _body(self, request: AnyRequest) -> bytes:
        async with self._clock.timeout(BODY_TIMEOUT):
            try:
                return await request.body()
            except InternalServerException as error:
                raise HTTPException(status_code=400) from error  # the caller hung up halfway


def refuse_request(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses; its own words would repeat the request."""
    return response(
        status_reply(error.status_code, request_id=request_id_of(request.scope), headers=dict(error.headers or {}))
    )


def create_crash_handler(log: Logging) -> Callable[[AnyRequest, Exception], Response[bytes]]:
    """Return what answers a bug: 500, and the traceback in the log under the request's id."""

    def answer_crash(request: AnyRequest, error: Exception) -> Response[bytes]:
        return response(crash_reply(error, request_id_of(request.scope), log=log))

    return answer_crash


def crash_reply(error: Exception, request_id: str, *, log: Logging) -> Reply:
    """Log a bug, and return what its victim is told."""
    log.logger.error("bug", request_id=request_id, exc_info=error)
    return status_reply(500, request_id=request_id)


def response(reply: Reply) -> Response[bytes]:
    """Return a reply as the framework sends it."""
    return Response(reply.body, status_code=reply.status, headers=reply.headers, media_type=reply.media_type)


def _header(request: AnyRequest, name: bytes) -> bytes | None:
    return next((value for key, value in request.scope["headers"] if key == name), None)
