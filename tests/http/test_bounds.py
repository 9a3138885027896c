"""The most that one connection keeps, counted in bytes, and the work that hostile streams make."""

import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, repeat

import pytest

from service.http.connection import Bounds, Connection, State
from tests.http.corpus import K, head, post, streamed
from tests.http.feeding import fed, in_pieces, request_of

PIECE = 16 * K
"""Bytes that a transport brings at once."""


def _without_end(start: bytes, more: bytes) -> Callable[[], Iterator[bytes]]:
    def stream() -> Iterator[bytes]:
        yield start
        yield from repeat(more * (PIECE // len(more)))

    return stream


CHUNKED = streamed(chunks=b"")
STREAMS = {
    "H1 trailers": _without_end(CHUNKED + b"0\r\n", b"a: b\r\n"),
    "H1 one trailer": _without_end(CHUNKED + b"0\r\na: ", b"b"),
    "H3 fields": _without_end(head()[:-2], b"a:\r\n"),
    "different fields": lambda: iter([head()[:-2], *(b"%x:\r\n" % number for number in range(20_000))]),
    "one field": _without_end(head()[:-2] + b"a: ", b"b"),
    "one field name": _without_end(head()[:-2], b"b"),
    "blanks before a value": _without_end(head()[:-2] + b"a:", b" "),
    "a target": _without_end(b"GET /", b"a"),
    "a method": _without_end(b"", b"G"),
    "line breaks": _without_end(b"", b"\r\n"),
    "an extension": _without_end(CHUNKED + b"1;", b"a"),
    "extensions": _without_end(CHUNKED, b"1;a\r\nb\r\n"),
    "a size": _without_end(CHUNKED, b"0"),
    "chunks": _without_end(CHUNKED, b"1\r\na\r\n"),
    "a body": _without_end(head("POST / HTTP/1.1", "Content-Length: 16384"), b"a"),
    "an upgrade": _without_end(head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: h2c"), b"a"),
    "requests": _without_end(b"", head()),
    "requests with bodies": _without_end(b"", post(body=b"a" * 10 * K)),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "not answered"])
def test_bytes_kept_are_bounded(stream: Callable[[], Iterator[bytes]], is_answered: bool) -> None:  # noqa: FBT001 - a case
    """Of any stream at most the bound of held bytes, one piece beyond it, and one whole request are in memory."""
    bounds = Bounds()
    connection = Connection(bounds)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for piece in islice(stream(), 25_000 if stream is STREAMS["different fields"] else 20):
            if not connection.wants_bytes:
                break
            whole = connection.received(piece)
            while is_answered and whole is not None:
                whole = connection.answered()
        del piece
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert kept < bounds.held_bytes + 2 * PIECE + bounds.head_bytes + bounds.body_bytes


def test_no_more_is_wanted_once_enough_is_held() -> None:
    connection = Connection(Bounds(held_bytes=100))
    wanted = []

    for event in (
        partial(connection.received, head()),
        partial(connection.received, b"a" * 99),
        partial(connection.received, b"a"),
        partial(connection.answered, last=True),
    ):
        event()
        wanted.append(connection.wants_bytes)

    assert wanted == [True, True, False, True]


def test_no_more_is_wanted_once_enough_is_dropped() -> None:
    connection = Connection(Bounds(linger_bytes=100))
    request_of(connection.received(head()))
    connection.answered(last=True)
    wanted = []

    for size in (99, 1):
        connection.received(b"a" * size)
        wanted.append((connection.state, connection.wants_bytes))

    assert wanted == [(State.LINGERING, True), (State.LINGERING, False)]


@pytest.mark.parametrize("body", [post(body=b"a" * 500), streamed(chunks=b"1f4\r\n" + b"a" * 500 + b"\r\n0\r\n\r\n")])
def test_a_body_may_be_larger_than_what_is_held(body: bytes) -> None:
    """As the sandbox's worlds are; were no more of it wanted, it would never be whole."""
    connection = Connection(Bounds(held_bytes=100))

    for piece in in_pieces(body[:-1]):
        connection.received(piece)
        assert connection.wants_bytes

    assert request_of(connection.received(body[-1:])).body == b"a" * 500


def test_line_breaks_between_requests_are_not_kept() -> None:
    connection = Connection(Bounds(held_bytes=100))

    connection.received(b"\r\n" * 500)

    assert connection.state is State.IDLE
    assert connection.wants_bytes


def test_equal_fields_are_refused_before_they_cost_anything() -> None:
    """8 000 equal fields would be joined 8 000 times. The 129th is refused, so that none behind it is looked at."""
    connection = Connection(Bounds(head_bytes=10_000_000))

    refusal = connection.received(head()[:-2] + b"a: b\r\n" * 127 + b"a: b\r\n" + b"\0" * 8_000)

    assert refusal is not None
    assert connection.state is State.ANSWERING
    assert len(refusal.method) == 0


@pytest.mark.parametrize(
    ("bounds", "most", "too_much"),
    [
        (Bounds(fields=3), head("GET / HTTP/1.1", "a:", "b:"), head("GET / HTTP/1.1", "a:", "a:", "a:")),
        (Bounds(head_bytes=len(head())), head(), head("HEAD / HTTP/1.1")),
        (Bounds(body_bytes=2), post(body=b"ab"), post(body=b"abc")),
        (
            Bounds(body_bytes=2),
            streamed(chunks=b"2\r\nab\r\n0\r\n\r\n"),
            streamed(chunks=b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        ),
        (
            Bounds(extension_bytes=2),
            streamed(chunks=b"1;\r\na\r\n0;\r\n\r\n"),
            streamed(chunks=b"1;\r\na\r\n0;;\r\n\r\n"),
        ),
        (Bounds(trailer_bytes=5), streamed(chunks=b"0\r\na:b\r\n\r\n"), streamed(chunks=b"0\r\na:b\r\nc:\r\n\r\n")),
    ],
    ids=["fields", "head", "body", "chunks", "extensions", "trailers"],
)
def test_each_bound_lets_through_exactly_what_it_says(bounds: Bounds, most: bytes, too_much: bytes) -> None:
    assert fed([most], bounds).state is State.IDLE
    assert fed([too_much], bounds).state is State.LINGERING
    assert isinstance(fed([too_much], bounds).wholes[-1], int)
