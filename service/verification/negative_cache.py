"""A short memory of failed look-ups, so that the store is not asked again at once about the same thing."""

from collections import OrderedDict
from datetime import timedelta
from typing import Final

from msgspec import Struct

from service.errors import NoAnswer
from service.ownership import Fingerprint
from service.verification.interfaces import Clock

FIRST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(seconds=5)
"""The store gets a moment to recover, a player waits no longer than this for the next try (RFC 9520 does likewise)."""


class _Failure(Struct, frozen=True):
    answer: NoAnswer
    until: float
    lifetime: timedelta


class NegativeCache:
    """Remembers for 1 to 5 seconds, longer each time in a row, that a look-up got no usable answer (RFC 2308, 9520).

    A failure is no evidence and never leaves the process; it only stops a crowd from asking a broken store the same
    thing again and again. At most `most` names are remembered, the oldest forgotten first.
    """

    def __init__(self, *, clock: Clock, most: int = 10_000) -> None:
        self._clock = clock
        self._most = most
        self._failures: OrderedDict[Fingerprint, _Failure] = OrderedDict()

    def get(self, name: Fingerprint) -> NoAnswer | None:
        """Return why there was no answer a moment ago, with the time until the next try; None if it may be asked."""
        failure = self._failures.get(name)
        if failure is None:
            return None
        left = timedelta(seconds=failure.until - self._clock.monotonic())
        if left <= timedelta():
            return None
        answer = failure.answer
        named = left if answer.retry_after is None else answer.retry_after - (failure.lifetime - left)
        # A new one each time: raising a stored exception again would grow its traceback without end.
        return type(answer)(answer.detail, retry_after=max(left, named), cause=answer.cause)

    def put(self, name: Fingerprint, answer: NoAnswer) -> None:
        """Take note that there was no answer."""
        before = self._failures.pop(name, None)
        lifetime = FIRST if before is None else min(before.lifetime * 2, LONGEST)
        bare = type(answer)(answer.detail, retry_after=answer.retry_after, cause=answer.cause)
        self._failures[name] = _Failure(bare, self._clock.monotonic() + lifetime.total_seconds(), lifetime)
        if len(self._failures) > self._most:
            self._failures.popitem(last=False)

    def clear(self) -> None:
        """Forget all failures."""
        self._failures.clear()

    def remove(self, name: Fingerprint) -> None:
        """Take note that there was an answer, which ends the row of failures."""
        self._failures.pop(name, None)
