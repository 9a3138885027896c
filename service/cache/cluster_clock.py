"""The time of the cluster, which is that of Redis: replicas whose clocks differ put events into one order by it."""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final

from service.cache.entry import CLOCK_TOLERANCE
from service.verification.interfaces import Clock

SAMPLES: Final = 5
SLOWEST: Final = timedelta(seconds=1)
"""The longest exchange whose reply says the time well enough: it is taken for that of the middle of the exchange."""


def as_redis_says(at: datetime) -> datetime:
    """Return the time as Redis has said it."""
    return at


class ClusterClock:
    """Implements `Clock`: the machine's time, moved by the median of the last five offsets from the time of Redis.

    Until Redis has said the time, it is the machine's; while Redis is away, the last offset holds. So replicas agree
    within the time that half an exchange with Redis takes, however wrong their own clocks are. `on_offset` is called
    with every new offset: how far the clock of Redis is ahead of the machine's. `redis_time` replaces that clock.
    """

    def __init__(
        self,
        machine: Clock,
        *,
        on_offset: Callable[[timedelta], None],
        redis_time: Callable[[datetime], datetime] = as_redis_says,
    ) -> None:
        self._machine = machine
        self._on_offset = on_offset
        self._redis_time = redis_time
        self._set_back: list[Callable[[timedelta], None]] = []
        self._samples: deque[timedelta] = deque(maxlen=SAMPLES)
        self._offset = timedelta()

    def on_set_back(self, told: Callable[[timedelta], None]) -> None:
        """Have `told` called when this clock is set back by more than `CLOCK_TOLERANCE`, and by how much."""
        self._set_back.append(told)

    @property
    def learned(self) -> bool:
        """Whether Redis has said the time."""
        return bool(self._samples)

    def learn(self, redis_at: datetime, *, took: timedelta) -> None:
        """Take note of the time in a reply of Redis, whose exchange took so long."""
        if took > SLOWEST:
            return
        sample = self._redis_time(redis_at) + took / 2 - self._machine.now()
        if abs(sample - self._offset) > CLOCK_TOLERANCE:
            self._samples.clear()  # a clock was set, or Redis is another one now: what it was before counts no more
        self._samples.append(sample)
        before, self._offset = self._offset, sorted(self._samples)[len(self._samples) // 2]
        if before - self._offset > CLOCK_TOLERANCE:
            for told in self._set_back:
                told(before - self._offset)
        self._on_offset(self._offset)

    def now(self) -> datetime:
        """Return the time of the cluster, aware and in UTC."""
        return self._machine.now() + self._offset

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        return self._machine.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        """Return once `duration` has passed."""
        await self._machine.sleep(duration)

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the body and raise `TimeoutError` once `duration` has passed."""
        return self._machine.timeout(duration)

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Do the same, but count only time in which replies could be read."""
        return self._machine.io_timeout(duration)
