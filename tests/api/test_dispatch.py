"""Each request's way, and the parts of an exchange that are the same on all of them."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.http.application import Application, Listener
from service.http.connection import HttpRefusal, Request
from service.http.reply import Reply
from tests.api.conftest import Open
from tests.gateways import X_MOON, Asker, LogLines, client_of, http_client, read_metric
from tests.http.serving import listening

OPERATIONS = ["/livez", "/readyz", "/metrics", "/metrics/", "/version", "/m%65trics?x=1"]


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00-0af7651916cd43dd8448eb211c80319c",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "nonsense",
    ],
)
async def test_malformed_traceparent_is_ignored(gateway: Asker, log: LogLines, traceparent: str) -> None:
    """A header that names no trace leaves none in the log."""
    await gateway.http.post("/verify/jwt", json={"game": 3, "jwt": ""}, headers={"traceparent": traceparent})

    assert "trace_id" not in await log.line("verified")


async def test_traceparent_of_a_later_version_is_read(gateway: Asker, log: LogLines) -> None:
    """Later versions may only append (W3C Trace Context, 3.2.4)."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"

    await gateway.http.post(
        "/verify/jwt", json={"game": 3, "jwt": ""}, headers={"traceparent": f"01-{trace_id}-b7ad6b7169203331-01-more"}
    )

    assert (await log.line("verified"))["trace_id"] == trace_id


async def test_draining_gateway_asks_connections_to_close(gateway: Asker) -> None:
    """Callers come back over a new connection, to another gateway."""
    before = await gateway.http.get("/livez")
    gateway.gateway.http.draining = True

    after = await gateway.http.get("/livez")

    assert "connection" not in before.headers
    assert after.headers["connection"] == "close"


async def test_requests_in_flight_are_counted(gateway: Asker) -> None:
    """The scrape itself is one."""
    assert await gateway.metric("requests_in_flight") == 1
    assert gateway.gateway.http.in_flight == 0


@pytest.fixture
async def operations(gateway: Asker) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the listener for operations alone."""
    async with (
        listening(gateway.gateway.http, Listener.OPERATIONS) as server,
        http_client(server.port) as http,
    ):
        yield http


@pytest.fixture
async def questions(gateway: Asker) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the listener for questions alone."""
    async with client_of(gateway.gateway, Listener.QUESTIONS) as http:
        yield http


@pytest.mark.parametrize("path", OPERATIONS)
async def test_operations_have_a_listener_of_their_own(
    questions: httpx.AsyncClient, operations: httpx.AsyncClient, path: str
) -> None:
    """The operational endpoints are on their own port alone, in every spelling of their paths."""
    assert ((await operations.get(path)).status_code, (await questions.get(path)).status_code) == (200, 404)


@pytest.mark.parametrize("path", ["/verify/jwt", "/verify/%6Awt/?x=1", "/verify/batch", "/openapi.json", "/nothing"])
async def test_listener_for_operations_answers_nothing_else(operations: httpx.AsyncClient, path: str) -> None:
    """The operational port may be reached by people who may not ask about players."""
    assert [(await operations.post(path)).status_code, (await operations.get(path)).status_code] == [404, 404]


@pytest.mark.parametrize(
    "target", ["/verify/user/", "/verify/user?x=1", "/verify/%75ser", "//verify//user", "/verify/user#x"]
)
async def test_question_is_found_in_every_spelling_of_its_path(gateway: Asker, target: str) -> None:
    """As the framework's router reads paths."""
    application = gateway.gateway.http.application

    assert (await answered(application, post(target.encode()))).status == 200


@pytest.mark.parametrize("target", [b"http://gateway/verify/user", b"http://gateway:80/verify/user?x"])
async def test_target_may_be_a_whole_url(gateway: Asker, target: bytes) -> None:
    """RFC 9112 3.2.2: a server must accept it."""
    assert (await answered(gateway.gateway.http.application, post(target))).status == 200


@pytest.mark.parametrize("target", [b"*", b"http://", b"/verify/user\xff", b"/verify/nothing", b"/verify"])
async def test_target_that_is_no_path_of_ours_is_not_found(gateway: Asker, target: bytes) -> None:
    """The 404 is a problem like any other."""
    reply = await answered(gateway.gateway.http.application, post(target))

    assert (reply.status, reply.media_type) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json"])
async def test_head_is_get_without_a_body(gateway: Asker, path: str) -> None:
    """RFC 9110 9.3.2."""
    head, get = await gateway.http.head(path), await gateway.http.get(path)

    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", get.headers["content-type"])


