"""Plain questions that have to be waited for are taken without the server's parser; everything else is left alone."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from service.api.problems import Reply
from service.api.response_bytes import Response
from tests.api.test_prompt import BODY, request
from tests.gateways import Asker, befall, until
from tests.prompt_client import split

SERVER = ("127.0.0.1", 8080)


def begun(gateway: Asker, *fields: str, **parts: Any) -> asyncio.Future[Response]:
    """Show the gateway a request that has arrived whole, which it must take."""
    response = gateway.gateway.asgi.answer_soon(request(*fields, **parts), SERVER)
    assert response is not None
    return response


async def answered(response: asyncio.Future[Response]) -> Reply:
    """Return what will have been answered, as its caller reads it."""
    status, headers, body = split((await response).write(b""))
    fields = {name.decode(): value.decode() for name, value in headers}
    return Reply(status, body, headers=fields)


async def test_question_is_answered_as_any_other(gateway: Asker) -> None:
    """With the body that the framework would have sent, and the headers that every response has."""
    reply = await answered(begun(gateway, "X-Request-Id: mine"))

    assert (reply.status, json.loads(reply.body)["outcome"]) == (200, "owned")
    assert reply.headers["x-request-id"] == "mine"
    assert reply.headers["cache-control"] == "no-store"
    assert "connection" not in reply.headers


async def test_question_without_an_id_gets_one(gateway: Asker) -> None:
    """The one that the log has."""
    reply = await answered(begun(gateway))

    line = await gateway.log.line("verified")
    assert reply.headers["x-request-id"] == line["request_id"]


@pytest.mark.parametrize(
    "shown",
    [
        request()[:-1],
        request()[: -len(BODY)],
        BODY,
        request() * 2,
        request() + b" ",
        request(body=BODY + b" ")[:-1],
        request(body=b"{}"),
        request(body=b"not JSON"),
        request(version="1.0"),
        request("Transfer-Encoding: chunked"),
        request("Expect: 100-continue"),
        request("Content-Type: text/plain"),
        request(verb="PUT"),
    ],
)
async def test_whatever_else_it_is_is_left_alone(gateway: Asker, shown: bytes) -> None:
    """The usual way knows what is wrong with it; nothing has been counted or logged yet."""
    assert gateway.gateway.asgi.answer_soon(shown, SERVER) is None
    assert not gateway.log.lines("refused")


@pytest.mark.parametrize("shown", [request()[: -len(BODY)], request()[:-1]])
async def test_question_of_which_some_is_to_come_is_known_by_its_head(gateway: Asker, shown: bytes) -> None:
    """It is worth waiting for the rest."""
    assert gateway.gateway.asgi.is_beginning(shown, SERVER)


@pytest.mark.parametrize(
    "shown",
    [
        b"",
        request(),
        request() + b" ",
        request()[: -len(BODY) - 2],
        request(body=b""),
        request("Transfer-Encoding: chunked")[: -len(BODY)],
        request("Expect: 100-continue")[: -len(BODY)],
        request("Content-Type: text/plain")[: -len(BODY)],
        request(body=b" " * 16_385)[:-16_385],
    ],
)
async def test_nothing_else_is_waited_for(gateway: Asker, shown: bytes) -> None:
    """Who does not get what would come next must not wait for it; and who says too much is told so by the usual way."""
    assert not gateway.gateway.asgi.is_beginning(shown, SERVER)


async def test_question_at_the_port_for_operations_is_left_alone(gateway: Asker) -> None:
    """It is told that there is nothing."""
    gateway.gateway.asgi.operations_port = SERVER[1]

    assert gateway.gateway.asgi.answer_soon(request(), SERVER) is None


async def test_draining_gateway_leaves_everything_alone(gateway: Asker) -> None:
    """The usual way asks for the connection to be closed."""
    gateway.gateway.asgi.draining = True

    assert gateway.gateway.asgi.answer_soon(request(), SERVER) is None


async def test_connection_is_closed_after_what_was_under_way_when_draining_began(gateway: Asker) -> None:
    """Its caller is to come back to another gateway, too."""
    befall(gateway.sandbox, latency_ms=1000)
    answer = begun(gateway)
    await until(lambda: gateway.gateway.asgi.in_flight() == 1)
    gateway.gateway.asgi.draining = True
    await gateway.clock.advance(timedelta(seconds=1))
    reply = await answered(answer)

    assert (reply.status, reply.headers["connection"], gateway.gateway.asgi.in_flight()) == (200, "close", 0)


async def test_question_that_is_given_up_before_it_has_begun_leaves_nothing_behind(gateway: Asker) -> None:
    """Not even a complaint of Python's about what was never awaited."""
    answer = begun(gateway)
    answer.cancel()
    await asyncio.wait((answer,))

    assert (answer.cancelled(), gateway.gateway.asgi.in_flight()) == (True, 0)
