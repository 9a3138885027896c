"""The one place that reads the machine's clocks. Only waits for Redis also count by the event loop's own time."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

from service.redis.timeouts import io_timeout


class SystemClock:
    """The time as this machine has it; implements `Clock`."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return time.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        """Return once `duration` has passed."""
        await asyncio.sleep(duration.total_seconds())

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the body and raise `TimeoutError` once `duration` has passed."""
        return asyncio.timeout(duration.total_seconds())

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Do the same, but count only time in which replies could be read, so that a busy event loop costs none."""
        return io_timeout(duration)
