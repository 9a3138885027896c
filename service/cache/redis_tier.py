"""The second tier: observations in Redis, which replicas share and which outlive a process.

Redis may only make things faster. All its failures end here: a get becomes a miss, a put is lost, both are counted,
and after three failures in a row Redis is left alone until it answers tries that no question waits for. Reads and
writes fail separately: a Redis that is full or a replica still answers reads.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from redis.exceptions import ReadOnlyError

from service.cache.entry import CLOCK_TOLERANCE, LONGEST_KEPT, CacheEntry, ends_another, proven_at
from service.cache.keys import redis_key
from service.cache.results import CacheOperation, CacheResult, OnOperation, OnOverruled, ignore_overruled
from service.cache.scripts import DELETE_SAME, PUT_NEWEST
from service.cache.sealing import LARGEST_SEALED, Flaw, Sealer, Unsealable, stamp
from service.causes import Cause
from service.ownership import CacheTier, Fingerprint, GameId
from service.redis.acl import unused_key
from service.redis.background_tasks import BackgroundTasks
from service.redis.circuit_breaker import CircuitBreaker
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES, concerns_one_key
from service.redis.reader import open_reader
from service.redis.script import TRY_WRITING, Script
from service.verification.interfaces import Clock

WRITES_AT_ONCE: Final = 8
_OVERRULED: Final = 2
_MOST_READ: Final = LARGEST_SEALED + 1
"""Bytes of a value: one more than ours have, which shows that it is longer."""

_SHORTEST_TTL: Final = timedelta(seconds=1)
_HIT: Final = (CacheTier.REDIS, CacheOperation.GET, CacheResult.HIT)
_LARGEST_JITTER: Final = timedelta(seconds=5)
_MILLISECOND: Final = timedelta(milliseconds=1)


class RedisTier:
    """Gets and puts sealed observations. Nothing that Redis does makes it raise.

    `on_state` is called once when Redis is first known to work or not, and then at every change: with the cause for
    which it does not, None where it does. `on_overruled` is called when a no has replaced a yes, which other replicas
    may still have in memory, with the game and the instant of the no.
    """

    def __init__(
        self,
        *,
        client: RedisClient,
        sealer: Sealer,
        clock: Clock,
        on_operation: OnOperation,
        on_state: Callable[[Cause | None], None],
        on_overruled: OnOverruled = ignore_overruled,
    ) -> None:
        self._client = client
        self._sealer = sealer
        self._clock = clock
        self._on_operation = on_operation
        self._on_state = on_state
        self._on_overruled = on_overruled
        self._known = False
        self._lost_for: Cause | None = None
        self._reading = CircuitBreaker(self._try_reading, clock=clock, on_change=self._report_state)
        self._writing = CircuitBreaker(self._try_writing, clock=clock, on_change=self._report_state)
        self._reader = open_reader(client, most=_MOST_READ, clock=clock)
        self._writes = asyncio.Semaphore(WRITES_AT_ONCE)
        self._beside = BackgroundTasks()

    # --- reading ---

    async def get(self, name: Fingerprint) -> CacheEntry | None:
        """Return the entry under that name, if one of our gateways sealed it and it may still be used."""
        if (attempt := self._reading.attempt()) is None:
            self._on_operation(CacheTier.REDIS, CacheOperation.GET, CacheResult.SKIPPED)
            return None
        found = self._decode(name, await self._reader.get(redis_key(name)), attempt)
        if isinstance(found, CacheEntry):
            self._on_operation(*_HIT)
            return found
        self._on_operation(CacheTier.REDIS, CacheOperation.GET, found)
        return None

    async def _try_reading(self) -> Exception | None:
        # Not TIME, which a Redis answers that still loads its data, and to users who may not read.
        return _failure(await self._reader.get(unused_key()))

    def _decode(self, name: Fingerprint, reply: object, attempt: int) -> CacheEntry | CacheResult:
        """Return the entry in a reply, or the result to count if there is no usable one."""
        if (failure := _failure(reply)) is not None:
            self._reading.failed(attempt, failure)
            return CacheResult.FAILED
        self._succeeded(self._reading)
        if reply == b"":
            return CacheResult.MISS
        if isinstance(reply, bytes):
            return self._unsealed(name, reply)
        # A value of a foreign type, or the answer of a server that is no Redis and may say anything, even a number.
        return CacheResult.REJECTED

    def _unsealed(self, name: Fingerprint, blob: bytes) -> CacheEntry | CacheResult:
        """Return the sealed entry; remove a value that no gateway of ours sealed."""
        try:
            entry = self._sealer.unseal(name, blob)
        except Unsealable as unsealable:
            if unsealable.flaw is Flaw.OTHER_VERSION:
                return CacheResult.MISS
            self._beside.start(self._remove(name, blob))
            return CacheResult.REJECTED
        return entry if entry.usable(self._clock.now()) else CacheResult.MISS

    async def _remove(self, name: Fingerprint, blob: bytes) -> None:
        await self._ask(DELETE_SAME, redis_key(name), blob, _MOST_READ)

    # --- writing ---

    async def put(self, name: Fingerprint, entry: CacheEntry, *, game_id: GameId | None) -> CacheResult:
        """Store an entry unless Redis has a newer one, and return what came of it; questions do not wait for it."""
        async with self._writes:
            result = await self._put(name, entry, game_id)
        self._on_operation(CacheTier.REDIS, CacheOperation.PUT, result)
        return result

    async def close(self) -> None:
        """Give up reads under way; the client stays open for its other users."""
        await self._reading.close()
        await self._writing.close()
        await self._reader.close()
        await self._beside.close()

    async def _put(self, name: Fingerprint, entry: CacheEntry, game_id: GameId | None) -> CacheResult:
        now = self._clock.now()
        sealed = self._sealer.seal(name, entry)
        if len(sealed) > LARGEST_SEALED:
            return CacheResult.DROPPED
        lifetime = _lifetime(entry.keep_until - now) // _MILLISECOND
        latest = stamp(now + CLOCK_TOLERANCE)
        key = redis_key(name)
        stored = await self._ask(PUT_NEWEST, key, sealed, lifetime, latest)
        if isinstance(stored, CacheResult):
            return stored
        if stored == _OVERRULED and ends_another(entry.observation):
            no = entry.observation
            self._on_overruled(game_id, name, no.observed_at, proven_at(no))
        return CacheResult.STORED if stored else CacheResult.SUPERSEDED

    async def _ask(self, script: Script, key: str, *arguments: bytes | int) -> object:
        """Return the answer of Redis to a script, or the result to count if there is none."""
        if (attempt := self._writing.attempt()) is None:
            return CacheResult.SKIPPED
        answer = await self._run(script, key, *arguments)
        if isinstance(answer, Exception):
            self._writing.failed(attempt, answer)
            return CacheResult.FAILED
        self._succeeded(self._writing)
        return answer

    async def _run(self, script: Script, key: str, *arguments: bytes | int) -> object:
        """Return the answer of Redis to a script, or the exception that there was instead."""
        try:
            return await script.run(self._client, key, *arguments)
        except REDIS_FAILURES as failure:
            if isinstance(failure, ReadOnlyError):
                await self._reader.reconnect()
            return failure

    async def _try_writing(self) -> Exception | None:
        # In a task of its own: redis-py is never cancelled, see `ScriptRunner`.
        answer = await asyncio.shield(self._beside.start(self._run(TRY_WRITING, unused_key())))
        return answer if isinstance(answer, Exception) else None

    # --- the state of Redis ---

    def _succeeded(self, circuit: CircuitBreaker) -> None:
        circuit.succeeded()
        if not self._known:
            self._report_state()

    def _report_state(self) -> None:
        causes = [circuit.cause for circuit in (self._reading, self._writing) if circuit.cause is not None]
        # A time-out says least: a slow handshake is one for readers, who wait less for a reply than writers do.
        lost_for = next((cause for cause in causes if cause is not Cause.TIMEOUT), causes[0] if causes else None)
        if lost_for is not self._lost_for or not self._known:
            self._known, self._lost_for = True, lost_for
            self._on_state(lost_for)


def _failure(reply: object) -> Exception | None:
    """Return the failure of Redis that a reply is; what concerns one key alone is none."""
    return reply if isinstance(reply, Exception) and not concerns_one_key(reply) else None


def _lifetime(wanted: timedelta) -> timedelta:
    """Return the TTL of an entry: a little less than wanted, so that the entries of one minute do not expire together.

    An entry past its time is still stored for a moment: its instant keeps an older observation out.
    """
    jitter = min(wanted / 100, _LARGEST_JITTER) * random.random()  # noqa: S311 - spreads load, hides nothing
    return max(min(wanted - jitter, LONGEST_KEPT), _SHORTEST_TTL)
