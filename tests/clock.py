"""A clock that only moves when a test says so."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

START: Final = datetime(2026, 11, 20, 14, 3, 11, 123456, tzinfo=UTC)

_MONOTONIC_START: Final = 1000.0

_PAST: Final = 0.0
"""A time at which no event loop is any more."""

_PLENTY_SECONDS: Final = 10.0

_TURNS: Final = 20
"""The turns of the event loop in which a task that was woken may react, before the clock moves on."""


class FakeClock:
    """A `Clock`: `advance` moves both its times and wakes, in order, the tasks that sleep until then.

    `set_back` moves the wall clock alone, as an operator or NTP does.
    """

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        # Exact, as sums of floats are not: a test that advances by what `asleep_for` says must wake that sleeper.
        self._passed = timedelta()
        self._order = itertools.count()
        self._sleepers: list[tuple[timedelta, int, asyncio.Future[None]]] = []
        self._asleep_until: dict[asyncio.Task[Any], timedelta] = {}

    def now(self) -> datetime:
        """Return the wall-clock time."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds that no test can turn back."""
        return _MONOTONIC_START + self._passed.total_seconds()

    @property
    def sleepers(self) -> int:
        """The number of tasks that are asleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def asleep_for(self, task: asyncio.Task[Any]) -> timedelta | None:
        """Return the time for which a task is still asleep; None if it is awake."""
        left = self._asleep_until.get(task, self._passed) - self._passed
        return left if left > timedelta(0) else None

    async def sleep(self, duration: timedelta) -> None:
        """Return once the test has advanced by `duration`; at once for none, after letting others run."""
        if duration <= timedelta(0):
            await asyncio.sleep(0)
            return
        task = asyncio.current_task()
        assert task is not None
        self._asleep_until[task] = self._passed + duration
        try:
            await self._sleeper(duration)
        finally:
            del self._asleep_until[task]

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Give what comes from elsewhere, where it is not virtual time, more than it asks for: machines are busy."""
        return asyncio.timeout(max(duration.total_seconds(), _PLENTY_SECONDS))

    @asynccontextmanager
    async def timeout(self, duration: timedelta) -> AsyncIterator[None]:
        """Cancel the body and raise `TimeoutError` once the test has advanced by `duration`."""
        async with asyncio.timeout(None) as deadline:
            left = False

            def expire(due: asyncio.Future[None]) -> None:
                # The body may have ended in the very turn in which its time was up.
                if not due.cancelled() and not left:
                    deadline.reschedule(_PAST)

            due = self._sleeper(duration)
            due.add_done_callback(expire)
            try:
                yield
            finally:
                left = True
                due.cancel()

    async def advance(self, duration: timedelta) -> None:
        """Move on by `duration`, stopping at every sleeper on the way so that it acts at its own time."""
        await settle()
        end = self._passed + duration
        while self._sleepers and self._sleepers[0][0] <= end:
            due_at, _, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue
            self._move_to(max(due_at, self._passed))  # after a `jump` it is due already
            woken.set_result(None)
            await settle()
        self._move_to(end)

    def jump(self, duration: timedelta) -> None:
        """Move on without waking any task: for tests in which none sleeps."""
        self._move_to(self._passed + duration)

    def set_back(self, duration: timedelta) -> None:
        """Turn the wall clock back; time still passes as before."""
        self._now -= duration

    def _sleeper(self, duration: timedelta) -> asyncio.Future[None]:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + duration, next(self._order), woken))
        return woken

    def _move_to(self, passed: timedelta) -> None:
        self._now += passed - self._passed
        self._passed = passed


async def settle() -> None:
    """Let tasks that can go on do so."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@asynccontextmanager
async def passing_time(clock: FakeClock) -> AsyncIterator[None]:
    """Let a little time pass, again and again, for a gateway that waits for it and for sockets in turn.

    Reads from a Redis that hangs end by the clock of the gateway, and the budget of a replica alone begins empty.
    """

    async def pass_on() -> None:
        while True:
            await clock.advance(timedelta(milliseconds=5))
            await asyncio.sleep(0.01)

    passing = asyncio.create_task(pass_on())
    try:
        yield
    finally:
        passing.cancel()
        await asyncio.wait((passing,))


class WrongClock:
    """A `Clock` that is `ahead` of another, or behind; `ahead` may be set anew at any time, as an operator does."""

    def __init__(self, right: FakeClock, ahead: timedelta) -> None:
        self._right = right
        self.ahead = ahead

    def now(self) -> datetime:
        """Return the wrong time."""
        return self._right.now() + self.ahead

    def monotonic(self) -> float:
        """Return seconds, which pass as ever."""
        return self._right.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        """Return once the test has advanced by `duration`."""
        await self._right.sleep(duration)

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the body and raise `TimeoutError` once the test has advanced by `duration`."""
        return self._right.timeout(duration)

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Give what comes from elsewhere plenty of time."""
        return self._right.io_timeout(duration)
