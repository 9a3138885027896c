"""Which requests the store has seen, so that tests can count them. Never what was in `Authorization`."""

from collections import Counter, deque
from datetime import datetime
from typing import Final

from msgspec import Struct

from service.sandbox.paths import Endpoint

LONGEST: Final = 200
_OTHER: Final = "other"


class Seen(Struct, frozen=True):
    """One request, and how it was answered. `path` does not hold a key that was part of it."""

    at: datetime
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    authorization: bool
    """Whether there was such a header."""
    status: int
    fault: bool
    """Whether it met a fault."""


class Report(Struct, frozen=True):
    """What was seen since the last reset: how much by endpoint, and the last requests, oldest first."""

    total: int
    counts: dict[str, int]
    last: list[Seen]


class Journal:
    """Remembers the last requests and counts them all."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._counts: Counter[str] = Counter()
        self._last: deque[Seen] = deque(maxlen=LONGEST)

    def note(self, endpoint: Endpoint | None, seen: Seen) -> None:
        """Remember a request; without an endpoint it went nowhere that the store knows."""
        self._counts[endpoint or _OTHER] += 1
        self._last.append(seen)

    def report(self) -> Report:
        """Return what was seen; every endpoint has its count, also of nothing."""
        counts = {name: self._counts[name] for name in (*Endpoint, _OTHER)}
        return Report(self._counts.total(), counts, list(self._last))
