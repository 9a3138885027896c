"""The lag of the event loop."""

import asyncio
from datetime import timedelta

import pytest

from service.observability.loop_lag import EVERY, LoopLagMonitor
from tests.clock import FakeClock
from tests.observability.conftest import LaggingClock


async def measure(clock: LaggingClock, lags: list[float]) -> tuple[list[float], list[float]]:
    """Measure as often as there are lags; return the reported lags and the stalls."""
    clock.lags = list(lags)
    reported: list[float] = []
    stalls: list[float] = []
    monitor = LoopLagMonitor(clock=clock, report=reported.append, stalled=stalls.append)
    with pytest.raises(asyncio.CancelledError):
        await monitor.run()
    return reported, stalls


async def test_every_measurement_is_reported(clock: LaggingClock) -> None:
    """The gauge shows the time by which the loop woke us too late."""
    reported, _ = await measure(clock, [0.0, 0.1, 0.4])

    assert reported == pytest.approx([0.0, 0.1, 0.4])


async def test_waking_early_is_no_lag(clock: LaggingClock) -> None:
    """Clocks of different resolution may wake us a little early; that is not a negative lag."""
    reported, _ = await measure(clock, [-0.01])

    assert reported == [0.0]


async def test_small_lag_is_no_stall(clock: LaggingClock) -> None:
    """A busy loop is not yet a stalled one."""
    _, stalls = await measure(clock, [0.2])

    assert stalls == []


async def test_large_lag_is_a_stall(clock: LaggingClock) -> None:
    """A lag above 250 ms is a stall that an operator should know about."""
    _, stalls = await measure(clock, [0.3])

    assert stalls == pytest.approx([0.3])


async def test_stalls_do_not_flood(clock: LaggingClock) -> None:
    """Within a minute of one stall no other is reported."""
    _, stalls = await measure(clock, [0.3, 0.5, 0.7])

    assert stalls == pytest.approx([0.3])


async def test_later_stalls_are_told_again(clock: LaggingClock) -> None:
    """A minute after a stall, the next one is reported."""
    _, stalls = await measure(clock, [0.3, 60.0])

    assert stalls == pytest.approx([0.3, 60.0])


async def test_how_long_it_stood_still_since_then() -> None:
    """Stalls count once they are over, measured or not, and no more of them than the time since then."""
    clock = FakeClock()
    monitor = LoopLagMonitor(clock=clock, report=lambda _: None, stalled=lambda _: None)
    began = clock.monotonic()
    idle = monitor.stood_still(began - 10)
    running = asyncio.ensure_future(monitor.run())
    await clock.advance(EVERY * 4)
    awake = monitor.stood_still(began)
    clock.jump(timedelta(seconds=5))
    just_awoken, in_the_last_second = monitor.stood_still(began), monitor.stood_still(clock.monotonic() - 1)
    await clock.advance(EVERY)
    measured, since_now = monitor.stood_still(began), monitor.stood_still(clock.monotonic())
    running.cancel()

    assert (idle, awake) == (0, 0)
    assert just_awoken == measured == pytest.approx(5 - EVERY.total_seconds())
    assert (in_the_last_second, since_now) == (1, 0)
