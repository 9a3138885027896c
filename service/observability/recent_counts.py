"""The answers of the last minutes, and the share of them that was `unknown`."""

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NoReturn, TypeAlias

from service.verification.interfaces import Clock

EVERY: Final = timedelta(seconds=15)
RECENTLY: Final = timedelta(minutes=5)

Counts: TypeAlias = tuple[int, int]
"""The answers since the start, and those of them that were `unknown`."""


class RecentCounts:
    """The counts of a time that has passed, made from those since the start: they are looked at every `EVERY`."""

    def __init__(self, *, counts: Callable[[], Counts], clock: Clock) -> None:
        self._counts = counts
        self._clock = clock
        self._seen: deque[tuple[float, Counts]] = deque([self._look()], maxlen=RECENTLY // EVERY + 1)

    def since(self) -> tuple[timedelta, Counts]:
        """Return the time that has been looked at, `RECENTLY` at most, and the counts of that time."""
        began, (given, unknown) = self._seen[0]
        ended, (given_now, unknown_now) = self._look()
        return timedelta(seconds=ended - began), (given_now - given, unknown_now - unknown)

    async def run(self) -> NoReturn:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            self._seen.append(self._look())

    def _look(self) -> tuple[float, Counts]:
        return self._clock.monotonic(), self._counts()