async def test_bug_of_ours_is_a_problem_and_a_line(open_with: Open, log: LogLines) -> None:
    """500 with the request's id, under which the log has the traceback, and nothing else."""

    def broken(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError("canary-7f3a91")

    gateway = await open_with(
        '[itch]\napi_key = "a-seller-key-of-a-test"\n' + X_MOON, sandbox=False, transport=httpx.MockTransport(broken)
    )

    response = await gateway.http.post(
        "/verify/download-key",
        json={"game": 3, "download_key": "canary-7f3a91-as-a-key"},
        headers={"x-request-id": "request-1"},
    )

    line = await log.line("bug")
    assert (response.status_code, response.json()) == (
        500,
        {
            "type": "/docs#internal_error",
            "title": "A bug of the gateway's; the log has it under this request id",
            "status": 500,
            "code": "internal_error",
            "request_id": "request-1",
        },
    )
    assert await gateway.metric("bugs_total", where="request") == 1
    assert re.search(r"RuntimeError", str(log.written))
    assert line["level"] == "error"
    assert b"canary" not in log.written


async def test_bug_behind_the_framework_is_a_problem_and_a_line(gateway: Asker, log: LogLines) -> None:
    """A component whose state cannot be read."""
    gateway.gateway.readiness._components = {"source": lambda: 1 // 0}  # type: ignore[dict-item,return-value]

    response = await gateway.http.get("/readyz", headers={"x-request-id": "request-1"})

    line = await log.line("bug")
    assert read_metric(gateway.gateway.metrics.render()[0].decode(), "bugs_total", where="request") == 1
    assert (response.status_code, response.json()["request_id"], line["request_id"]) == (500, "request-1", "request-1")


async def test_bug_of_the_framework_itself_is_a_problem_and_a_line(gateway: Asker, log: LogLines) -> None:
    """Under the request's own id, as any other bug."""

    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise ZeroDivisionError

    application: Any = gateway.gateway.application
    application._framework = broken

    response = await gateway.http.get("/anything", headers={"x-request-id": "request-1"})

    line = await log.line("bug")
    assert read_metric(gateway.gateway.metrics.render()[0].decode(), "bugs_total", where="request") == 1
    assert (response.status_code, response.json()["request_id"], line["request_id"]) == (500, "request-1", "request-1")


async def test_callers_are_told_by_their_token_however_they_spell_the_content_type(gateway: Asker) -> None:
    """The heads that are remembered are bounded in number and size."""
    application: Any = gateway.gateway.application
    known = application._short_way._current.configuration.known_heads
    largest = 0
    for number in range(1010):
        request = post(content_type=b"application/json; v=%d" % number)
        assert (await answered(application, request)).status == 200
        largest = max(largest, len(known))
    await answered(application, post(authorization=b"x" * 30_000))

    assert (largest, max(len(head[1] or b"") for head in known)) == (1000, 0)


async def test_request_on_top_of_what_can_be_taken_on_is_told_when_to_come_back(gateway: Asker) -> None:
    """The refusal has the headers of every other answer, and is counted."""
    reply = gateway.gateway.http.application.shed(post(), Listener.EVERYTHING)

    assert isinstance(reply, Reply)
    assert reply.status == 503
    assert reply.headers == {"retry-after": "1", "x-request-id": "request-1", "cache-control": "no-store"}
    assert await gateway.metric("refused_total", cause="overloaded") == 1


@pytest.mark.parametrize("path", OPERATIONS)
@pytest.mark.parametrize("listener", [Listener.EVERYTHING, Listener.OPERATIONS])
async def test_busy_gateway_still_tells_how_it_is(gateway: Asker, path: str, listener: Listener) -> None:
    """An orchestrator must not kill a gateway for being busy."""
    request = Request(method=b"GET", target=path.encode(), headers={b"host": b"gateway"})
    answer = gateway.gateway.http.application.shed(request, listener)

    assert not isinstance(answer, Reply)
    assert (await answer).status == 200


async def test_question_on_the_listener_for_operations_is_misplaced_however_busy_it_is(gateway: Asker) -> None:
    """Coming back later would not help."""
    answer = gateway.gateway.http.application.shed(post(), Listener.OPERATIONS)

    assert not isinstance(answer, Reply)
    assert (await answer).status == 404


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (400, "bad_request", "bad_request"),
        (405, "method_not_allowed", "bad_request"),
        (408, "request_timeout", "bad_request"),
        (413, "body_too_large", "body_too_large"),
        (505, "unsupported_version", "bad_request"),
    ],
)
async def test_bytes_that_are_no_request_get_a_problem(gateway: Asker, status: int, code: str, cause: str) -> None:
    """The problem has a request id, and is counted by kind."""
    reply = gateway.gateway.http.application.refuse(HttpRefusal(status))

    assert (reply.status, reply.media_type, f'"code":"{code}"' in reply.body.decode()) == (
        status,
        "application/problem+json",
        True,
    )
    assert reply.headers["x-request-id"] in reply.body.decode()
    assert await gateway.metric("refused_total", cause=cause) == 1


async def test_bug_outside_of_every_way_is_logged(gateway: Asker, log: LogLines) -> None:
    """The last resort of a connection."""
    reply = gateway.gateway.http.application.crashed(ZeroDivisionError())

    line = await log.line("bug")
    assert (reply.status, reply.headers["x-request-id"]) == (500, line["request_id"])


def post(
    target: bytes = b"/verify/user", *, content_type: bytes = b"application/json", authorization: bytes | None = None
) -> Request:
    """Return a question."""
    headers = {b"host": b"gateway", b"content-type": content_type, b"x-request-id": b"request-1"}
    if authorization is not None:
        headers[b"authorization"] = authorization
    return Request(method=b"POST", target=target, headers=headers, body=b'{"game": 3, "user_id": 1}')


async def answered(application: Application, request: Request) -> Reply:
    """Return the reply."""
    answer = application.answer(request, Listener.EVERYTHING)
    return answer if isinstance(answer, Reply) else await answer
