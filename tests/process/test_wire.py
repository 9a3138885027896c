"""Malformed HTTP, and HTTP that can be read in two ways, is refused, and no request after it is executed."""

import asyncio
from typing import Final

import msgspec
import pytest

from service.http_protocol import Bounds
from tests.gateways import until
from tests.process.serving import UNBOUNDED, Application, get, post, protocol, served

BOUNDS: Final = Bounds()

HIDDEN: Final = get("/hidden")
"""A request that must never be executed: it comes after, or inside, one that cannot be trusted."""

HOST: Final = b"Host: gateway\r\n"

AMBIGUOUS: Final = {
    "length and chunks": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "chunks and length": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
    b"0\r\n\r\n",
    "two lengths": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 4\r\n\r\n",
    "a length that is none": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 0x4\r\n\r\n",
    "a negative length": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: +0\r\n\r\n",
    "an unknown coding": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length : 0\r\n\r\n",
    "a folded line": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n chunked, x\r\n\r\n0\r\n\r\n",
    "a bare carriage return": b"POST /a HTTP/1.1\r\n" + HOST + b"X: a\rContent-Length: 4\r\n\r\n",
    "a line that ends early": b"POST /a HTTP/1.1\n" + HOST + b"Transfer-Encoding : chunked\n\n0\n\n",
    "NUL in a header": b"GET /a HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "a chunk of no size": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk that ends in a bare line feed": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"1;x\nA\r\n0\r\n\r\n",
    "a chunk longer than said": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nABC\r\n"
    b"0\r\n\r\n",
    "a chunk of 2^64 and more": b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"10000000000000001\r\nA\r\n0\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT gateway:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
}


