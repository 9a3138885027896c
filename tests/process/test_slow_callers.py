"""A caller that sends or reads too slowly is hung up on, and delays no other."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http_protocol import Bounds
from tests import sizes
from tests.gateways import until
from tests.process.serving import UNBOUNDED, Application, Served, Wire, get, post, protocol, served

SHORT: Final = 0.15
"""Seconds until a slow caller is hung up on, in these tests."""

MUCH_LONGER: Final = 6 * SHORT

IMPATIENT: Final = Bounds(arrival_seconds=SHORT, sending_seconds=SHORT)

HALF_A_HEADER: Final = b"GET /livez HTTP/1.1\r\nHost: gate"
HALF_A_BODY: Final = post("/verify", b"x" * 100)[:-50]


async def _silent(_wire: Wire) -> None:
    """Say nothing."""


async def _half_a_header(wire: Wire) -> None:
    await wire.send(HALF_A_HEADER)


async def _half_a_body(wire: Wire) -> None:
    await wire.send(HALF_A_BODY)


async def _byte_by_byte(wire: Wire) -> None:
    with suppress(ConnectionError):  # the server hangs up, as it should
        await wire.send(*(bytes([byte]) for byte in get("/livez" + "x" * 200)), pause=SHORT / 10)


async def _half_a_second_header(wire: Wire) -> None:
    await wire.send(get("/first"))
    await wire.answer()
    await wire.send(HALF_A_HEADER)


async def _line_breaks(wire: Wire) -> None:
    await wire.send(get("/first"))
    await wire.answer()
    await wire.send(b"\r\n")


async def _body_of_what_is_answered(wire: Wire) -> None:
    await wire.send(post("/early", b"x" * 100)[:-50])
    await wire.answer()
    await wire.send(b"x")


async def _silence_after_a_late_body(wire: Wire) -> None:
    await wire.send(post("/early", b"x" * 100)[:-50])
    await wire.answer()
    await wire.send(b"x" * 50)


SLOW: Final = [
    _silent,
    _half_a_header,
    _half_a_body,
    _byte_by_byte,
    _half_a_second_header,
    _line_breaks,
    _body_of_what_is_answered,
    _silence_after_a_late_body,
]

Behave = Callable[[Wire], Awaitable[None]]


async def hangs_up_on(behave: Behave, http: type[HttpToolsProtocol], *, within: float) -> bool:
    """Whether the server closes the connection of a caller with this behaviour."""
    async with served(Application(), http) as server:
        wire = await server.connect()
        behaving = asyncio.ensure_future(behave(wire))
        try:
            return await _closed(behaving, wire, server, within)
        finally:
            behaving.cancel()
            await asyncio.gather(behaving, return_exceptions=True)


async def _closed(behaving: asyncio.Future[None], wire: Wire, server: Served, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await behaving
    except TimeoutError:
        return server.connections == 0
    return await wire.is_closed_within(within)


@pytest.mark.parametrize("behave", SLOW)
async def test_slow_sender_is_hung_up_on(behave: Behave) -> None:
    """A caller is hung up on, whichever part of its request is missing."""
    assert await hangs_up_on(behave, protocol(bounds=IMPATIENT), within=MUCH_LONGER)


async def test_uvicorn_alone_waits_for_ever() -> None:
    """A control: the test above can fail."""
    hung_up = await asyncio.gather(*(hangs_up_on(behave, UNBOUNDED, within=MUCH_LONGER) for behave in SLOW))

    assert hung_up == [False] * len(SLOW)


async def test_good_callers_are_answered_beside_slow_ones(application: Application) -> None:
    """A slow connection costs a socket for a while, nothing more."""
    async with served(application, protocol(bounds=IMPATIENT, max_requests=4)) as server:
        wires = [await server.connect() for _ in range(sizes.SLOW_SOCKETS)]
        for number, wire in enumerate(wires):
            await wire.send([b"", HALF_A_HEADER, b"\r\n"][number % 3])

        answers = [await server.ask(get("/good")) for _ in range(10)]
        closed = await asyncio.gather(*(wire.is_closed_within(10 * MUCH_LONGER) for wire in wires))

    assert answers == [(200, b"/good")] * 10
    assert all(closed)


async def test_idle_connection_is_used_again(application: Application) -> None:
    """Being idle between requests is not being slow."""
    async with served(application, protocol(bounds=IMPATIENT)) as server:
        wire = await server.connect()
        await wire.send(get("/first"))
        await wire.answer()
        await asyncio.sleep(2 * SHORT)
        await wire.send(get("/second"))

        assert await wire.answer() == (200, b"/second")


async def test_answering_slowly_is_not_held_against_the_caller(application: Application) -> None:
    """The time is that of the request's arrival, not of its answer."""
    application.may_answer.clear()
    async with served(application, protocol(bounds=IMPATIENT)) as server:
        wire = await server.connect()
        await wire.send(get("/slow"))
        await asyncio.sleep(2 * SHORT)
        application.may_answer.set()

        assert await wire.answer() == (200, b"/slow")


async def test_pipelined_request_that_we_do_not_read_is_not_late(application: Application) -> None:
    """While an earlier request is being answered, nothing is read: the time begins anew when it is answered."""
    application.may_answer.clear()
    async with served(application, protocol(bounds=Bounds(arrival_seconds=4 * SHORT))) as server:
        wire = await server.connect()
        await wire.send(get("/first"))
        await until(lambda: application.asked)
        await wire.send(get("/second") + HALF_A_HEADER)
        await asyncio.sleep(7 * SHORT)
        application.may_answer.set()
        answers = [await wire.answer(), await wire.answer()]
        await asyncio.sleep(2 * SHORT)
        await wire.send(b"way\r\n\r\n")

        assert [*answers, await wire.answer()] == [(200, b"/first"), (200, b"/second"), (200, b"/livez")]


async def reads_on(http: type[HttpToolsProtocol], *, within: float) -> bool:
    """Whether the server gives up on a caller who asks for much and reads nothing."""
    application = Application()
    async with served(application, http) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await wire.send(get("/early?8000000") * 3)
        try:
            async with asyncio.timeout(within):
                while server.connections:  # noqa: ASYNC110 - what is waited for sets no event
                    await asyncio.sleep(SHORT / 10)
        except TimeoutError:
            return False
        return True


async def test_slow_reader_is_hung_up_on() -> None:
    """A slow reader would hold one of the requests that may be under way, for ever."""
    assert await reads_on(protocol(bounds=IMPATIENT), within=MUCH_LONGER)


async def test_uvicorn_alone_waits_for_a_slow_reader() -> None:
    """A control: the test above can fail."""
    assert not await reads_on(UNBOUNDED, within=MUCH_LONGER)


async def test_slow_reader_who_reads_on_gets_everything(application: Application) -> None:
    """A pause is no reason to hang up once it is over."""
    async with served(application, protocol(bounds=Bounds(sending_seconds=MUCH_LONGER))) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket transport has it
        await wire.send(get("/early?8000000"))
        await until(lambda: application.asked)
        await asyncio.sleep(SHORT)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]  # every socket transport has it
        status, body = await wire.answer()
        await asyncio.sleep(MUCH_LONGER)
        await wire.send(get("/again"))

        assert (status, len(body)) == (200, len(b"/early") + 8_000_000)
        assert await wire.answer() == (200, b"/again")
