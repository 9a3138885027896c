"""Connections on real sockets: the transport is wired to the table of `Connection`."""

import asyncio
import gc
import select
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from service.http.connection import Bounds, State
from service.http.protocol import HttpProtocol
from tests.gateways import until
from tests.http.serving import UNBOUNDED, Application, Served, get, post, served
from tests.stores.descriptors import no_descriptor_left

SMALL: Final = b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n"
NO_HTTP: Final = b"PING\r\n\r\n"
SHORT: Final = 0.15
"""Seconds until slow callers are hung up on, in these tests."""


@pytest.fixture
def application() -> Application:
    """The application behind the connections."""
    return Application()


def protocol_of(server: Served) -> HttpProtocol:
    """Return the one connection of a server."""
    [protocol] = server.http.open_connections
    return protocol


# --- answers ---


@pytest.mark.parametrize("path", ["/now", "/later"])
async def test_connection_is_kept_for_the_next_request(application: Application, path: str) -> None:
    """Answers may be made at once or by tasks."""
    async with served(application) as server:
        wire = await server.connect()
        for number in range(3):
            await wire.send(post(f"{path}{number}", b"body"))
            assert await wire.answer() == (200, f"{path}{number}".encode())

    assert application.asked == [(f"{path}{number}", b"body") for number in range(3)]


async def test_pipelined_requests_are_answered_in_order(application: Application) -> None:
    """Some answers are made at once, and some requests end in another piece than they begin in."""
    paths = [f"/now/{number}" if number % 3 else f"/later/{number}" for number in range(300)]
    requests = [post(path, b"x" * (number % 700)) for number, path in enumerate(paths)]
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.write(b"".join(requests))
        answers = [await wire.answer() for _ in paths]

    assert answers == [(200, path.encode()) for path in paths]


async def test_response_says_when_it_was_made(application: Application) -> None:
    """RFC 9110 6.6.1; the field is made once a second."""
    async with served(application) as server:
        before = datetime.now(UTC).replace(microsecond=0)
        wire = await server.connect()
        await wire.send(get("/now"))
        head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()

    [date] = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("date: ")]
    made = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert before <= made <= before + timedelta(seconds=10)


async def test_head_is_answered_without_a_body(application: Application) -> None:
    """The head has the length that GET would have, and the connection goes on."""
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(get("/now/abc").replace(b"GET", b"HEAD", 1) + get("/now/def"))
        head = await wire.reader.readuntil(b"\r\n\r\n")

        assert b"content-length: 8\r\n" in head
        assert await wire.answer() == (200, b"/now/def")


async def test_caller_is_told_to_go_on_where_it_asks(application: Application) -> None:
    """Curl and .NET wait for it before they send a body (RFC 9110 10.1.1)."""
    head, body = post("/now", b"body", "Expect: 100-continue").split(b"\r\n\r\n")
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(head + b"\r\n\r\n")
        interim = await wire.reader.readuntil(b"\r\n\r\n")
        await wire.send(body)

        assert (interim, await wire.answer()) == (b"HTTP/1.1 100 Continue\r\n\r\n", (200, b"/now"))


@pytest.mark.parametrize("path", ["/bug", "/late-bug"])
async def test_bug_is_a_500_and_costs_nothing_else(application: Application, path: str) -> None:
    """The application gets the bug, and the connection goes on."""
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(get(path))
        status, _ = await wire.answer()
        await wire.send(get("/now"))

        assert (status, await wire.answer()) == (500, (200, b"/now"))
    assert [type(bug) for bug in application.bugs] == [ZeroDivisionError]


async def test_answer_whose_task_is_cancelled_hangs_up(application: Application) -> None:
    """The caller must not wait for an answer that never comes."""
    application.may_answer.clear()
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(get("/a"))
        await until(lambda: server.http.in_flight)
        [task] = server.http.tasks
        task.cancel()

        assert await wire.rest() == b""


async def test_requests_on_top_of_the_bound_are_shed(application: Application) -> None:
    """At once; and as soon as there is room again, none is."""
    application.may_answer.clear()
    async with served(application, max_requests=2) as server:
        waiting = [await server.connect() for _ in range(2)]
        for wire in waiting:
            await wire.send(get("/a"))
        await until(lambda: server.http.in_flight == 2)
        shed = await server.ask(get("/b"))
        application.may_answer.set()
        answers = [await wire.answer() for wire in waiting]

        assert (shed[0], answers, (await server.ask(get("/c")))[0]) == (503, [(200, b"/a")] * 2, 200)


