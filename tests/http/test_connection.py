"""Scripts of one connection: events in their order, and what each of them brings."""

import gc
import weakref

import httptools
import pytest

from service.http.connection import Bounds, Connection, HttpRefusal, Request, State
from service.http.head import Head
from tests.http.corpus import head, post, streamed
from tests.http.feeding import request_of, state_of

WHOLE = head("GET /verify/user HTTP/1.1")
HALF, REST = WHOLE[:20], WHOLE[20:]
EXPECTING = head("POST / HTTP/1.1", "Expect: 100-Continue", "Content-Length: 2")


@pytest.fixture
def connection() -> Connection:
    """Return a new connection."""
    return Connection(Bounds())


# --- one request after the other ---


def test_half_then_rest(connection: Connection) -> None:
    assert connection.received(HALF) is None
    assert state_of(connection) is State.READING

    assert request_of(connection.received(REST)).target == b"/verify/user"
    assert state_of(connection) is State.ANSWERING


def test_a_whole_request_is_all_that_was_sent(connection: Connection) -> None:
    sent = post("X-Request-ID: r", "Connection: close", "Expect: 100-continue", body=b"{}", line="PUT /a?b HTTP/1.1")

    assert connection.received(sent) == Request(
        method=b"PUT",
        target=b"/a?b",
        headers={
            b"host": b"a",
            b"x-request-id": b"r",
            b"connection": b"close",
            b"expect": b"100-continue",
            b"content-length": b"2",
        },
        body=b"{}",
        last=True,
        expects_continue=True,
    )


def test_a_request_in_a_message_shows_no_secret(connection: Connection) -> None:
    request = request_of(connection.received(post("Authorization: Bearer ogw_secret", body=b'{"jwt": "a.b.c"}')))

    assert repr(request) == f"{request}" == "<Request b'POST'>"


def test_a_half_that_was_held_goes_on_after_the_answer(connection: Connection) -> None:
    connection.received(WHOLE + HALF)

    assert connection.answered() is None
    assert state_of(connection) is State.READING
    assert request_of(connection.received(REST)).target == b"/verify/user"


def test_a_caller_that_waits_for_each_answer(connection: Connection) -> None:
    for _ in range(3):
        assert connection.received(post(body=b"ab")) is not None
        assert connection.answered() is None
        assert state_of(connection) is State.IDLE


@pytest.mark.parametrize("sent", [WHOLE[:-3], WHOLE, post(body=b"ab")[:-1], WHOLE + WHOLE], ids=len)
def test_end_of_input_closes_in_every_state(connection: Connection, sent: bytes) -> None:
    connection.received(sent)

    connection.ended()

    assert state_of(connection) is State.CLOSED
    assert connection.answered() is None
    assert connection.received(WHOLE) is None


def test_nothing_is_read_behind_a_last_answer(connection: Connection) -> None:
    connection.received(WHOLE + WHOLE)

    assert connection.answered(last=True) is None

    assert state_of(connection) is State.LINGERING
    assert connection.received(WHOLE) is None


# --- late halves ---


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        (b"G", HttpRefusal(408)),
        (head("HEAD / HTTP/1.1")[:-1], HttpRefusal(408)),
        (post(body=b"ab")[:-1], HttpRefusal(408, method=b"POST")),
        (streamed(chunks=b"1\r\na"), HttpRefusal(408, method=b"POST")),
    ],
)
def test_half_a_request_is_answered_408_and_ends(connection: Connection, sent: bytes, refusal: HttpRefusal) -> None:
    connection.received(sent)

    assert connection.deadline_passed() == refusal

    assert state_of(connection) is State.ANSWERING
    assert connection.received(WHOLE) is None
    assert connection.answered() is None
    assert state_of(connection) is State.LINGERING


# --- stopping ---


def test_stopping_ends_with_the_answer(connection: Connection) -> None:
    connection.received(WHOLE + b"\r\n")
    connection.stopping = True

    assert connection.answered() is None

    assert state_of(connection) is State.LINGERING


def test_stopping_answers_everything_that_has_begun_to_arrive(connection: Connection) -> None:
    connection.received(WHOLE + WHOLE + HALF)
    connection.stopping = True

    assert connection.answered() is not None
    assert connection.answered() is None
    assert state_of(connection) is State.READING
    assert connection.received(REST) is not None
    assert connection.answered() is None
    assert state_of(connection) is State.LINGERING


# --- 100 Continue ---


def test_continue_is_due_once(connection: Connection) -> None:
    connection.received(EXPECTING)

    assert connection.continues()
    assert not connection.continues()
    assert request_of(connection.received(b"ab")).expects_continue


@pytest.mark.parametrize(
    "sent",
    [
        head(),
        EXPECTING[:-1],
        EXPECTING + b"a",
        EXPECTING + b"ab",
        EXPECTING.replace(b"1.1", b"1.0"),
        EXPECTING.replace(b"Continue", b"other"),
        EXPECTING.replace(b": 2", b": 0"),
        EXPECTING.replace(b": 2", b": 20000"),
        EXPECTING.replace(b"POST", b"GET"),
        streamed("Expect: 100-continue", chunks=b"1"),
    ],
)
def test_continue_is_not_due(connection: Connection, sent: bytes) -> None:
    connection.received(sent)

    assert not connection.continues()


def test_continue_is_due_for_chunks_and_behind_another_request(connection: Connection) -> None:
    connection.received(WHOLE + streamed("Expect: 100-continue", chunks=b""))
    assert not connection.continues()

    connection.answered()

    assert connection.continues()


def test_continue_is_not_due_any_more_once_the_body_begins(connection: Connection) -> None:
    connection.received(EXPECTING)
    connection.received(b"a")

    assert not connection.continues()


# --- refusals ---


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        (head("HEAD / HTTP/1.1", host=None), HttpRefusal(400, method=b"HEAD")),
        (head("HEAD / HTTP/2.0"), HttpRefusal(505, method=b"HEAD")),
        (head("CONNECT a:1 HTTP/1.1"), HttpRefusal(405, method=b"CONNECT")),
        (head("POST / HTTP/1.1", "Content-Length: 20000"), HttpRefusal(413, method=b"POST")),
        (streamed(chunks=b"x\r\n"), HttpRefusal(400, method=b"POST")),
        (b"\0", HttpRefusal(400)),
    ],
)
def test_a_refusal_is_last_and_knows_the_method_of_a_whole_head(
    connection: Connection, sent: bytes, refusal: HttpRefusal
) -> None:
    assert connection.received(sent) == refusal
    assert refusal.last


# --- the end ---


def test_a_connection_is_freed_without_the_collector() -> None:
    """The parser does not refer to the connection, so that none outlives its socket until the collector runs (H2)."""
    gc.disable()
    try:
        connection = Connection(Bounds())
        connection.received(WHOLE + HALF)
        connection.answered()
        gone = weakref.ref(connection)
        connection.close()

        del connection

        assert gone() is None
    finally:
        gc.enable()


def test_a_mistake_of_ours_is_not_bad_http() -> None:
    """An error in a callback comes out, and is not turned into the caller's 400."""

    class Broken(Head):
        def on_url(self, url: bytes) -> None:
            raise ZeroDivisionError(url)

    broken = Broken(fields=1, head_bytes=100)

    with pytest.raises(httptools.HttpParserCallbackError) as raised:
        broken.read(bytearray(WHOLE), httptools.HttpRequestParser(broken))

    assert isinstance(raised.value.__context__, ZeroDivisionError)
