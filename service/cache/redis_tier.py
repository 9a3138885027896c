"""The second tier: observations in Redis, which replicas share and which outlive a process.

Redis may only make things faster. All its failures end here: a get becomes a miss, a put is lost, both are counted,
and after three failures in a row Redis is not asked for a second. Reads and writes fail separately: a Redis that is
full or a replica still answers reads.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from redis.exceptions import ReadOnlyError

from service.cache.entry import CLOCK_TOLERANCE, LONGEST_KEPT, CacheEntry, ends_another
from service.cache.keys import redis_key
from service.cache.results import CacheOperation, CacheResult, OnOperation, OnOverruled, ignore_overruled
from service.cache.scripts import DELETE_SAME, PUT_NEWEST
from service.cache.sealing import Flaw, Sealer, Unsealable, stamp
from service.ownership import CacheTier, Fingerprint, GameId
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

    `on_state` is called once when Redis is first known to work or not, and then at every change. `on_overruled` is
    called when a no has replaced a yes, which other replicas may still have in memory, with the game and the instant of
    the no.
    """

    def __init__(
        self,
        *,
        client: RedisClient,
        sealer: Sealer,
        clock: Clock,
        on_operation: OnOperation,
        on_state: Callable[[bool], None],
        on_overruled: OnOverruled = ignore_overruled,
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

    # --- reading ---

    async def get(self, name: Fingerprint) -> CacheEntry | None:
        """Return the entry under that name, if one of our gateways sealed it and it may still be used."""
        if not self._reading.lets_through():
            self._on_operation(CacheTier.REDIS, CacheOperation.GET, CacheResult.SKIPPED)
            return None
        found = self._decode(name, await self._reader.get(redis_key(name)))
        if isinstance(found, CacheEntry):
            self._on_operation(*_HIT)
            return found
        self._on_operation(CacheTier.REDIS, CacheOperation.GET, found)
        return None

    def _decode(self, name: Fingerprint, reply: object) -> CacheEntry | CacheResult:
        """Return the entry in a reply, or the result to count if there is no usable one."""
        if isinstance(reply, Exception) and not concerns_one_key(reply):
            if reply is not self._last_failure:  # reads that fail together are one failure of Redis
                self._last_failure = reply
                self._failed(self._reading)
            return CacheResult.FAILED
        self._succeeded(self._reading)
        if isinstance(reply, bytes):
            return self._unsealed(name, reply)
        # A value of a foreign type, or the answer of a server that is no Redis and may say anything, even a number.
        return CacheResult.MISS if reply is None else CacheResult.REJECTED

    def _unsealed(self, name: Fingerprint, blob: bytes) -> CacheEntry | CacheResult:
        """Return the sealed entry; remove a value that no gateway of ours sealed."""
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

    # --- writing ---

    async def put(self, name: Fingerprint, entry: CacheEntry, *, game_id: GameId | None) -> None:
        """Store an entry unless Redis has a newer one; questions do not wait for it."""
        async with self._writes:
            result = await self._put(name, entry, game_id)
        self._on_operation(CacheTier.REDIS, CacheOperation.PUT, result)

    async def close(self) -> None:
        """Give up reads under way; the client stays open for its other users."""
        await self._reader.close()
        await self._removals.close()

    async def _put(self, name: Fingerprint, entry: CacheEntry, game_id: GameId | None) -> CacheResult:
        now = self._clock.now()
        sealed = self._sealer.seal(name, entry)
        lifetime = _lifetime(entry.keep_until - now) // _MILLISECOND
        latest = stamp(now + CLOCK_TOLERANCE)
        key = redis_key(name)
        stored = await self._ask(self._writing, lambda: PUT_NEWEST.run(self._client, key, sealed, lifetime, latest))
        if isinstance(stored, CacheResult):
            return stored
        if stored == _OVERRULED and ends_another(entry.observation):
            self._on_overruled(game_id, name, entry.observation.observed_at)
        return CacheResult.STORED if stored else CacheResult.SUPERSEDED

    async def _ask(self, circuit: CircuitBreaker, command: Callable[[], Awaitable[T]]) -> T | CacheResult:
        """Return the answer of Redis to a script, or the result to count if there is none."""
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

    # --- the state of Redis ---

    def _failed(self, circuit: CircuitBreaker) -> None:
        circuit.failed()
        if not circuit.closed:
            self._report_state()

    def _succeeded(self, circuit: CircuitBreaker) -> None:
        circuit.succeeded()
        if not self._up:
            self._report_state()

    def _report_state(self) -> None:
        up = self._reading.closed and self._writing.closed
        if up is not self._up:
            self._up = up
            self._on_state(up)


def _lifetime(wanted: timedelta) -> timedelta:
    """Return the TTL of an entry: a little less than wanted, so that the entries of one minute do not expire together.

    An entry past its time is still stored for a moment: its instant keeps an older observation out.
    """
    jitter = min(wanted / 100, _LARGEST_JITTER) * random.random()  # noqa: S311 - spreads load, hides nothing
    return max(min(wanted - jitter, LONGEST_KEPT), _SHORTEST_TTL)
