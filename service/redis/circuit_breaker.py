"""A circuit breaker, which stops asking Redis for a while after it failed."""

from typing import Final

from service.verification.interfaces import Clock

FAILURES_TO_OPEN: Final = 3
PAUSE_SECONDS: Final = 1.0


class CircuitBreaker:
    """Opens after three failures in a row; while open, one attempt a second is let through, and its success closes it.

    A question that finds it open loses no time to Redis at all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._next_attempt_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether Redis is asked as usual."""
        return self._failures < FAILURES_TO_OPEN

    @property
    def skips(self) -> bool:
        """Whether an attempt now would not be let through."""
        return not self.closed and self._clock.monotonic() < self._next_attempt_at

    def lets_through(self) -> bool:
        """Whether to attempt it now; while the circuit is open, each yes permits one attempt."""
        if self.skips:
            return False
        if not self.closed:
            # Even if this attempt is cancelled and its end never reported, the next one is due then.
            self._next_attempt_at = self._clock.monotonic() + PAUSE_SECONDS
        return True

    def succeeded(self) -> None:
        """Take note that Redis answered."""
        self._failures = 0

    def failed(self) -> None:
        """Take note that Redis did not answer."""
        self._failures += 1
        self._next_attempt_at = self._clock.monotonic() + PAUSE_SECONDS
