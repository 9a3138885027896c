"""The memory of a relay: the hub's decisions, in the bounded memory of this process."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from service.cache.entry import CLOCK_TOLERANCE
from service.cache.memory import LruCache, lists_of_yes_and_no
from service.cache.results import CacheOperation, CacheResult, OnOperation
from service.ownership import CacheTier, Fingerprint
from service.verification.interfaces import Clock
from service.verification.told import ToldDecision

_HIT: Final = (CacheTier.MEMORY, CacheOperation.GET, CacheResult.HIT)
_MISS: Final = (CacheTier.MEMORY, CacheOperation.GET, CacheResult.MISS)
_STORED: Final = (CacheTier.MEMORY, CacheOperation.PUT, CacheResult.STORED)
_SUPERSEDED: Final = (CacheTier.MEMORY, CacheOperation.PUT, CacheResult.SUPERSEDED)

# As bytes they take less memory, and none of the garbage collector's time.
_ENCODER: Final = msgspec.msgpack.Encoder()
_unpack: Final = msgspec.msgpack.Decoder(ToldDecision).decode


class RelayMemory:
    """Remembers what was asked for last under each name. Implements `ToldMemory`.

    As in the memory of observations, no flood of refusals pushes out those who are let in. A refusal is remembered for
    its instant as long as what it has taken the place of could be used: an older yes must not come back.
    """

    def __init__(
        self, *, max_entries: int, max_bytes: int, fresh_for: timedelta, clock: Clock, on_operation: OnOperation
    ) -> None:
        self._clock = clock
        self._on_operation = on_operation

        def forget_at(packed: bytes) -> datetime:
            return _unpack(packed).keep_until(fresh_for)

        self._yes, self._no = lists_of_yes_and_no(max_entries=max_entries, max_bytes=max_bytes, forget_at=forget_at)

    def get(self, name: Fingerprint) -> ToldDecision | None:
        """Return the last decision under that name, whether it may still be used or not."""
        told = self.peek(name)
        self._on_operation(*(_MISS if told is None else _HIT))
        return told

    def peek(self, name: Fingerprint) -> ToldDecision | None:
        """Return it without counting that."""
        cache = self._cache_with(name)
        if cache is None:
            return None
        told = _unpack(cache.entries[name])
        if told.heard_at > self._clock.now() + CLOCK_TOLERANCE:
            return None  # the clock was set back: it would be served for longer than it may
        cache.entries.move_to_end(name)
        return told

    def put(self, name: Fingerprint, told: ToldDecision) -> ToldDecision:
        """Remember a decision, unless one that was asked for later is known; return the one that counts."""
        cache = self._cache_with(name)
        if cache is not None:
            known = _unpack(cache.entries[name])
            if told.asked_at < known.asked_at <= self._clock.now():  # else the clock was set back meanwhile
                self._on_operation(*_SUPERSEDED)
                return known
            cache.remove(name)
        (self._yes if told.lets_in else self._no).put(name, _ENCODER.encode(told), self._clock.now())
        self._on_operation(*_STORED)
        return told

    def _cache_with(self, name: Fingerprint) -> LruCache | None:
        if name in self._yes.entries:
            return self._yes
        return self._no if name in self._no.entries else None
