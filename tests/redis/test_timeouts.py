"""Redis gets 60 ms, and not less because we are slow ourselves."""

import asyncio
import socket
import time
from collections.abc import Coroutine

import pytest
import uvloop

from service.redis.timeouts import REPLY_TIMEOUT, SharedTimeout, io_timeout, let_replies_in
from tests.clock import FakeClock

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


@LOOPS
def test_reply_that_came_while_we_were_busy_is_read(new_loop: type[asyncio.AbstractEventLoop]) -> None:
    """The loop may get to it late and need many turns: the timer is late just as much."""

    async def handed_on(work: Coroutine[None, None, bytes], *, times: int) -> bytes:
        if times:
            return await asyncio.create_task(handed_on(work, times=times - 1))
        return await work

    async def ask() -> bytes:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        with theirs:
            asyncio.get_running_loop().call_soon(be_busy, theirs)
            async with io_timeout(REPLY_TIMEOUT):
                reply = await handed_on(reader.readexactly(2), times=3)
        writer.close()
        await writer.wait_closed()
        return reply

    def be_busy(theirs: socket.socket) -> None:
        theirs.sendall(b"ok")
        until = time.monotonic() + 2 * REPLY_TIMEOUT.total_seconds()
        while time.monotonic() < until:
            pass

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(ask()) == b"ok"


@LOOPS
def test_a_missing_reply_is_not_waited_out(new_loop: type[asyncio.AbstractEventLoop]) -> None:
    """A reply that takes longer is given up."""

    async def ask() -> None:
        async with io_timeout(REPLY_TIMEOUT):
            await asyncio.get_running_loop().create_future()

    with asyncio.Runner(loop_factory=new_loop) as runner, pytest.raises(TimeoutError):
        runner.run(ask())


async def test_replies_are_let_in_no_longer_than_they_need() -> None:
    """The wait ends once all replies are there."""
    turns = 0

    def done() -> bool:
        nonlocal turns
        turns += 1
        return turns == 3

    await let_replies_in(done)

    assert turns == 3


async def test_replies_that_had_come_are_not_given_up(clock: FakeClock) -> None:
    """A reply that the event loop reads a little after the time is over, for the loop was busy; the others are late."""
    shared = SharedTimeout(clock)
    loop = asyncio.get_running_loop()
    in_time, late = loop.create_future(), loop.create_future()
    shared.start(in_time)
    shared.start(late)
    await asyncio.sleep(0)

    def arrive(turns: int) -> None:
        if clock.monotonic() < end or turns:
            loop.call_soon(arrive, turns if clock.monotonic() < end else turns - 1)
        else:
            in_time.set_result(b"")

    end = clock.monotonic() + 0.99 * REPLY_TIMEOUT.total_seconds()
    arrive(3)
    await clock.advance(REPLY_TIMEOUT)
    await shared.close()

    assert (in_time.result(), type(late.result())) == (b"", TimeoutError)


async def test_time_is_measured_again_after_a_pause(clock: FakeClock) -> None:
    """The shared timer ends when nothing waits, and begins again with the next reply."""
    shared = SharedTimeout(clock)
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    shared.start(first)
    await clock.advance(REPLY_TIMEOUT)
    asleep = clock.sleepers
    shared.start(second)
    await clock.advance(REPLY_TIMEOUT)
    await shared.close()

    assert asleep == 0
    assert (type(first.result()), type(second.result())) == (TimeoutError, TimeoutError)
