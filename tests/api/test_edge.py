"""What every exchange has, whatever answers it; and the parts of HTTP that a client library hides."""

import asyncio
import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar.types import Message

from service.api.edge import Edge
from tests.api.conftest import Open
from tests.api.test_fast_path import Doors
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, until


async def raw(
    gateway: Asker, messages: Iterable[object], *, path: str = "/verify/jwt", headers: dict[str, str] | None = None
) -> list[Any]:
    """Call the application as a server does; once the messages are used up, nothing more arrives."""
    waiting = list(messages)
    sent: list[Any] = []
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"content-type", b"application/json"),
            *((name.encode(), value.encode()) for name, value in (headers or {}).items()),
        ],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8080),
    }

    async def receive() -> Any:
        if waiting:
            return waiting.pop(0)
        return await asyncio.get_running_loop().create_future()

    async def keep(message: Message) -> None:
        sent.append(message)

    await gateway.gateway.asgi(scope, receive, keep)
    return sent


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
    gateway.gateway.asgi.draining = True

    after = await gateway.http.get("/livez")

    assert "connection" not in before.headers
    assert after.headers["connection"] == "close"


async def test_requests_in_flight_are_counted(gateway: Asker) -> None:
    """The scrape itself is one."""
    assert await gateway.metric("requests_in_flight") == 1
    assert gateway.gateway.asgi.in_flight() == 0


async def test_question_over_a_unix_socket_is_answered_beside_operations_on_a_port(gateway: Asker) -> None:
    """A Unix socket has no port, so it is never the one of operations."""
    gateway.gateway.asgi.operations_port = 9090
    app: Any = gateway.gateway.asgi

    async def without_server(scope: Any, receive: Any, send_message: Any) -> None:
        await app({**scope, "server": None}, receive, send_message)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(without_server), base_url="http://gateway") as http:
        question = await http.post("/verify/jwt", json={"game": 3, "jwt": ""})
        operation = await http.get("/livez")

    assert (question.status_code, operation.status_code) == (200, 404)


async def test_body_that_does_not_arrive_is_not_waited_for(gateway: Asker, clock: FakeClock) -> None:
    """After five seconds the caller gets 408 and its connection is closed."""
    asking = asyncio.create_task(raw(gateway, [{"type": "http.request", "body": b'{"game"', "more_body": True}]))
    await until(gateway.gateway.asgi.in_flight)
    await clock.advance(timedelta(seconds=4.9))
    assert not asking.done()

    await clock.advance(timedelta(seconds=0.1))

    start, body = await asking
    assert (start["status"], b"request_timeout" in body["body"]) == (408, True)
    assert (b"connection", b"close") in start["headers"]


async def test_caller_that_hangs_up_halfway_is_no_bug(gateway: Asker, log: LogLines) -> None:
    """A broken connection is the caller's business; it leaves no error in the log."""
    sent = await raw(
        gateway, [{"type": "http.request", "body": b'{"game"', "more_body": True}, {"type": "http.disconnect"}]
    )

    assert sent[0]["status"] == 400
    assert log.lines("bug") == []


async def test_body_may_come_in_pieces(gateway: Asker) -> None:
    """A body is what all its pieces are together."""
    start, _ = await raw(
        gateway,
        [
            {"type": "http.request", "body": b'{"game": 3,', "more_body": True},
            {"type": "http.request", "body": b"", "more_body": True},
            {"type": "http.request", "body": b' "jwt": ""}', "more_body": False},
        ],
    )

    assert start["status"] == 200


async def test_what_is_not_http_is_handed_on(gateway: Asker) -> None:
    """Servers also ask about start and end; the framework knows what to say."""
    messages: list[Any] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def keep(message: Message) -> None:
        sent.append(message["type"])

    scope: Any = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    await gateway.gateway.asgi(scope, receive, keep)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("door", ["framework", "before_framework", "at_once"])
