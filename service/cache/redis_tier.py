"""The second tier: what other replicas have observed, and what outlives this process.

Redis may only make things faster. Whatever is wrong with it ends here: a get becomes a miss, a put is lost, both are
counted, and after three failures in a row Redis is left alone for a second. Reads and writes fail separately: a Redis
that is full or a replica still answers reads.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, TypeAlias, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, ResponseError

from service.cache.joined_reads import JoinedReads
from service.cache.kept import CLOCK_TOLERANCE, LONGEST_KEPT, Kept
from service.cache.keys import redis_key
from service.cache.operations import CacheOperation, CacheResult, OnOperation
from service.cache.scripts import DELETE_SAME, PUT_NEWEST
from service.cache.sealing import Flaw, Sealer, Unsealable, stamp
from service.ownership import CacheTier, Fingerprint
from service.redis.circuit import Circuit
from service.redis.connect import RedisClient
from service.redis.errands import Errands
from service.redis.failures import REDIS_FAILURES
from service.redis.pipelined_gets import PipelinedGets
from service.verification.interfaces import Clock

T = TypeVar("T")

Reading: TypeAlias = Kept | CacheResult
"""What was there, or why there is nothing to be had."""

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
        self._reading = Circuit(clock)
        self._writing = Circuit(clock)
        self._gets = PipelinedGets(client)
        self._reads = JoinedReads(self._read_all, sleep=clock.sleep)
        self._writes = asyncio.Semaphore(WRITES_AT_ONCE)
        self._removals = Errands()

    async def get(self, name: Fingerprint) -> Kept | None:
        """Return what Redis has under that name, if it is ours and may still be used."""
        reading = self.read(name)
        return None if reading is None else self.take(await reading)

    def read(self, name: Fingerprint) -> asyncio.Future[Reading] | None:
        """Begin to read what Redis has under that name, for `take` to look at; None while Redis is left alone."""
        if self._reading.skips:
            self._on_operation(CacheTier.REDIS, CacheOperation.GET, CacheResult.SKIPPED)
            return None
        return self._reads.read(name)

    def take(self, reading: Reading) -> Kept | None:
        """Return what was read, if it is ours and may still be used."""
        if isinstance(reading, Kept):
            self._on_operation(*_HIT)
            return reading
        self._on_operation(CacheTier.REDIS, CacheOperation.GET, reading)
        return None

    async def put(self, name: Fingerprint, kept: Kept) -> None:
        """Store it unless Redis has a newer one; not for the path of a question."""
        async with self._writes:
            result = await self._put(name, kept)
        self._on_operation(CacheTier.REDIS, CacheOperation.PUT, result)

    async def close(self) -> None:
        """Give up reads under way; the client is closed by whoever made it."""
        await self._reads.close()
        await self._removals.close()
        await self._gets.close()

    def _look_at(self, name: Fingerprint, blob: bytes, *, now: datetime) -> Reading:
        """Return what an entry holds; what others have put in its place is removed."""
        try:
            kept = self._sealer.unseal(name, blob)
        except Unsealable as unsealable:
            if unsealable.flaw is Flaw.OTHER_VERSION:
                return CacheResult.MISS
            self._removals.start(self._remove(name, blob))
            return CacheResult.REJECTED
        return kept if kept.usable(now) else CacheResult.MISS

    async def _remove(self, name: Fingerprint, blob: bytes) -> None:
        await self._ask(self._writing, lambda: DELETE_SAME.run(self._client, redis_key(name), blob))

    async def _put(self, name: Fingerprint, kept: Kept) -> CacheResult:
        now = self._clock.now()
        entry = self._sealer.seal(name, kept)
        lifetime = _lifetime(kept.keep_until - now) // _MILLISECOND
        latest = stamp(now + CLOCK_TOLERANCE)
        key = redis_key(name)
        stored = await self._ask(self._writing, lambda: PUT_NEWEST.run(self._client, key, entry, lifetime, latest))
        if isinstance(stored, CacheResult):
            return stored
        if stored == _OVERRULED:
            self._on_overruled(name, kept.observation.observed_at)
        return CacheResult.STORED if stored else CacheResult.SUPERSEDED

    async def _read_all(self, names: Sequence[Fingerprint]) -> Sequence[Reading]:
        replies = await self._ask(self._reading, lambda: self._fetch([redis_key(name) for name in names]))
        if isinstance(replies, CacheResult):
            return [replies] * len(names)
        now = self._clock.now()
        # All of them here, one after the other: each takes half of what it takes between two steps of a question.
        return [
            reply if isinstance(reply, CacheResult) else self._look_at(name, reply, now=now)
            for name, reply in zip(names, replies, strict=True)
        ]

    async def _fetch(self, keys: Sequence[str]) -> Sequence[bytes | CacheResult]:
        replies = await self._gets.get_all(keys)
        # An entry of a foreign type says nothing about Redis; any other error is Redis failing, for all of them. (What
        # is no Redis at all may answer anything, even a number.)
        for reply in replies:
            if isinstance(reply, Exception) and not _of_foreign_type(reply):
                self._gets.reconnect()  # it may be this connection's own: not permitted, or to where Redis is loading
                raise reply
        return [_entry_in(reply) for reply in replies]

    async def _ask(self, circuit: Circuit, command: Callable[[], Awaitable[T]]) -> T | CacheResult:
        """Return Redis's answer, or why there is none. The one place where its failures stop."""
        if not circuit.lets_through():
            return CacheResult.SKIPPED
        try:
            answer = await command()
        except REDIS_FAILURES as failure:
            circuit.failed()
            if not circuit.closed:
                self._tell_state()
            if isinstance(failure, ReadOnlyError) and isinstance(self._client, Redis):
                # redis-py keeps its connections to a master that has become a replica, and would for ever. (In a
                # cluster it is told where the new master is.)
                await _disconnect_idle(self._client)
                self._gets.reconnect()
            return CacheResult.FAILED
        circuit.succeeded()
        self._tell_state()
        return answer

    def _tell_state(self) -> None:
        up = self._reading.closed and self._writing.closed
        if up is not self._up:
            self._up = up
            self._on_state(up)


async def _disconnect_idle(client: Redis) -> None:
    # A connection that is too slow even to close is given up all the same.
    with suppress(*REDIS_FAILURES):
        await client.connection_pool.disconnect(inuse_connections=False)


def _entry_in(reply: object) -> bytes | CacheResult:
    if isinstance(reply, bytes):
        return reply
    return CacheResult.MISS if reply is None else CacheResult.REJECTED


def _of_foreign_type(error: Exception) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _lifetime(wanted: timedelta) -> timedelta:
    """Return how long Redis keeps an entry: a little less than wanted, so that not all of one minute end together.

    What is past its time already is kept for a moment: its stamp still keeps an older observation out.
    """
    jitter = min(wanted / 100, _LARGEST_JITTER) * random.random()  # noqa: S311 - spreads load, hides nothing
    return max(min(wanted - jitter, LONGEST_KEPT), _SHORTEST_TTL)
