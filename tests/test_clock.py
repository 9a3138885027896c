"""The clock of the tests, which other tests rely on."""

import asyncio
from datetime import timedelta

import pytest

from service.verification.interfaces import Clock
from tests.clock import START, FakeClock

SECOND = timedelta(seconds=1)


async def test_it_is_a_clock() -> None:
    """The tests' clock is a `Clock`, and starts at a known instant."""
    clock: Clock = FakeClock()

    assert clock.now() == START


async def test_both_times_move_together() -> None:
    """Wall clock and monotonic time advance by the same."""
    clock = FakeClock()
    before = clock.monotonic()

    await clock.advance(90 * SECOND)

    assert (clock.now() - START, clock.monotonic() - before) == (90 * SECOND, 90.0)


async def test_the_wall_clock_can_be_set_back() -> None:
    """Monotonic time does not follow a change of the wall clock."""
    clock = FakeClock()
    before = clock.monotonic()

    clock.set_back(SECOND)

    assert (clock.now(), clock.monotonic()) == (START - SECOND, before)


async def test_sleepers_wake_in_order_and_at_their_own_time() -> None:
    """A task that sleeps twice is woken twice within one advance, each time on the second."""
    clock = FakeClock()
    woken: list[tuple[str, float]] = []
    start = clock.monotonic()

    async def sleeper(name: str, seconds: int) -> None:
        for _ in range(2):
            await clock.sleep(seconds * SECOND)
            woken.append((name, clock.monotonic() - start))

    tasks = [asyncio.ensure_future(sleeper("slow", 3)), asyncio.ensure_future(sleeper("quick", 2))]
    await clock.advance(6 * SECOND)
    await asyncio.gather(*tasks)

    assert woken == [("quick", 2.0), ("slow", 3.0), ("quick", 4.0), ("slow", 6.0)]


async def test_a_sleeper_wakes_after_the_time_that_it_is_asleep_for() -> None:
    """Wherever the clock is: where times were sums of floats, after so many steps a sleeper slept on for ever."""
    clock = FakeClock()
    for _ in range(1535):
        clock.jump(SECOND * 0.015)
    task = asyncio.ensure_future(clock.sleep(SECOND))
    await asyncio.sleep(0)
    clock.jump(SECOND * 0.06)

    await clock.advance(clock.asleep_for(task) or SECOND)

    assert (task.done(), clock.asleep_for(task)) == (True, None)


async def test_nobody_wakes_too_early() -> None:
    """A moment before its time a task still sleeps."""
    clock = FakeClock()
    task = asyncio.ensure_future(clock.sleep(2 * SECOND))

    await clock.advance(1.999 * SECOND)

    assert (task.done(), clock.sleepers) == (False, 1)
    task.cancel()


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """A sleeper that is cancelled delays no other."""
    clock = FakeClock()
    task = asyncio.ensure_future(clock.sleep(SECOND))
    await asyncio.sleep(0)
    task.cancel()

    await clock.advance(2 * SECOND)

    assert (task.cancelled(), clock.sleepers) == (True, 0)


async def test_a_body_that_takes_too_long_is_cut_off() -> None:
    """The body is cut off exactly when its time is over."""
    clock = FakeClock()

    async def body() -> None:
        async with clock.timeout(2 * SECOND):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(body())
    await clock.advance(1.999 * SECOND)
    early = task.done()
    await clock.advance(0.001 * SECOND)

    assert not early
    with pytest.raises(TimeoutError):
        await task


async def test_a_body_that_ends_in_time_is_left_alone() -> None:
    """The deadline of a wait that ended is forgotten."""
    clock = FakeClock()

    async with clock.timeout(SECOND):
        await asyncio.sleep(0)

    assert clock.sleepers == 0


async def test_sleeping_for_no_time_lets_others_run() -> None:
    """Sleeping for no time returns without an advance of the clock."""
    clock = FakeClock()

    await clock.sleep(timedelta(0))

    assert clock.now() == START
