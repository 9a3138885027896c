"""The first tier: what this process remembers, in bounded memory."""

from collections import OrderedDict
from datetime import datetime
from typing import Final

import msgspec

from service.cache.kept import LONGEST_KEPT, Kept, says_no
from service.interfaces import Clock
from service.ownership import Fingerprint, Observation

_SHARE_OF_YES: Final = 0.75
"""Of both budgets. The rest is for refusals: a flood of wrong keys evicts only other refusals."""

_ENTRY_BYTES: Final = 700
_BYTES_PER_ENCODED_BYTE: Final = 3
"""What an entry takes: measured objects around it, and its text and numbers as Python holds them."""


class _Entry:
    __slots__ = ("forget_at", "kept", "size")

    def __init__(self, kept: Kept, forget_at: datetime, size: int) -> None:
        self.kept = kept
        self.forget_at = forget_at
        self.size = size


class _Shelf:
    """Entries in the order in which they were last used, the oldest of which make room for new ones."""

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self.entries: OrderedDict[Fingerprint, _Entry] = OrderedDict()
        self.bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def put(self, name: Fingerprint, entry: _Entry, now: datetime) -> None:
        self.remove(name)
        self.entries[name] = entry
        self.bytes += entry.size
        while self.entries and (self._overfull() or self._oldest().forget_at <= now):
            _, forgotten = self.entries.popitem(last=False)
            self.bytes -= forgotten.size

    def remove(self, name: Fingerprint) -> None:
        entry = self.entries.pop(name, None)
        if entry is not None:
            self.bytes -= entry.size

    def _overfull(self) -> bool:
        return len(self.entries) > self._max_entries or self.bytes > self._max_bytes

    def _oldest(self) -> _Entry:
        return next(iter(self.entries.values()))


class MemoryTier:
    """Remembers the newest observation under each name; the least recently used ones make room for new ones.

    Three quarters of either budget are for proof and identities, one quarter for refusals, so that nobody can push out
    the owners by asking about others. A refusal is remembered for its instant long after it may no longer be used:
    an older yes, which another tier may still have, must not come back.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, clock: Clock) -> None:
        self._clock = clock
        self._encoder = msgspec.msgpack.Encoder()
        yes_entries, yes_bytes = int(max_entries * _SHARE_OF_YES), int(max_bytes * _SHARE_OF_YES)
        self._yes = _Shelf(max_entries=yes_entries, max_bytes=yes_bytes)
        self._no = _Shelf(max_entries=max_entries - yes_entries, max_bytes=max_bytes - yes_bytes)

    def get(self, name: Fingerprint, *, now: datetime | None = None) -> Observation | None:
        """Return what is remembered and may still be used, at the moment where that is known already."""
        # The hottest lines of the process: two dictionary look-ups and no allocation.
        entries = self._yes.entries
        entry = entries.get(name)
        if entry is None:
            entries = self._no.entries
            entry = entries.get(name)
            if entry is None:
                return None
        if not entry.kept.usable(now or self._clock.now()):
            return None
        entries.move_to_end(name)
        return entry.kept.observation

    def put(self, name: Fingerprint, kept: Kept) -> Kept:
        """Remember it unless a newer one is known; return the newest one known, usable or not."""
        now = self._clock.now()
        known = self._known(name)
        if known is not None and known.believable(now) and not kept.supersedes(known):
            return known
        no = says_no(kept.observation)
        shelf, other = (self._no, self._yes) if no else (self._yes, self._no)
        other.remove(name)
        shelf.put(name, self._entry(kept, no=no), now)
        return kept

    def has_yes(self, name: Fingerprint) -> bool:
        """Whether the newest one known is a yes, usable or not."""
        return name in self._yes.entries

    @property
    def entries(self) -> int:
        """How many names are remembered."""
        return len(self._yes.entries) + len(self._no.entries)

    @property
    def bytes(self) -> int:
        """How much memory that takes, estimated."""
        return self._yes.bytes + self._no.bytes

    def _known(self, name: Fingerprint) -> Kept | None:
        entry = self._yes.entries.get(name) or self._no.entries.get(name)
        return entry.kept if entry is not None else None

    def _entry(self, kept: Kept, *, no: bool) -> _Entry:
        size = _ENTRY_BYTES + _BYTES_PER_ENCODED_BYTE * len(self._encoder.encode(kept))
        forget_at = max(kept.keep_until, kept.observation.observed_at + LONGEST_KEPT) if no else kept.keep_until
        return _Entry(kept, forget_at, size)
