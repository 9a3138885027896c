"""Real time for a busy machine."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

from service.clock import SystemClock

_SHORT: Final = timedelta(milliseconds=100)
_VERY_SHORT: Final = timedelta(milliseconds=20)
_PLENTY: Final = timedelta(seconds=10)


class UnhurriedClock(SystemClock):
    """Real time with long time-outs, so that a busy machine does not pass for a Redis that gives no answer.

    Very short sleeps, in which reads are watched, are long too.
    """

    async def sleep(self, duration: timedelta) -> None:
        """Return once `duration`, or ten seconds for a very short one, have passed."""
        await super().sleep(_PLENTY if timedelta() < duration < _VERY_SHORT else duration)

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the body and raise `TimeoutError` once `duration`, or ten seconds for a short one, have passed."""
        return super().timeout(_PLENTY if duration < _SHORT else duration)

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Do the same."""
        return self.timeout(duration)
