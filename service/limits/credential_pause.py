"""Pauses of single credentials: a store that limits one player has said nothing about the others."""

from collections import OrderedDict
from datetime import timedelta
from typing import Final

from msgspec import Struct

from service.limits.store_budget import FIRST_PAUSE, LONGEST_OWN_PAUSE
from service.verification.interfaces import Clock

LONGEST: Final = timedelta(minutes=10)
MOST: Final = 10_000
_DIFFERENT_IN_A_ROW: Final = 3
"""Refusals of so many credentials, and no good answer between them, are about us and not about them."""


class _Pause(Struct, frozen=True):
    until: float
    length: timedelta


class CredentialPause:
    """Implements `CredentialPauses`: at most `most`, the oldest forgotten first, each of ten minutes at most.

    A credential that is refused without a time to come back is left alone for 1, 2, 4, 8 and then 16 seconds.
    """

    def __init__(self, *, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._pauses: OrderedDict[bytes, _Pause] = OrderedDict()
        self._in_a_row: set[bytes] = set()

    def left(self, name: bytes) -> timedelta:
        """Return the time for which nothing is asked with the credential of that name."""
        pause = self._pauses.get(name)
        if pause is None:
            return timedelta()
        return max(timedelta(), timedelta(seconds=pause.until - self._clock.monotonic()))

    def refused(self, name: bytes, retry_after: timedelta | None) -> bool:
        """Pause a credential that was refused for asking too much; return whether that is about all of them."""
        before = self._pauses.pop(name, None)
        if retry_after is None:
            retry_after = FIRST_PAUSE if before is None else min(2 * before.length, LONGEST_OWN_PAUSE)
        length = min(max(retry_after, timedelta()), LONGEST)
        self._pauses[name] = _Pause(self._clock.monotonic() + length.total_seconds(), length)
        if len(self._pauses) > self._most:
            self._pauses.popitem(last=False)
        self._in_a_row.add(name)
        if len(self._in_a_row) < _DIFFERENT_IN_A_ROW:
            return False
        self._in_a_row.clear()
        return True

    def clear(self) -> None:
        """End all pauses."""
        self._pauses.clear()
        self._in_a_row.clear()

    def answered(self, name: bytes | None) -> None:
        """Take note of a good answer, to a request with that credential, or with none of a player."""
        self._in_a_row.clear()
        if name is not None:
            self._pauses.pop(name, None)
