"""The time of a sandbox and of the gateway in front of it: the machine's, and moved forward as tests ask."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from service.verification.interfaces import Clock

_PAST: Final = 0.0
"""A time at which no event loop is any more."""

_LAPSE_STEP: Final = timedelta(seconds=1)
_LAPSE_REST: Final = timedelta(milliseconds=10)


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return once one of them has ended; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class SandboxClock:
    """Implements `Clock` by another one, and is ahead of it by as much as it was moved; it never goes back.

    Wall clock and monotonic time move together. Tasks that sleep, and time-outs, end at once when they are moved past
    their end. Time-outs for input and output stay the machine's: what they wait for is no part of the sandbox.
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._moved = asyncio.Event()
        self.ahead = timedelta()
        """The time by which it was moved."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        return self._machine.now() + self.ahead

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return self._machine.monotonic() + self.ahead.total_seconds()

    def moved(self, instant: datetime) -> datetime:
        """Return the instant of a clock that is not moved, such as that of Redis, as if it were moved as far."""
        return instant + self.ahead

    def advance(self, duration: timedelta) -> None:
        """Move forward, and wake those who wait for a time that has passed now."""
        self.ahead += duration
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def lapse(self, duration: timedelta, *, unless: asyncio.Event) -> None:
        """Let that much time pass in a hundredth of it, so that those who wait for less give up soon.

        It ends at once when the event is set.
        """
        end = self.monotonic() + duration.total_seconds()
        while not unless.is_set() and self.monotonic() < end:
            self.advance(_LAPSE_STEP)
            await self._machine.sleep(_LAPSE_REST)

    async def sleep(self, duration: timedelta) -> None:
        """Return once `duration` has passed."""
        due_at = self.monotonic() + duration.total_seconds()
        while (left := due_at - self.monotonic()) > 0:
            moved = self._moved
            await first_of(self._machine.sleep(timedelta(seconds=left)), moved.wait())
            if not moved.is_set():
                break  # by the machine's own measure all of it has passed
        await asyncio.sleep(0)

    @asynccontextmanager
    async def timeout(self, duration: timedelta) -> AsyncIterator[None]:
        """Cancel the body and raise `TimeoutError` once `duration` has passed."""
        async with asyncio.timeout(None) as deadline:
            ended = False

            def expire(_: asyncio.Task[None]) -> None:
                # The body may have ended in the very turn in which its time was up.
                if not ended:
                    deadline.reschedule(_PAST)

            due = asyncio.create_task(self.sleep(duration))
            due.add_done_callback(expire)
            try:
                yield
            finally:
                ended = True
                due.cancel()

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Do the same by the machine's time, counting only time in which replies could be read."""
        return self._machine.io_timeout(duration)
