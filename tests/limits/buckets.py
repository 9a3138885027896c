"""Token buckets of one process, and callers that wait for them."""

import asyncio
from datetime import timedelta
from typing import Final

from service.limits.store_budget import ProcessBudget
from service.verification.interfaces import Priority
from tests.clock import FakeClock

FOREGROUND: Final = Priority.FOREGROUND
BACKGROUND: Final = Priority.BACKGROUND


def seconds(number: float) -> timedelta:
    """Return a duration."""
    return timedelta(seconds=number)


class Reported:
    """The pauses that a bucket reported."""

    def __init__(self) -> None:
        self.pauses: list[timedelta] = []
        self.resumed = 0

    def resume(self) -> None:
        """A pause ended."""
        self.resumed += 1


def make(
    clock: FakeClock, reported: Reported, *, rate: float = 2, burst: int = 4, timeout: float = 3, jitter: float = 1.0
) -> ProcessBudget:
    """Return a bucket."""
    return ProcessBudget(
        rate=rate,
        burst=burst,
        timeout=seconds(timeout),
        clock=clock,
        paused=reported.pauses.append,
        resumed=reported.resume,
        jitter=lambda: jitter,
    )


async def spend(bucket: ProcessBudget, number: int) -> None:
    """Ask so many times, without waiting."""
    for _ in range(number):
        await bucket.acquire(FOREGROUND)


def ask(bucket: ProcessBudget, number: int) -> list[asyncio.Task[None]]:
    """Let so many callers ask at once."""
    return [asyncio.create_task(bucket.acquire(FOREGROUND)) for _ in range(number)]


def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    """Return, for each of them, whether it has had its turn."""
    return [task.done() for task in tasks]
