"""The first tier: observations in the bounded memory of this process."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from service.cache.entry import LONGEST_KEPT, CacheEntry
from service.ownership import CacheTier, Evidence, Fingerprint, Observation
from service.verification.interfaces import Clock, Remembered
from service.verification.policy import says_no

_SHARE_OF_YES: Final = 0.75
"""The share of both budgets for proof. The rest is for refusals: a flood of wrong keys evicts only other refusals."""

_ENTRY_BYTES: Final = 200
"""The memory that an entry takes beyond its packed bytes: measured on a 64-bit Python 3.11."""


class LruCache:
    """Packed entries in the order in which they were last used, the oldest of which make room for new ones.

    `forget_at` returns the instant from which a packed entry is of no use.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, forget_at: Callable[[bytes], datetime]) -> None:
        self.entries: OrderedDict[Fingerprint, bytes] = OrderedDict()
        self.bytes = 0
        self._forget_at = forget_at
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def put(self, name: Fingerprint, packed: bytes, now: datetime) -> None:
        """Insert an entry. Over the limits, evict the least recently used; else drop expired ones from the old end."""
        self.entries[name] = packed
        self.bytes += _ENTRY_BYTES + len(packed)
        if self._overfull():
            while self._overfull():
                self._forget_oldest()
        else:
            while self.entries and self._forget_at(self._oldest()) <= now:
                self._forget_oldest()

    def remove(self, name: Fingerprint) -> None:
        self.bytes -= _ENTRY_BYTES + len(self.entries.pop(name))

    def change_each(self, change: Callable[[bytes], bytes]) -> None:
        """Put another in the place of each packed entry."""
        for name, packed in self.entries.items():
            changed = self.entries[name] = change(packed)
            self.bytes += len(changed) - len(packed)

    def _overfull(self) -> bool:
        return len(self.entries) > self._max_entries or self.bytes > self._max_bytes

    def _oldest(self) -> bytes:
        return next(iter(self.entries.values()))

    def _forget_oldest(self) -> None:
        _, forgotten = self.entries.popitem(last=False)
        self.bytes -= _ENTRY_BYTES + len(forgotten)


def lists_of_yes_and_no(
    *, max_entries: int, max_bytes: int, forget_at: Callable[[bytes], datetime]
) -> tuple[LruCache, LruCache]:
    """Return a list for proof, which gets three quarters of both budgets, and one for refusals."""
    yes_entries, yes_bytes = int(max_entries * _SHARE_OF_YES), int(max_bytes * _SHARE_OF_YES)
    return (
        LruCache(max_entries=yes_entries, max_bytes=yes_bytes, forget_at=forget_at),
        LruCache(max_entries=max_entries - yes_entries, max_bytes=max_bytes - yes_bytes, forget_at=forget_at),
    )


class MemoryTier:
    """Remembers the newest observation under each name; the least recently used ones make room for new ones.

    Three quarters of either budget are for proof and identities, one quarter for refusals, so that no flood of wrong
    keys pushes out the owners. A refusal is remembered for its instant long after it may no longer be used: an older
    yes, which another tier may still have, must not come back.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, clock: Clock) -> None:
        self._clock = clock
        self._yes, self._no = lists_of_yes_and_no(max_entries=max_entries, max_bytes=max_bytes, forget_at=_forget_at)

    def peek(self, name: Fingerprint) -> Remembered | None:
        """Return the observation under a name if it may still be used."""
        cache = self._cache_with(name)
        if cache is None:
            return None
        entry = _unpack(cache.entries[name])
        if not entry.usable(self._clock.now()):
            return None
        cache.entries.move_to_end(name)
        return Remembered(entry.observation, CacheTier.MEMORY)

    def put(self, name: Fingerprint, entry: CacheEntry) -> CacheEntry:
        """Remember an entry unless a newer one is known; return the newest one known, usable or not."""
        now = self._clock.now()
        if (cache := self._cache_with(name)) is not None:
            known = _unpack(cache.entries[name])
            if known.believable(now) and not entry.supersedes(known):
                return known
            cache.remove(name)
        cache = self._yes if _has_proof(entry.observation) else self._no
        cache.put(name, _ENCODER.encode(entry), now)
        return entry

    def has_usable_yes(self, name: Fingerprint) -> bool:
        """Whether the newest observation under a name is a yes that may still be used."""
        packed = self._yes.entries.get(name)
        if packed is None:
            return False
        entry = _unpack(packed)
        return not says_no(entry.observation) and entry.usable(self._clock.now())

    def set_back(self, by: timedelta) -> None:
        """Count each observation as made so much earlier: the clock was ahead, and is so no more.

        Else one from the future would stand above what others invalidate meanwhile, once its time has come. What was
        dated rightly, as in Redis, grows older than it is, which is safe. It takes a third of a second for 200 000.
        """
        for cache in (self._yes, self._no):
            cache.change_each(lambda packed: _ENCODER.encode(_unpack(packed).set_back(by)))

    @property
    def entries(self) -> int:
        """The number of names that are remembered."""
        return len(self._yes.entries) + len(self._no.entries)

    @property
    def bytes(self) -> int:
        """The memory that they take, estimated."""
        return self._yes.bytes + self._no.bytes

    def _cache_with(self, name: Fingerprint) -> LruCache | None:
        if name in self._yes.entries:
            return self._yes
        return self._no if name in self._no.entries else None


# Entries are stored as bytes: as objects they would take 2.5 times the memory, and the garbage collector's time.
_ENCODER: Final = msgspec.msgpack.Encoder()
_unpack: Final = msgspec.msgpack.Decoder(CacheEntry).decode


def _has_proof(observation: Observation) -> bool:
    """Whether it is a yes, or a no with the proof beside it that it has taken the place of."""
    return not says_no(observation) or (isinstance(observation, Evidence) and observation.overruled is not None)


def _forget_at(packed: bytes) -> datetime:
    entry = _unpack(packed)
    if says_no(entry.observation):
        return max(entry.keep_until, entry.observation.observed_at + LONGEST_KEPT)
    return entry.keep_until
