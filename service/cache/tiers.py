"""The two tiers as one cache: this process first, Redis behind it."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from service.cache.entry import CacheEntry, cache_entry, ends_another, proven_at
from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.cache.results import CacheOperation, CacheResult, OnOperation, OnOverruled, ignore_overruled
from service.ownership import CacheTier, Fingerprint, GameId, Observation
from service.verification.interfaces import Remembered

MOST_WRITES_WAITING: Final = 1000
"""The most writes to Redis under way. Others are dropped, and Redis never gets them; this process still remembers."""

CLOSING: Final = timedelta(seconds=1)

# Looking up a member of an enum takes Python 3.11 longer than counting it.
_MEMORY_HIT: Final = (CacheTier.MEMORY, CacheOperation.GET, CacheResult.HIT)
_MEMORY_MISS: Final = (CacheTier.MEMORY, CacheOperation.GET, CacheResult.MISS)
_STORED: Final = (CacheTier.MEMORY, CacheOperation.PUT, CacheResult.STORED)
_SUPERSEDED: Final = (CacheTier.MEMORY, CacheOperation.PUT, CacheResult.SUPERSEDED)


class TieredCache:
    """Remembers observations in this process and, where there is one, in Redis. Never fails.

    No question waits for a write to Redis. `redis` is None for a gateway without one: nothing else differs.
    `on_overruled` is called when a no has replaced a yes that may still be used and that Redis and other replicas may
    still have, with the game, and the instant since which it is a no. A yes that ends by its own time needs no call.
    """

    def __init__(
        self,
        *,
        memory: MemoryTier,
        redis: RedisTier | None,
        on_operation: OnOperation,
        on_overruled: OnOverruled = ignore_overruled,
    ) -> None:
        self._memory = memory
        self._redis = redis
        self._on_operation = on_operation
        self._on_overruled = on_overruled
        self._writes: dict[asyncio.Task[None], Fingerprint] = {}
        self._closing = False

    async def get(self, name: Fingerprint) -> Remembered | None:
        """Return what any tier remembers; what only Redis had, this process remembers from now on."""
        remembered = self._memory.peek(name)
        if remembered is not None:
            self._on_operation(*_MEMORY_HIT)
            return remembered
        self._on_operation(*_MEMORY_MISS)
        return await self.get_shared(name)

    async def get_shared(self, name: Fingerprint) -> Remembered | None:
        """Return what Redis remembers, or what this process knows to be newer."""
        found = None if self._redis is None else await self._redis.get(name)
        return None if found is None else self._newest(name, found)

    def peek(self, name: Fingerprint) -> Remembered | None:
        """Return what this process remembers, without counting it."""
        return self._memory.peek(name)

    async def each(self, name: Fingerprint) -> list[Remembered]:
        """Return what each tier remembers, for people who look: nothing is put from the one into the other."""
        here = self._memory.peek(name)
        there = None if self._redis is None else await self._redis.get(name)
        shared = None if there is None else Remembered(there.observation, CacheTier.REDIS)
        return [one for one in (here, shared) if one is not None]

    def _newest(self, name: Fingerprint, found: CacheEntry) -> Remembered | None:
        if self._put_in_memory(name, found) is found:
            return Remembered(found.observation, CacheTier.REDIS)
        # While Redis was asked, a newer observation was put here. Or the newer one that we know has expired, and then
        # the older one in Redis may not be used either: a yes must not outlive the no that came after it.
        return self._memory.peek(name)

    def put(
        self, name: Fingerprint, observation: Observation, *, game_id: GameId | None, keep_until: datetime
    ) -> Observation:
        """Remember an observation in both tiers, and return the newest one that this process knows under that name."""
        entry = cache_entry(observation, keep_until)
        overrules = ends_another(observation) and self._memory.has_usable_yes(name)
        newest = self._put_in_memory(name, entry)
        if overrules and newest is entry:
            # Reported here too, and not only when Redis notices: it may be away, and have the yes when it is back.
            self._on_overruled(game_id, name, observation.observed_at, proven_at(observation))
        if newest is entry and self._redis is not None:
            self._put_in_redis(self._redis, name, entry, game_id)
        return newest.observation

    async def written(self, name: Fingerprint) -> None:
        """Return once Redis has what was put under that name, or has failed to take it."""
        writes = [task for task, written in self._writes.items() if written == name]
        if writes:
            await asyncio.wait(writes)

    async def close(self, *, within: timedelta = CLOSING) -> None:
        """Let writes under way reach Redis, for a second at most. The client stays open."""
        self._closing = True
        if self._writes:
            _, late = await asyncio.wait(self._writes, timeout=within.total_seconds())
            for task in late:
                task.cancel()
            for ended in await asyncio.gather(*late, return_exceptions=True):
                # Before Python 3.12 one that was just being sent may go on, and is counted by how it ended.
                if isinstance(ended, asyncio.CancelledError):
                    self._dropped()
        if self._redis is not None:
            await self._redis.close()

    def _put_in_memory(self, name: Fingerprint, entry: CacheEntry) -> CacheEntry:
        newest = self._memory.put(name, entry)
        self._on_operation(*(_STORED if newest is entry else _SUPERSEDED))
        return newest

    def _put_in_redis(self, redis: RedisTier, name: Fingerprint, entry: CacheEntry, game_id: GameId | None) -> None:
        if self._closing or len(self._writes) >= MOST_WRITES_WAITING:
            self._dropped()
            return
        task = asyncio.get_running_loop().create_task(self._write(redis, name, entry, game_id))
        self._writes[task] = name
        task.add_done_callback(self._writes.pop)

    async def _write(self, redis: RedisTier, name: Fingerprint, entry: CacheEntry, game_id: GameId | None) -> None:
        if await redis.put(name, entry, game_id=game_id) is CacheResult.SUPERSEDED:
            # Another replica has observed something newer meanwhile, such as a no: here, too, that is what counts.
            await self.get_shared(name)

    def _dropped(self) -> None:
        self._on_operation(CacheTier.REDIS, CacheOperation.PUT, CacheResult.DROPPED)
