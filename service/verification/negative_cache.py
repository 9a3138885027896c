"""A question that just got no answer is not asked again at once."""

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


class _Silence(Struct, frozen=True):
    answer: NoAnswer
    until: float
    memo: timedelta


class NegativeCache:
    """Remembers for 1 to 5 seconds, longer each time in a row, that a question got no usable answer.

    That is no evidence and never leaves the process; it only keeps a crowd from asking a broken store the same
    thing again and again. Holds at most `most` questions, the oldest forgotten first.
    """

    def __init__(self, *, clock: Clock, most: int = 10_000) -> None:
        self._clock = clock
        self._most = most
        self._silences: OrderedDict[Fingerprint, _Silence] = OrderedDict()

    def recall(self, name: Fingerprint) -> NoAnswer | None:
        """Return why there was no answer a moment ago, with the time until the next try; None when it may be asked."""
        silence = self._silences.get(name)
        if silence is None:
            return None
        left = timedelta(seconds=silence.until - self._clock.monotonic())
        if left <= timedelta():
            return None
        answer = silence.answer
        named = left if answer.retry_after is None else answer.retry_after - (silence.memo - left)
        # A new one each time: raising a stored exception again would grow its traceback without end.
        return type(answer)(answer.detail, retry_after=max(left, named))

    def remember(self, name: Fingerprint, answer: NoAnswer) -> None:
        """Take note that the question got no answer."""
        before = self._silences.pop(name, None)
        memo = FIRST if before is None else min(before.memo * 2, LONGEST)
        bare = type(answer)(answer.detail, retry_after=answer.retry_after)
        self._silences[name] = _Silence(bare, self._clock.monotonic() + memo.total_seconds(), memo)
        if len(self._silences) > self._most:
            self._silences.popitem(last=False)

    def forget(self, name: Fingerprint) -> None:
        """Take note that the question got an answer."""
        self._silences.pop(name, None)
