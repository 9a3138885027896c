"""The sandbox as one application: the store's endpoints in both dialects, and its control endpoints."""

from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException

from service.interfaces import Clock
from service.sandbox.control import create_control_router
from service.sandbox.delivery import create_store_handler
from service.sandbox.problems import SandboxProblem, answer_problem
from service.sandbox.state import Sandbox
from service.sandbox.world import World


def create_sandbox(*, clock: Clock, world: World | None = None) -> Litestar:
    """Return a sandbox of its own: the seeded world, unless another is given."""
    return create_sandbox_app(Sandbox(clock=clock, world=world))


def create_sandbox_app(sandbox: Sandbox) -> Litestar:
    """Return the application for a sandbox that something else holds too, such as the gateway's control endpoints."""
    return Litestar(
        route_handlers=[create_store_handler(sandbox), create_control_router(sandbox)],
        exception_handlers={HTTPException: _refuse},
        openapi_config=None,
        # Whoever serves the sandbox decides about logs; the default would configure them for the whole process.
        logging_config=None,
        debug=False,
    )


def _refuse(_request: Request[Any, Any, Any], error: HTTPException) -> Response[SandboxProblem]:
    # The framework's own detail would repeat the request.
    refusal = answer_problem(
        error.status_code, title="Not here", code="refused", detail="GET /sandbox shows what there is"
    )
    refusal.headers.update(error.headers or {})
    return refusal
