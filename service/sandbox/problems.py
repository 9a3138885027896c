"""How the sandbox's control endpoints say no."""

from litestar import Response
from msgspec import Struct

from service.sandbox.delivery import SANDBOX_HEADER, SANDBOX_HEADER_VALUE


class SandboxProblem(Struct, frozen=True):
    """Why a request was refused (RFC 9457)."""

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"


def answer_problem(status: int, *, title: str, code: str, detail: str) -> Response[SandboxProblem]:
    """Return a problem as an HTTP answer of the sandbox."""
    return Response(
        SandboxProblem(title, status, code, detail),
        status_code=status,
        media_type="application/problem+json",
        headers={SANDBOX_HEADER: SANDBOX_HEADER_VALUE},
    )
