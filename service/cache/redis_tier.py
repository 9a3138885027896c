"""The second tier: what other replicas have observed, and what outlives this process.

Redis may only make things faster. Whatever is wrong with it ends here: a get becomes a miss, a put is lost, both are
counted, and after three failures in a row Redis is left alone for a second. Reads and writes fail separately: a Redis
that is full or a replica still answers reads.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from redis.exceptions import ReadOnlyError

from service.cache.entry import CLOCK_TOLERANCE, LONGEST_KEPT, CacheEntry
from service.cache.keys import redis_key
from service.cache.results import CacheOperation, CacheResult, OnOperation
from service.cache.scripts import DELETE_SAME, PUT_NEWEST
from service.cache.sealing import Flaw, Sealer, Unsealable, stamp
from service.ownership import CacheTier, Fingerprint
from service.redis.background_tasks import BackgroundTasks
from service.redis.circuit_breaker import CircuitBreaker
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES, concerns_one_key
from service.redis.reader import open_reader
from service.verification.interfaces import Clock

T = TypeVar("T")

WRITES_AT_ONCE: Final = 8
_OVERRULED: Final = 2
_SHORTEST_TTL: Final = timedelta(seconds=1)
_HIT: Final = (CacheTier.REDIS, CacheOperation.GET, CacheResult.HIT)
_LARGEST_JITTER: Final = timedelta(seconds=5)
_MILLISECOND: Final = timedelta(milliseconds=1)


class RedisTier:
    """Gets and puts sealed observations. Nothing that Redis does makes it raise.

    `on_state` is told once when Redis is first known to work or not, and then at every change. `on_overruled` is told
    when a no has replaced a yes, which other replicas may still have in memory, and since when it is a no.
    """

    def __init__(
        self,
        *,
        client: RedisClient,
        sealer: Sealer,
        clock: Clock,
        on_operation: OnOperation,
        on_state: Callable[[bool], None],
        on_overruled: Callable[[Fingerprint, datetime], None] = lambda _name, _since: None,
    ) -> None:
        self._client = client
        self._sealer = sealer
        self._clock = clock
        self._on_operation = on_operation
        self._on_state = on_state
        self._on_overruled = on_overruled
        self._up: bool | None = None
        self._reading = CircuitBreaker(clock)
        self._writing = CircuitBreaker(clock)
        self._last_failure: object = None
        self._reader = open_reader(client, clock=clock)
        self._writes = asyncio.Semaphore(WRITES_AT_ONCE)
        self._removals = BackgroundTasks()

    async def get(self, name: Fingerprint) -> CacheEntry | None:
        """Return what Redis has under that name, if it is ours and may still be used."""
        reply = self.read(name)
        return None if reply is None else self.take(name, await reply)

    def read(self, name: Fingerprint) -> asyncio.Future[object] | None:
        """Begin to read what Redis has under that name, for `take` to look at; None while Redis is left alone."""
        if not self._reading.lets_through():
            self._on_operation(CacheTier.REDIS, CacheOperation.GET, CacheResult.SKIPPED)
            return None
        return self._reader.get(redis_key(name))

    def take(self, name: Fingerprint, reply: object) -> CacheEntry | None:
        """Return what the reply holds, if it is ours and may still be used."""
        found = self._look_at(name, reply)
        if isinstance(found, CacheEntry):
            self._on_operation(*_HIT)
            return found
        self._on_operation(CacheTier.REDIS, CacheOperation.GET, found)
        return None

    async def put(self, name: Fingerprint, entry: CacheEntry) -> None:
        """Store it unless Redis has a newer one; not for the path of a question."""
        async with self._writes:
            result = await self._put(name, entry)
        self._on_operation(CacheTier.REDIS, CacheOperation.PUT, result)

    async def close(self) -> None:
        """Give up reads under way; the client is closed by whoever made it."""
        await self._reader.close()
        await self._removals.close()

    def _look_at(self, name: Fingerprint, reply: object) -> CacheEntry | CacheResult:
        """Return what an entry holds, or why it is of no use."""
        if isinstance(reply, Exception) and not concerns_one_key(reply):
            if reply is not self._last_failure:  # reads that fail together are one failure of Redis
                self._last_failure = reply
                self._failed(self._reading)
            return CacheResult.FAILED
        self._succeeded(self._reading)
        if isinstance(reply, bytes):
            return self._unsealed(name, reply)
        # Of a foreign type, or from what is no Redis at all and may answer anything, even a number.
        return CacheResult.MISS if reply is None else CacheResult.REJECTED

    def _unsealed(self, name: Fingerprint, blob: bytes) -> CacheEntry | CacheResult:
        """Return what was sealed; what others have put in its place is removed."""
        try:
            entry = self._sealer.unseal(name, blob)
        except Unsealable as unsealable:
            if unsealable.flaw is Flaw.OTHER_VERSION:
                return CacheResult.MISS
            self._removals.start(self._remove(name, blob))
            return CacheResult.REJECTED
        return entry if entry.usable(self._clock.now()) else CacheResult.MISS

    async def _remove(self, name: Fingerprint, blob: bytes) -> None:
        await self._ask(self._writing, lambda: DELETE_SAME.run(self._client, redis_key(name), blob))

    async def _put(self, name: Fingerprint, entry: CacheEntry) -> CacheResult:
        now = self._clock.now()
        sealed = self._sealer.seal(name, entry)
        lifetime = _lifetime(entry.keep_until - now) // _MILLISECOND
        latest = stamp(now + CLOCK_TOLERANCE)
        key = redis_key(name)
        stored = await self._ask(self._writing, lambda: PUT_NEWEST.run(self._client, key, sealed, lifetime, latest))
        if isinstance(stored, CacheResult):
            return stored
        if stored == _OVERRULED:
            self._on_overruled(name, entry.observation.observed_at)
        return CacheResult.STORED if stored else CacheResult.SUPERSEDED

    async def _ask(self, circuit: CircuitBreaker, command: Callable[[], Awaitable[T]]) -> T | CacheResult:
        """Return Redis's answer to a script, or why there is none."""
        if not circuit.lets_through():
            return CacheResult.SKIPPED
        try:
            answer = await command()
        except REDIS_FAILURES as failure:
            self._failed(circuit)
            if isinstance(failure, ReadOnlyError):
                await self._reader.reconnect()
            return CacheResult.FAILED
        self._succeeded(circuit)
        return answer

    def _failed(self, circuit: CircuitBreaker) -> None:
        circuit.failed()
        if not circuit.closed:
            self._tell_state()

    def _succeeded(self, circuit: CircuitBreaker) -> None:
        circuit.succeeded()
        if not self._up:
            self._tell_state()

    def _tell_state(self) -> None:
        up = self._reading.closed and self._writing.closed
        if up is not self._up:
            self._up = up
            self._on_state(up)


def _lifetime(wanted: timedelta) -> timedelta:
    """Return how long Redis keeps an entry: a little less than wanted, so that not all of one minute end together.

    What is past its time already is kept for a moment: its stamp still keeps an older observation out.
    """
    jitter = min(wanted / 100, _LARGEST_JITTER) * random.random()  # noqa: S311 - spreads load, hides nothing
    return max(min(wanted - jitter, LONGEST_KEPT), _SHORTEST_TTL)