async def test_bug_of_ours_is_a_problem_and_a_line(open_with: Open, log: LogLines, door: str) -> None:
    """500 says nothing but the request's id, under which the log has where it was."""

    def broken(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError("canary-7f3a91")

    gateway = await open_with(
        '[itch]\napi_key = "a-seller-key-of-a-test"\n' + X_MOON, sandbox=False, transport=httpx.MockTransport(broken)
    )

    ask = getattr(Doors(gateway), door)
    response = await ask(
        "/verify/download-key",
        b'{"game": 3, "download_key": "canary-7f3a91-as-a-key"}',
        [("content-type", "application/json"), ("x-request-id", "request-1")],
    )

    line = await log.line("bug")
    assert (response.status_code, response.json()) == (
        500,
        {
            "type": "https://ownership-gateway.example/problems/internal-error",
            "title": "A bug of the gateway's; the log has it under this request id",
            "status": 500,
            "code": "internal_error",
            "request_id": "request-1",
        },
    )
    assert re.search(r"RuntimeError", str(log.written))
    assert line["level"] == "error"
    assert b"canary" not in log.written


def asked_for(path: str, *, port: int = 8080) -> Any:
    """Return what a server says of a request for this path."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"x-request-id", b"request-1")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", port),
    }


async def shed(gateway: Asker, scope: Any) -> list[Any]:
    """Turn a request away, or whatever else is right; return what was sent."""
    sent: list[Any] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await gateway.gateway.asgi.shed(scope, receive, keep)
    return sent


async def test_what_is_shed_is_told_when_to_come_back(gateway: Asker) -> None:
    """It has the headers of every other answer, and is counted."""
    start, _ = await shed(gateway, asked_for("/verify/jwt"))

    headers = dict(start["headers"])
    assert start["status"] == 503
    assert (headers[b"retry-after"], headers[b"x-request-id"]) == (b"1", b"request-1")
    assert headers[b"cache-control"] == b"no-store"
    assert await gateway.metric("refused_total", cause="overloaded") == 1


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/metrics/", "/version"])
async def test_what_tells_how_the_gateway_is_gets_its_answer(gateway: Asker, path: str) -> None:
    """An orchestrator must not kill a gateway for being busy."""
    start, *_ = await shed(gateway, asked_for(path))

    assert start["status"] == 200


async def test_what_is_on_the_wrong_port_is_not_there(gateway: Asker) -> None:
    """Being busy opens no other doors."""
    gateway.gateway.asgi.operations_port = 9090

    start, _ = await shed(gateway, asked_for("/verify/jwt", port=9090))

    assert start["status"] == 404


async def test_unknown_callers_learn_no_more_from_a_slow_body(open_with: Open) -> None:
    """Who is not known is refused before a byte of the body is read."""
    gateway = await open_with(X_MOON + caller_lines("lobby", "ogw_token-of-a-test"))

    start, _ = await raw(gateway, [])

    assert start["status"] == 401


def standing(*, operations_port: int | None = None) -> Edge:
    """Return an edge in front of something that could answer everything at once."""

    async def never(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("nobody asks the application here")

    return Edge(
        never,
        answers_at_once=lambda request, fields: b"answer to " + request + fields,
        answers_soon=lambda _request, _finish: None,
        is_beginning=lambda request: request == b"some of it",
        soon=lambda: 0,
        clock=FakeClock(),
        on_shed=lambda: None,
        operations_port=operations_port,
    )


@pytest.mark.parametrize("server", [("127.0.0.1", 8080), None])
def test_what_needs_no_waiting_is_answered_at_once(server: Any) -> None:
    """On every listener for questions, those without a port too."""
    assert standing(operations_port=9090).answer_at_once(b"this", b"!", server) == b"answer to this!"


@pytest.mark.parametrize(
    ("begun", "server", "draining", "expected"),
    [
        (b"some of it", ("127.0.0.1", 8080), False, True),
        (b"some of it", None, False, True),
        (b"anything else", ("127.0.0.1", 8080), False, False),
        (b"some of it", ("127.0.0.1", 9090), False, False),
        (b"some of it", ("127.0.0.1", 8080), True, False),
    ],
)
def test_beginning_is_kept_only_where_it_could_be_answered(
    *, begun: bytes, server: Any, draining: bool, expected: bool
) -> None:
    """Whatever the rest turns out to be, nobody would answer it while draining, or at the port for operations."""
    edge = standing(operations_port=9090)
    edge.draining = draining

    assert edge.is_beginning(begun, server) is expected


def test_operations_have_a_port_on_which_nothing_else_is_answered() -> None:
    """What comes in there goes the usual way, and finds that it is not there."""
    assert standing(operations_port=9090).answer_at_once(b"this", b"", ("127.0.0.1", 9090)) is None


def test_while_draining_nothing_is_answered_at_once() -> None:
    """The usual way asks for the connection to be closed."""
    edge = standing()
    edge.draining = True

    assert edge.answer_at_once(b"this", b"", ("127.0.0.1", 8080)) is None


def test_what_is_no_http_is_refused_like_everything_else() -> None:
    """With a request id, so that it can be talked about, and nothing that may be kept."""
    reply = standing().refuse()

    assert reply.status == 400
    assert reply.headers["cache-control"] == "no-store"
    assert json.loads(reply.body)["request_id"] == reply.headers["x-request-id"]