# --- callers that leave ---


async def test_answering_stops_when_the_caller_hangs_up(application: Application) -> None:
    """The task that answers is cancelled, whether the connection is reset or ended."""
    application.may_answer.clear()
    async with served(application) as server:
        reset, ended = await server.connect(), await server.connect()
        await reset.send(get("/reset"))
        await ended.send(get("/ended"))
        await until(lambda: server.http.in_flight == 2)
        reset.cut()
        ended.writer.write_eof()
        await until(lambda: not server.http.in_flight)
        await until(lambda: not server.connections)

    assert sorted(application.left) == ["/ended", "/reset"]


async def test_answer_made_at_once_reaches_a_caller_that_sends_no_more(application: Application) -> None:
    """A question that memory answers is answered before the end of the input is seen."""
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.write(get("/now"))
        wire.writer.write_eof()

        assert b"/now" in await wire.rest()


async def test_pipelined_requests_of_a_caller_that_has_gone_are_not_begun(application: Application) -> None:
    """The first is cancelled, the others are forgotten."""
    application.may_answer.clear()
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(get("/a") + get("/b") + get("/c"))
        await until(lambda: application.asked)
        wire.cut()
        await until(lambda: not server.http.in_flight)

    assert (application.paths, application.left) == (["/a"], ["/a"])


async def test_nothing_outlives_its_connection(application: Application) -> None:
    """Neither protocol nor connection, without the collector of cycles (FAULTS H2)."""
    gc.collect()
    gc.disable()
    try:
        async with served(application) as server:
            wire = await server.connect()
            await wire.send(get("/now"), get("/now")[:-5])
            await until(lambda: protocol_of(server).state is State.READING)
            left: list[weakref.ref[object]] = [
                weakref.ref(protocol_of(server)),
                weakref.ref(protocol_of(server)._connection),
            ]
            wire.cut()
            await until(lambda: not server.connections)
            await until(lambda: not any(one() for one in left))
    finally:
        gc.enable()


# --- callers that send too much ---


async def made_before_the_first_is_read(application: Application, bounds: Bounds) -> int:
    """Return how many of very many pipelined requests are answered for a caller that reads nothing."""
    async with served(application, bounds=bounds) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        wire.writer.write(get("/now?20000") * 2000)
        seen = -1
        while seen != len(application.asked) or not seen:
            seen = len(application.asked)
            await asyncio.sleep(SHORT)
        return seen


async def test_flood_of_pipelined_requests_waits_in_its_sender(application: Application) -> None:
    """Answers that are not taken are not made: a few megabytes fit into the buffers of the sockets."""
    assert await made_before_the_first_is_read(application, Bounds()) < 1000


