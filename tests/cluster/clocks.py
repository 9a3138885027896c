"""Real time for a busy machine."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

from service.clock import SystemClock

_SHORT: Final = timedelta(milliseconds=100)
_PLENTY: Final = timedelta(seconds=10)


class UnhurriedClock(SystemClock):
    """Real time, in which nobody gives up on Redis because the machine is busy: short time-outs are long."""

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the body and raise `TimeoutError` once `duration`, or ten seconds for a short one, have passed."""
        return super().timeout(_PLENTY if duration < _SHORT else duration)
