"""The lag of the event loop, which delays every caller."""

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NoReturn

from service.verification.interfaces import Clock

EVERY: Final = timedelta(milliseconds=250)
"""The time between two measurements of the lag."""

STALL: Final = timedelta(milliseconds=250)
"""Lag beyond which something is wrong: with a deadline of 3 s, callers begin to feel it."""

RECENTLY: Final = timedelta(minutes=1)
"""The time that a lag is remembered: longer than between two scrapes, or a short stall would never show."""

QUIET: Final = timedelta(minutes=1)
"""The time without a further log line after a stall; the gauge shows all stalls."""


class LoopLagMonitor:
    """Measures by how much the event loop wakes sleeping tasks too late.

    `report` is called after every measurement with the worst lag of late, in seconds; `stalled` when it is beyond
    `STALL`, at most once in `QUIET`, so that it may write a log line.
    """

    def __init__(self, *, clock: Clock, report: Callable[[float], None], stalled: Callable[[float], None]) -> None:
        self._clock = clock
        self._report = report
        self._stalled = stalled
        self._lags: deque[float] = deque(maxlen=RECENTLY // EVERY)
        self._stalls: deque[tuple[float, float]] = deque(maxlen=RECENTLY // EVERY)
        self._due_at: float | None = None
        self._quiet_until = float("-inf")

    def stood_still(self, since: float) -> float:
        """Return for how many seconds of the time since that instant (monotonic) the event loop was stalled.

        A stall from which the loop has just awoken counts before it is measured.
        """
        now = self._clock.monotonic()
        seconds = sum(lag for awake_at, lag in self._stalls if awake_at > since)
        if self._due_at is not None and now - self._due_at > STALL.total_seconds():
            seconds += now - self._due_at
        return min(seconds, now - since)

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        while True:
            self._due_at = self._clock.monotonic() + EVERY.total_seconds()
            await self._clock.sleep(EVERY)
            awake_at = self._clock.monotonic()
            lag = max(0.0, awake_at - self._due_at)
            self._lags.append(lag)
            self._report(max(self._lags))
            if lag > STALL.total_seconds():
                self._stalls.append((awake_at, lag))
            if lag > STALL.total_seconds() and awake_at >= self._quiet_until:
                self._quiet_until = awake_at + QUIET.total_seconds()
                self._stalled(lag)