async def test_no_more_is_read_than_can_be_answered(application: Application) -> None:
    """The socket fills up, and the sender has to wait."""
    application.may_answer.clear()
    async with served(application) as server:
        wire = await server.connect()
        sending = asyncio.create_task(wire.send(SMALL * (16 * 1024 * 1024 // len(SMALL))))
        await until(lambda: application.asked)
        await asyncio.wait((sending,), timeout=SHORT)
        waits, held = not sending.done(), len(protocol_of(server)._connection._unread)
        sending.cancel()
        await asyncio.wait((sending,))

    assert (waits, held < 1024 * 1024) == (True, True)


async def test_reading_goes_on_once_there_is_room(application: Application) -> None:
    """Every request of the flood is answered in the end."""
    application.may_answer.clear()
    requests = [SMALL % number for number in range(20_000)]
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.write(b"".join(requests))
        await until(lambda: application.asked)
        await asyncio.sleep(SHORT)
        application.may_answer.set()
        answers = [await wire.answer() for _ in requests]

    assert answers == [(200, b"/%d" % number) for number in range(20_000)]


async def test_pipelined_requests_leave_others_their_turn(application: Application) -> None:
    """One read brings thousands of small requests; another caller's is answered in between."""
    async with served(application) as server:
        flooding, other = await server.connect(), await server.connect()
        await until(lambda: server.connections == 2)
        flooding.writer.write(get("/now") * 2000)
        other.writer.write(get("/now/other"))
        answers = [await flooding.answer() for _ in range(2000)]

    assert answers == [(200, b"/now")] * 2000
    assert application.paths.index("/now/other") < 100


async def test_pipelined_requests_of_many_connections_share_a_turn(application: Application) -> None:
    """However many callers pipeline at the same time, one turn of the loop answers a bounded number of requests."""
    callers, requests = 200, 20
    async with served(application) as server:
        wires = [await server.connect() for _ in range(callers)]
        await until(lambda: server.connections == callers)
        for wire in wires:
            wire.writer.write(get("/now") * requests)
        await until(lambda: len(application.asked) >= callers)
        turns = []
        while (before := len(application.asked)) < callers * requests:
            await asyncio.sleep(0)
            turns.append(len(application.asked) - before)

    assert (sum(turns) > 0, max(turns) <= 64) == (True, True)


async def test_pipelined_requests_end_with_their_caller_between_two_turns(application: Application) -> None:
    """A caller that hangs up after its flood is answered no further."""
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.write(get("/now") * 2000)
        await until(lambda: application.asked)
        wire.cut()
        await until(lambda: not server.connections)

    assert len(application.asked) < 2000


async def test_refusal_reaches_a_caller_that_still_sends(application: Application) -> None:
    """The connection closes in stages (RFC 9112 9.6, FAULTS H8): a reset would take the answers before it, too."""
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.write(get("/now") + NO_HTTP + b"x" * 4_000_000)
        received = await wire.rest()

    assert received.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 " in received
    assert b"connection: close\r\n" in received
    assert application.paths == ["/now"]


# --- callers that are slow ---

IMPATIENT: Final = Bounds(arrival_seconds=SHORT, sending_seconds=SHORT, linger_seconds=SHORT, idle_seconds=SHORT)

HALF: Final = get("/half")[:-5]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (HALF, b"HTTP/1.1 408 "),
        (post("/a", b"x" * 100)[:-50], b"HTTP/1.1 408 "),
        (get("/now") + HALF, b"HTTP/1.1 408 "),
        (get("/now"), b"/now"),
        (NO_HTTP, b"HTTP/1.1 400 "),
    ],
    ids=["nothing", "a line break", "half a head", "half a body", "half a second head", "no more", "nonsense"],
)
async def test_slow_sender_is_hung_up_on(application: Application, sent: bytes, answered: bytes) -> None:
    """In every state, and with an answer where it has begun to ask."""
    async with served(application, bounds=IMPATIENT) as server:
        wire = await server.connect()
        wire.writer.write(sent)

        assert answered in await wire.rest()
        await until(lambda: not server.connections)


async def test_trickle_is_no_arrival(application: Application) -> None:
    """The time of a request is counted from its first byte."""
    async with served(application, bounds=IMPATIENT) as server:
        wire = await server.connect()
        reading = asyncio.create_task(wire.rest())
        for byte in get("/" + "x" * 1000):
            if reading.done():
                break
            wire.writer.write(bytes([byte]))
            await asyncio.sleep(SHORT / 20)

        assert b"HTTP/1.1 408 " in await reading
    assert application.asked == []


async def test_line_breaks_do_not_keep_a_connection(application: Application) -> None:
    """Line breaks are no beginning of a request."""
    async with served(application, bounds=IMPATIENT) as server:
        wire = await server.connect()
        for _ in range(100):
            if not server.connections:
                break
            wire.writer.write(b"\r\n")
            await asyncio.sleep(SHORT / 10)

        assert not server.connections


async def test_waiting_for_an_answer_is_not_being_slow(application: Application) -> None:
    """Held bytes of the next request are not late either when the answer comes."""
    application.may_answer.clear()
    async with served(application, bounds=IMPATIENT) as server:
        wire = await server.connect()
        await wire.send(get("/slow") + HALF)
        await asyncio.sleep(3 * SHORT)
        application.may_answer.set()
        first = await wire.answer()
        await wire.send(get("/half")[-5:])

        assert (first, await wire.answer()) == ((200, b"/slow"), (200, b"/half"))


async def waits_for_reader(bounds: Bounds) -> bool:
    """Whether the server keeps a caller that asks for much and reads nothing."""
    async with served(Application(), bounds=bounds) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await wire.send(get("/now?8000000") + get("/later?8000000"))
        await until(lambda: server.connections)
        await asyncio.sleep(6 * SHORT)
        return server.connections > 0


async def test_slow_reader_is_hung_up_on() -> None:
    """The answers must not stay in memory; without bounds they do."""
    assert (await waits_for_reader(IMPATIENT), await waits_for_reader(UNBOUNDED)) == (False, True)


@pytest.mark.parametrize("path", ["/now", "/later"])
async def test_slow_reader_that_reads_on_gets_everything(application: Application, path: str) -> None:
    """A pause is no reason to hang up once it is over."""
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await wire.send(get(f"{path}?8000000") + get("/second"))
        await until(lambda: application.asked)
        await asyncio.sleep(SHORT)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]  # every socket transport has it
        status, body = await wire.answer()

        assert (status, len(body), await wire.answer()) == (200, len(path) + 8_000_000, (200, b"/second"))


