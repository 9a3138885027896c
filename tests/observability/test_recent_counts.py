"""The answers of the last minutes."""

import asyncio
from datetime import timedelta

from service.observability.recent_counts import EVERY, RECENTLY, RecentCounts
from tests.clock import FakeClock


async def test_counts_of_the_last_minutes_are_those_since_then() -> None:
    """However long the gateway has run, and however many there were before."""
    clock = FakeClock()
    counted = [100, 50]
    recent = RecentCounts(counts=lambda: (counted[0], counted[1]), clock=clock)
    running = asyncio.create_task(recent.run())
    await clock.advance(2 * RECENTLY)
    counted[:] = [107, 52]

    at_once = recent.since()
    await clock.advance(RECENTLY)
    nearly_past = recent.since()
    await clock.advance(EVERY)
    past = recent.since()

    running.cancel()
    assert at_once == (RECENTLY, (7, 2))
    assert nearly_past == (RECENTLY, (7, 2))
    assert past == (RECENTLY, (0, 0))


async def test_counts_of_a_gateway_that_has_just_begun_say_so() -> None:
    """The time that was looked at is shorter then."""
    clock = FakeClock()
    recent = RecentCounts(counts=lambda: (0, 0), clock=clock)

    await clock.advance(timedelta(seconds=9))

    assert recent.since() == (timedelta(seconds=9), (0, 0))
