"""The promises of every clock, checked for each that there is."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, timedelta
from typing import Any, TypeVar

import pytest

from service.clock import SystemClock
from service.sandbox.sandbox_clock import SandboxClock
from service.verification.interfaces import Clock
from tests.clock import FakeClock

T = TypeVar("T")
SHORT = timedelta(milliseconds=1)
LONG = timedelta(hours=1)


class MovedClock(SandboxClock):
    """The clock of a sandbox that was moved before."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.advance(LONG)


@pytest.fixture(params=[SystemClock, FakeClock, MovedClock], ids=lambda kind: kind.__name__)
def clock(request: pytest.FixtureRequest) -> Clock:
    """Each clock in turn."""
    clock: Clock = request.param()
    return clock


async def passing(clock: Clock, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns, which takes no more than a short time."""
    task = asyncio.ensure_future(work)
    if isinstance(clock, FakeClock):
        await clock.advance(SHORT)
    # Far longer than a busy machine needs; a clock that never comes back fails here.
    await asyncio.wait((task,), timeout=10)
    return task.result()


def test_now_is_in_utc(clock: Clock) -> None:
    """The instant is aware, so that it cannot be compared with local time."""
    assert clock.now().tzinfo is UTC


def test_the_times_do_not_go_back_by_themselves(clock: Clock) -> None:
    """Two readings are in order."""
    first = (clock.now(), clock.monotonic())

    second = (clock.now(), clock.monotonic())

    assert (first[0] <= second[0], first[1] <= second[1]) == (True, True)


async def test_sleeping_takes_time(clock: Clock) -> None:
    """As the monotonic clock has it."""
    before = clock.monotonic()

    await passing(clock, clock.sleep(SHORT))

    assert clock.monotonic() > before


@pytest.mark.parametrize("duration", [timedelta(), -LONG])
async def test_sleeping_for_no_time_returns_and_lets_others_run(clock: Clock, duration: timedelta) -> None:
    """The time to sleep may also be negative."""
    others: list[str] = []
    asyncio.get_running_loop().call_soon(others.append, "ran")

    await clock.sleep(duration)

    assert others == ["ran"]


async def test_a_sleeper_can_be_cancelled(clock: Clock) -> None:
    task = asyncio.ensure_future(clock.sleep(LONG))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_body_that_ends_in_time_is_left_alone(clock: Clock) -> None:
    """The result of the body stands, and the code after it is not cancelled."""
    duration = SHORT
    while True:
        try:
            async with clock.timeout(duration):
                await asyncio.sleep(0)
            break
        except TimeoutError:  # a busy machine did not let it end in time
            duration *= 2
            assert duration < LONG

    for _ in range(duration // SHORT + 1):
        await passing(clock, clock.sleep(SHORT))


@pytest.mark.parametrize("duration", [SHORT, timedelta(), -LONG])
async def test_a_body_that_takes_too_long_is_cut_off(clock: Clock, duration: timedelta) -> None:
    """The body is cancelled, may tidy up, and then `TimeoutError` is raised."""
    cancelled = False

    async def body() -> None:
        nonlocal cancelled
        async with clock.timeout(duration):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise

    with pytest.raises(TimeoutError):
        await passing(clock, body())

    assert cancelled


async def test_being_cancelled_from_outside_is_no_time_out(clock: Clock) -> None:
    """A caller who hangs up did not wait too long."""

    async def body() -> None:
        async with clock.timeout(LONG):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(body())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_body_raises_passes(clock: Clock) -> None:
    """The body's own exception is not hidden."""
    with pytest.raises(ZeroDivisionError):
        async with clock.timeout(LONG):
            raise ZeroDivisionError


async def test_the_inner_of_two_time_outs_is_the_inners(clock: Clock) -> None:
    """The outer body goes on."""

    async def body() -> str:
        async with clock.timeout(LONG):
            try:
                async with clock.timeout(SHORT):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "went on"
        return "was not cut off"

    assert await passing(clock, body()) == "went on"
