"""The control endpoints as Litestar routes, for a gateway that has a sandbox."""

from collections.abc import Callable
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler

from service.sandbox.control import ENDPOINTS, LARGEST_BODY, PREFIX, perform
from service.sandbox.state import Sandbox
from service.sandbox.store_answers import SANDBOX_HEADER, SANDBOX_HEADER_VALUE


def create_control_routes(sandbox: Sandbox) -> list[HTTPRouteHandler]:
    """Return the control endpoints of one sandbox, for any application that serves them."""
    return [
        _create_handler(sandbox, PREFIX + path, method, act)
        for path, methods in ENDPOINTS.items()
        for method, act in methods.items()
    ]


def _create_handler(sandbox: Sandbox, path: str, method: str, act: Callable[[Sandbox, bytes], Any]) -> HTTPRouteHandler:
    @route(
        path,
        http_method=HttpMethod(method),
        status_code=200,
        response_headers=[ResponseHeader(name=SANDBOX_HEADER, value=SANDBOX_HEADER_VALUE)],
        request_max_body_size=LARGEST_BODY,
        include_in_schema=False,
    )
    async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
        answer = perform(act, sandbox, await request.body())
        return Response(answer.body, status_code=answer.status, media_type=answer.content_type)

    return handle
