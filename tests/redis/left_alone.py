"""Redis that is left alone, and how it is found again: by tries of the gateway's own, a second apart."""

from collections.abc import Callable
from datetime import timedelta

from service.redis.circuit_breaker import TRY_EVERY
from tests.clock import FakeClock
from tests.gateways import until


async def until_tried(clock: FakeClock) -> None:
    """Let time pass until the next try begins; the one before has all the time that it needs to end."""
    await until(lambda: clock.asleep_for(TRY_EVERY * 0.9))
    await clock.advance(clock.asleep_for(TRY_EVERY * 0.9) or timedelta())


async def until_back(clock: FakeClock, back: Callable[[], bool]) -> None:
    """Let as many tries begin and end as it takes."""
    while not back():
        await until(lambda: back() or clock.asleep_for(TRY_EVERY * 0.9))
        if not back():
            await until_tried(clock)
