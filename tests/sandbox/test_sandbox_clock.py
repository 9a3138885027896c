"""The clock of a sandbox: moved forward, it wakes whom the time has come for."""

import asyncio
from datetime import timedelta

from service.sandbox.sandbox_clock import SandboxClock
from tests.clock import START, FakeClock

SOON = timedelta(seconds=5)
HOUR = timedelta(hours=1)


async def settle() -> None:
    """Let tasks that were woken react."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_both_times_move_together(clock: FakeClock) -> None:
    """Wall clock and monotonic time are ahead by the same, and pass as the machine's do."""
    moved = SandboxClock(clock)
    before = moved.monotonic()

    moved.advance(HOUR)
    clock.jump(SOON)

    assert (moved.now(), moved.monotonic()) == (START + HOUR + SOON, before + (HOUR + SOON).total_seconds())
    assert moved.moved(START) == START + HOUR


async def test_sleepers_wake_when_their_time_is_passed(clock: FakeClock) -> None:
    """A sleeper that is moved past its end wakes; one that is not sleeps for the rest."""
    moved = SandboxClock(clock)
    early, late = asyncio.create_task(moved.sleep(SOON)), asyncio.create_task(moved.sleep(2 * HOUR))
    await settle()

    moved.advance(HOUR)
    await settle()
    assert (early.done(), late.done()) == (True, False)

    await clock.advance(HOUR)
    assert late.done()


async def test_time_outs_end_when_their_time_is_passed(clock: FakeClock) -> None:
    """The body of a time-out is cancelled as if the time had passed."""
    moved = SandboxClock(clock)
    raised = []

    async def wait() -> None:
        try:
            async with moved.timeout(SOON):
                await asyncio.Event().wait()
        except TimeoutError as error:
            raised.append(error)

    waiting = asyncio.create_task(wait())
    await settle()
    assert not raised

    moved.advance(SOON)
    await waiting
    assert len(raised) == 1


async def test_a_lapse_is_short_for_the_machine(clock: FakeClock) -> None:
    """A minute that lapses takes the machine 0.6 seconds, and wakes on its way those who wait for less."""
    moved = SandboxClock(clock)
    lapse = asyncio.create_task(moved.lapse(timedelta(minutes=1), unless=asyncio.Event()))
    sleeper = asyncio.create_task(moved.sleep(SOON))

    await clock.advance(timedelta(milliseconds=60))
    assert (lapse.done(), sleeper.done()) == (False, True)

    await clock.advance(timedelta(milliseconds=600))
    assert lapse.done()
    assert moved.ahead == timedelta(minutes=1)