async def test_one_large_answer_is_followed_by_the_next(application: Application) -> None:
    """The connection is idle again while its last answer is still being taken."""
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await wire.send(get("/now?8000000"))
        await until(lambda: application.asked)
        await asyncio.sleep(SHORT)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]  # every socket transport has it
        _, body = await wire.answer()
        await wire.send(get("/now/second"))

        assert (len(body), await wire.answer()) == (len("/now") + 8_000_000, (200, b"/now/second"))


async def test_connection_that_did_not_say_so_is_not_closed(application: Application) -> None:
    """Draining begins while an answer is being taken: the next one says that it is the last."""
    async with served(application) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await wire.send(get("/now?8000000") + get("/now/second"))
        await until(lambda: application.asked)
        await asyncio.sleep(SHORT)
        server.http.draining = True
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]  # every socket transport has it
        first = (await wire.answer())[0], wire.closing
        second = (await wire.answer())[0], wire.closing

        assert (first, second) == ((200, False), (200, True))


async def test_small_answer_that_is_not_taken_has_its_time(application: Application) -> None:
    """Bytes that stay in our own buffer count, however few they are."""
    async with served(application, bounds=Bounds(sending_seconds=SHORT)) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await until(lambda: server.connections)
        protocol = protocol_of(server)
        while protocol._transport.get_write_buffer_size() == 0:
            await wire.send(get("/now?30000"))
            await asyncio.sleep(0)

        assert protocol._transport.get_write_buffer_size() < 64 * 1024
        await until(lambda: not server.connections)


async def test_caller_that_never_ends_its_side_is_cut_off(application: Application) -> None:
    """Lingering is short: the answer had its time."""
    async with served(application, bounds=IMPATIENT) as server:
        wire = await server.connect()
        await wire.send(get("/now", "Connection: close"))
        await wire.answer()
        await until(lambda: not server.connections)


# --- many connections ---


async def test_oldest_idle_connection_makes_room_for_a_new_one(application: Application) -> None:
    """One that is asking stays; the new one is answered."""
    application.may_answer.clear()
    async with served(application, max_connections=3) as server:
        asking, idle, newer = [await server.connect() for _ in range(3)]
        await asking.send(get("/asking"))
        await until(lambda: server.http.in_flight)
        await until(lambda: server.connections == 3)
        new = await server.ask(get("/now"))
        gone = await idle.is_closed_within(5)
        await newer.send(get("/now"))
        application.may_answer.set()

        assert (new, gone) == ((200, b"/now"), True)
        assert [await newer.answer(), await asking.answer()] == [(200, b"/now"), (200, b"/asking")]


async def test_request_that_does_not_arrive_makes_room_where_none_is_idle(application: Application) -> None:
    """Sockets that send half a request each must not keep others out."""
    async with served(application, max_connections=2) as server:
        slow = [await server.connect() for _ in range(2)]
        for wire in slow:
            await wire.send(HALF)
        await until(lambda: [one.state for one in server.http.open_connections] == [State.READING] * 2)
        answer = await server.ask(get("/now"))

        assert (answer, await slow[0].is_closed_within(5)) == ((200, b"/now"), True)


async def test_new_connection_is_closed_where_all_others_wait_for_answers(application: Application) -> None:
    """Their callers have asked; the new one can try another gateway."""
    application.may_answer.clear()
    async with served(application, max_connections=1) as server:
        asking = await server.connect()
        await asking.send(get("/asking"))
        await until(lambda: server.http.in_flight)
        new = await server.connect()
        closed = await new.is_closed_within(5)
        application.may_answer.set()

        assert (closed, await asking.answer()) == (True, (200, b"/asking"))


# --- the end ---


async def test_draining_server_closes_each_connection_with_its_next_answer(application: Application) -> None:
    """Callers come back to another gateway."""
    async with served(application) as server:
        wires = [await server.connect() for _ in range(2)]
        server.http.draining = True
        for wire, path in zip(wires, ["/now", "/later"], strict=True):
            await wire.send(get(path) + get("/hidden"))
            received = await wire.rest()

            assert (received.count(b"HTTP/1.1 "), received.count(b"connection: close\r\n")) == (1, 1)
    assert application.paths == ["/now", "/later"]


