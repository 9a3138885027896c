"""Rules for every response, and the port of each endpoint."""

import httpx
import pytest

from tests.api.test_answers import ULID
from tests.gateways import Asker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def gateway(shared: Asker) -> Asker:
    """The gateway of this module, with one listener."""
    return shared


EVERYTHING = [
    ("POST", "/verify/jwt", 200),
    ("POST", "/verify/email", 400),
    ("GET", "/verify/jwt", 405),
    ("GET", "/nothing", 404),
    ("GET", "/livez", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/version", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/sandbox/", 200),
]


async def send(gateway: Asker, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Send a request that is good for `/verify/jwt` and for nothing else."""
    body = {"game": 3, "jwt": ""} if method == "POST" else None
    return await gateway.http.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize(("method", "path", "status"), EVERYTHING)
async def test_every_response_names_its_request(gateway: Asker, method: str, path: str, status: int) -> None:
    """The caller's own request id comes back in every response."""
    response = await send(gateway, method, path, {"x-request-id": "match-7"})

    assert (response.status_code, response.headers["x-request-id"]) == (status, "match-7")


@pytest.mark.parametrize(("method", "path", "status"), EVERYTHING)
async def test_no_response_may_be_stored(gateway: Asker, method: str, path: str, status: int) -> None:
    """No proxy or cache on the way may repeat an answer or a problem."""
    response = await send(gateway, method, path)

    assert response.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize(
    "request_id",
    ["", "a" * 129, "with space", "\xdcn\xefcode", 'quote"', "<script>", "a;b", "{}"],
)
async def test_unsafe_request_id_is_replaced(gateway: Asker, request_id: str) -> None:
    """A request id that could break a header or a log line is not repeated."""
    response = await gateway.http.get("/livez", headers=[(b"x-request-id", request_id.encode("latin-1"))])

    assert ULID.fullmatch(response.headers["x-request-id"])


@pytest.mark.parametrize("request_id", ["a" * 128, "0", "a.b_c:d/e+f=g@h~i-j"])
async def test_safe_request_id_is_taken_over(gateway: Asker, request_id: str) -> None:
    """A request id may have up to 128 characters that are safe in headers and log lines."""
    response = await send(gateway, "GET", "/livez", {"x-request-id": request_id})

    assert response.headers["x-request-id"] == request_id


async def test_requests_without_an_id_get_different_ones(gateway: Asker) -> None:
    """A made id names one request."""
    ids = {(await send(gateway, "GET", "/livez")).headers["x-request-id"] for _ in range(50)}

    assert len(ids) == 50


async def test_problem_and_header_name_the_same_request(gateway: Asker) -> None:
    """A caller that keeps only the body can name the request too."""
    response = await send(gateway, "GET", "/nothing")

    assert response.json()["request_id"] == response.headers["x-request-id"]
