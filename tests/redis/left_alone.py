"""Redis that is left alone, and how it is found again: by tries of the gateway's own, a second apart."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from tests.clock import FakeClock
from tests.gateways import until


async def until_tried(clock: FakeClock) -> None:
    """Let time pass until the next try begins, of whichever part of the gateway.

    Those that have begun end first: Redis answers in real time, and to a try that is under way a clock that moves on
    is a Redis that is slow.
    """
    await until(lambda: _next_try(clock))
    await clock.advance(_next_try(clock) or timedelta())


async def until_back(clock: FakeClock, back: Callable[[], bool]) -> None:
    """Let as many tries begin and end as it takes."""
    while not back():
        await until(lambda: back() or _next_try(clock))
        if not back():
            await until_tried(clock)


def _next_try(clock: FakeClock) -> timedelta | None:
    """Return the time until the next try; None while one is under way, or if none is to come."""
    trying = [task for task in asyncio.all_tasks() if "_try_until_back" in repr(task)]
    times = [clock.asleep_for(task) for task in trying]
    return min((time for time in times if time), default=None) if all(times) else None