@pytest.mark.parametrize("prefix", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_ambiguous_request_hides_no_other(application: Application, prefix: bytes) -> None:
    """An ambiguous request is refused, the connection is closed, and the requests behind it are dropped."""
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(prefix + HIDDEN)
        received = await wire.rest()

    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1
    assert (application.asked, "/hidden" in application.begun) == ([], False)


async def test_refusal_is_a_problem(application: Application) -> None:
    """As every other error, with the headers of every other response."""
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(AMBIGUOUS["Redis"])
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")

    assert (b"content-type: application/problem+json" in head, b"cache-control: no-store" in head) == (True, True)
    assert (b"connection: close" in head, b"x-request-id: 1" in head) == (True, True)
    assert msgspec.json.decode(body)["code"] == "bad_request"


async def test_requests_before_one_that_is_refused_are_answered(application: Application) -> None:
    """In order, and then the connection is closed: a refusal in their place would be taken for their answer."""
    application.may_answer.clear()
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(get("/first") + get("/second") + AMBIGUOUS["two lengths"] + HIDDEN)
        await until(lambda: application.asked)
        application.may_answer.set()
        received = await wire.rest()

    assert (received.count(b"HTTP/1.1 200 "), received.count(b"HTTP/1.1 ")) == (2, 2)
    assert [path for path, _ in application.asked] == ["/first", "/second"]


async def test_broken_body_of_what_is_answered_already_gets_no_second_answer(application: Application) -> None:
    """A second answer would be taken for the answer to the next request."""
    head = b"POST /early HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(head)
        first = await wire.answer()
        await wire.send(b"zz\r\n" + HIDDEN)
        received = await wire.rest()

    assert (first, received) == ((200, b"/early"), b"")
    assert application.begun == ["/early"]


async def test_broken_body_behind_another_request_is_not_answered_in_its_place(application: Application) -> None:
    """A refusal never comes in the place of the answer to an earlier question."""
    application.may_answer.clear()
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(get("/first") + AMBIGUOUS["a chunk of no size"] + HIDDEN)
        received = await wire.rest()
        await until(lambda: application.left)

    assert received == b""
    assert application.begun == ["/first"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/livez", "X: " + "x" * 40_000),
        get("/livez", *(f"X-{number}: {'x' * 100}" for number in range(400))),
        get("/" + "x" * 40_000),
        b"\r\n" * 20_000,
        b"x" * 40_000,
    ],
    ids=["one header", "many headers", "path", "line breaks", "method"],
)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_header_too_large_is_refused(application: Application, request_bytes: bytes, pieces: int) -> None:
    """A header that is too large is refused before its end, in one piece or many."""
    size = -(-len(request_bytes) // pieces)
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await asyncio.gather(
            wire.send(*(request_bytes[at : at + size] for at in range(0, len(request_bytes), size))),
            return_exceptions=True,  # the server may hang up meanwhile
        )
        assert await wire.is_closed_within(5)

    assert application.begun == []


async def test_uvicorn_alone_takes_headers_of_any_size(application: Application) -> None:
    """A control: the test above can fail."""
    async with served(application, UNBOUNDED) as server:
        status, _ = await server.ask(get("/livez", "X: " + "x" * 200_000))

    assert (status, application.begun) == (200, ["/livez"])


async def test_large_header_is_fine_up_to_the_bound(application: Application) -> None:
    """Cookies and tokens of proxies can be long."""
    async with served(application, protocol(bounds=BOUNDS)) as server:
        status, _ = await server.ask(get("/livez", "X: " + "x" * 28_000))

    assert status == 200


async def test_headers_are_counted_one_by_one(application: Application) -> None:
    """Many pipelined requests, with bodies, may be longer together than one header may be."""
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(post("/a", b"x" * 16_000) * 5 + get("/b", "X: " + "x" * 20_000))
        answers = [await wire.answer() for _ in range(6)]

    assert answers == [*[(200, b"/a")] * 5, (200, b"/b")]


UPGRADE: Final = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
"""The fields that Java's own HTTP client sends with its first request."""


@pytest.mark.parametrize("body", [b"", b"body", HIDDEN, b"x" * 10_000], ids=["none", "short", "a request", "long"])
@pytest.mark.parametrize("apart", [True, False])
async def test_upgrade_is_ignored(application: Application, body: bytes, *, apart: bool) -> None:
    """The request is answered, with its body; the bytes behind it are dropped."""
    request = post("/a", body, *UPGRADE)
    head = len(request) - len(body)
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        if apart:
            await wire.send(request[:head])
            await until(lambda: application.begun)
            await wire.send(request[head:])
        else:
            await wire.send(request + HIDDEN + b"x" * 5000)
        received = await wire.rest()

    assert (received.count(b"HTTP/1.1 "), b"connection: close" in received) == (1, True)
    assert application.asked == [("/a", body)]


async def test_uvicorn_alone_executes_what_is_hidden_in_the_body_of_an_upgrade(application: Application) -> None:
    """A control: the test above can fail."""
    request = post("/a", HIDDEN, *UPGRADE)
    head = len(request) - len(HIDDEN)
    async with served(application, UNBOUNDED) as server:
        wire = await server.connect()
        await wire.send(request[:head])
        await wire.answer()
        await wire.send(request[head:])
        await wire.answer()

    assert application.asked == [("/a", b""), ("/hidden", b"")]


async def test_upgrade_with_a_body_in_chunks_is_refused(application: Application) -> None:
    """The end of a chunked body is unknown to a server that ignores the upgrade."""
    head = "\r\n".join(["POST /a HTTP/1.1", "Host: gateway", "Transfer-Encoding: chunked", *UPGRADE, "\r\n"]).encode()
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(head + b"0\r\n\r\n" + HIDDEN)
        received = await wire.rest()

    assert received.startswith(b"HTTP/1.1 400 ")
    assert application.asked == []


async def test_body_of_an_upgrade_that_does_not_come_is_not_waited_for(application: Application) -> None:
    """The time for the body is bounded as for every other request."""
    async with served(application, protocol(bounds=Bounds(arrival_seconds=0.1))) as server:
        wire = await server.connect()
        await wire.send(post("/a", b"x" * 100, *UPGRADE)[:-50])

        assert await wire.is_closed_within(5)


async def test_pipelined_requests_are_answered_in_order(application: Application) -> None:
    """On one connection, each with its own body."""
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        await wire.send(post("/a", b"1") + post("/b", b"2") + get("/c"))
        answers = [await wire.answer() for _ in range(3)]

    assert answers == [(200, b"/a"), (200, b"/b"), (200, b"/c")]
    assert application.asked == [("/a", b"1"), ("/b", b"2"), ("/c", b"")]