async def stopped_with(server: Served, act: Callable[[], object]) -> None:
    """Stop the server, and do something while it stops."""
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0.02)
    act()
    await stopping


@pytest.mark.parametrize("at", [0, 20])
async def test_stopping_server_answers_what_is_on_its_way(application: Application, at: int) -> None:
    """Half a request, or one that was sent before its caller could know; then the connection is closed."""
    request = post("/a", b"body")
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(get("/now"))
        await wire.answer()
        await wire.send(request[:at])
        await until(lambda: protocol_of(server).state is (State.READING if at else State.IDLE))
        await stopped_with(server, lambda: wire.writer.write(request[at:]))
        received = await wire.rest()

    assert received.startswith(b"HTTP/1.1 200 ")


async def test_stopping_server_finishes_what_it_answers(application: Application) -> None:
    """A request that begins to arrive while idle connections are still open is answered too."""
    application.may_answer.clear()
    async with served(application) as server:
        wires = [await server.connect() for _ in range(3)]
        await wires[0].send(get("/a"))
        await until(lambda: server.connections == 3 and server.http.in_flight == 1)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.02)
        await wires[1].send(get("/b"))
        await wires[2].send(get("/c")[:10])
        await asyncio.sleep(0.2)
        await wires[2].send(get("/c")[10:])
        await until(lambda: server.http.in_flight == 3)
        application.may_answer.set()
        received = [await wire.rest() for wire in wires]
        await stopping

    assert [answer.startswith(b"HTTP/1.1 200 ") for answer in received] == [True] * 3


async def test_stopping_server_closes_idle_connections(application: Application) -> None:
    """An idle connection has no request to wait for."""
    async with served(application) as server:
        [await server.connect() for _ in range(3)]
        await until(lambda: server.connections == 3)
        await server.stop()

        assert server.connections == 0


async def test_closing_an_idle_connection_answers_what_was_not_read_yet(application: Application) -> None:
    """The bytes are in the kernel, and nginx does not send a POST a second time."""
    async with served(application) as server:
        wire = await server.connect()
        await until(lambda: server.connections)
        server.http.draining = True
        wire.writer.write(post("/now", b"body"))  # sent at once, and not read before this turn of the loop ends
        protocol_of(server).close_if_idle()

        assert (await wire.rest()).startswith(b"HTTP/1.1 200 ")


async def test_closing_an_idle_connection_is_seen_at_once(application: Application) -> None:
    """Not a turn of the loop later, in which a question could be sent."""
    async with served(application) as server:
        wire = await server.connect()
        await until(lambda: server.connections)
        protocol_of(server).close_if_idle()

        ends = select.poll()
        ends.register(wire.writer.get_extra_info("socket"), select.POLLIN)
        assert ends.poll(0) != []


async def test_an_idle_connection_is_closed_without_a_descriptor_left(application: Application) -> None:
    """The gateway stops also where all descriptors are used up."""
    async with served(application) as server:
        wire = await server.connect()
        await until(lambda: server.connections)
        with no_descriptor_left():
            protocol_of(server).close_if_idle()

        assert await wire.rest() == b""


async def test_closing_an_idle_connection_takes_no_answer_from_its_caller(application: Application) -> None:
    """A caller that reads slowly gets the rest of its answer, and then the end."""
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(get("/now?8000000"))
        await until(lambda: server.connections and protocol_of(server)._full)
        assert protocol_of(server).state is State.IDLE
        protocol_of(server).close_if_idle()

        assert len(await wire.rest()) > 8_000_000


async def test_stopping_server_closes_connections_that_open_meanwhile(application: Application) -> None:
    """They are idle too, and nothing waits for them."""
    async with served(application) as server:
        await server.connect()
        await until(lambda: server.connections)
        stopping = asyncio.create_task(server.http.stop(within_seconds=60))
        await asyncio.sleep(0)
        late = await server.connect()
        async with asyncio.timeout(5):
            await stopping

        assert await late.rest() == b""


async def test_stopping_server_cancels_what_takes_too_long(application: Application) -> None:
    """The connections of those callers are closed."""
    application.may_answer.clear()
    async with served(application) as server:
        wire = await server.connect()
        await wire.send(get("/a"))
        await until(lambda: server.http.in_flight)
        await server.http.stop(within_seconds=0.05)

        assert (await wire.rest(), application.left) == (b"", ["/a"])
