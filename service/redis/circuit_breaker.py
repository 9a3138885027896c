"""A circuit breaker: leaves Redis alone after it failed, until it has answered the gateway's own tries."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from service.causes import Cause
from service.redis.failures import cause_of
from service.redis.timeouts import REPLY_TIMEOUT
from service.verification.interfaces import Clock

FAILURES_TO_OPEN: Final = 3
ANSWERS_TO_CLOSE: Final = 3
TRY_EVERY: Final = timedelta(seconds=1)


class CircuitBreaker:
    """Opens after so many failures in a row; closes once so many tries in a row were answered, a second apart.

    While it is open, nothing goes to Redis but `try_redis`, so that no question ever waits to find out whether Redis is
    back. It must do what failed, and return the failure, None if Redis answered; that counts if it took no longer than
    callers wait. `on_change` is called when the circuit has opened or closed, or `cause` is another than before.
    """

    def __init__(
        self,
        try_redis: Callable[[], Awaitable[BaseException | None]],
        *,
        clock: Clock,
        failures_to_open: int = FAILURES_TO_OPEN,
        answers_to_close: int = ANSWERS_TO_CLOSE,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._try_redis = try_redis
        self._clock = clock
        self._failures_to_open = failures_to_open
        self._answers_to_close = answers_to_close
        self._on_change = on_change
        self._in_a_row = 0
        self._failures = 0
        self._trying: asyncio.Task[None] | None = None
        self._ended = False
        self._cause: Cause | None = None

    @property
    def cause(self) -> Cause | None:
        """The cause of the latest failure while Redis is left alone, None while it is asked as usual."""
        return None if self.closed else self._cause

    @property
    def closed(self) -> bool:
        """Whether Redis is asked as usual."""
        return self._trying is None

    def attempt(self) -> int | None:
        """Return a number for an attempt that begins now; None while Redis is left alone."""
        return self._failures if self.closed else None

    def succeeded(self) -> None:
        """Take note that Redis answered an attempt."""
        self._in_a_row = 0

    def failed(self, attempt: int, failure: BaseException) -> None:
        """Take note that Redis did not answer an attempt. Those that were under way together are one failure."""
        if attempt < self._failures or not self.closed:
            return
        self._failures += 1
        self._in_a_row += 1
        if self._in_a_row >= self._failures_to_open and not self._ended:
            self._cause = cause_of(failure)
            self._trying = asyncio.get_running_loop().create_task(self._try_until_back())
            self._on_change()

    async def close(self) -> None:
        """Try no more; the circuit stays as it is."""
        self._ended = True
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.wait((self._trying,))

    async def _try_until_back(self) -> None:
        answers = 0
        while answers < self._answers_to_close:
            began = self._clock.monotonic()
            await self._clock.sleep(TRY_EVERY)
            awake = self._clock.monotonic()
            failure = await self._try_redis()
            # An answer that came in time only because we were late to look is none; but on a machine so busy that it
            # woke us late, the answer of a Redis that is near is read as late.
            ours = awake - began - TRY_EVERY.total_seconds()
            in_time = self._clock.monotonic() - awake <= REPLY_TIMEOUT.total_seconds() + ours
            answers = answers + 1 if failure is None and in_time else 0
            if answers == 0:
                self._still_fails(Cause.TIMEOUT if failure is None else cause_of(failure))
        self._in_a_row = 0
        self._trying = None
        self._on_change()

    def _still_fails(self, cause: Cause) -> None:
        if cause is not self._cause:
            self._cause = cause
            self._on_change()
