"""Replicas that share a table, and with it invalidations, through a real Redis."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from service.cache.cluster_clock import ClusterClock
from service.cache.invalidations import SharedInvalidations
from service.cache.keys import TableKey, table_key
from service.cache.replicated_table import MOST_ENTRIES, ReplicatedTable
from service.cache.shared_overrides import MOST_OVERRIDES, SharedOverrides
from service.cache.table_entry import TableKind, TableSealer
from service.cache.table_exchange import LOOK_EVERY, TableExchange
from service.ownership import Fingerprint, GameId
from service.redis.connect import RedisClient
from service.verification.interfaces import Clock
from tests.cache.samples import GAME, KEYS, fingerprints
from tests.clock import FakeClock
from tests.gateways import until

KEY: Final = table_key(KEYS.naming, "the store of the tests")
INSTANT: Final = timedelta(microseconds=1)
PROMISED: Final = timedelta(seconds=2)


class Kinds(Struct, frozen=True):
    """The parts of a replica; a broken variant has other ones."""

    table: Callable[..., ReplicatedTable] = ReplicatedTable
    exchange: Callable[..., TableExchange] = TableExchange
    clock: Callable[..., ClusterClock] = ClusterClock
    overrides: Callable[..., SharedOverrides] = SharedOverrides


OURS: Final = Kinds()


class Replica:
    """One gateway's part in it. `machine` is its own clock; Redis has that of the test."""

    def __init__(
        self,
        client: RedisClient | None,
        clock: FakeClock,
        *,
        machine: Clock | None = None,
        key: TableKey = KEYS.table,
        kinds: Kinds = OURS,
        most_entries: int = MOST_ENTRIES,
        most_overrides: int = MOST_OVERRIDES,
    ) -> None:
        self.offsets: list[timedelta] = []
        self.overflows: list[tuple[TableKind, GameId]] = []
        self.clock = kinds.clock(machine or clock, on_offset=self.offsets.append, redis_time=lambda _: clock.now())
        self.table = kinds.table(clock=self.clock, on_overflow=self._overflowed, most_entries=most_entries)
        self.invalidations = SharedInvalidations(self.table)
        self.overrides = kinds.overrides(
            table=self.table, fingerprints=fingerprints(), key=KEYS.overrides, clock=self.clock, most=most_overrides
        )
        self._exchange = None
        if client is not None:
            self._exchange = kinds.exchange(
                table=self.table, client=client, key=KEY, sealer=TableSealer(key), clock=self.clock
            )

    @property
    def exchange(self) -> TableExchange:
        """Its way to Redis, if it has one."""
        assert self._exchange is not None
        return self._exchange

    @property
    def entries(self) -> int:
        """The number of entries that it knows."""
        return sum(1 for _ in self.table._all())

    def invalidate(self, name: Fingerprint | None, *, before: datetime, game: GameId = GAME) -> None:
        """Do as an operator says."""
        self.invalidations.invalidate(game, name, before=before)

    def invalidated_before(self, name: Fingerprint, game: GameId = GAME) -> datetime | None:
        """Return the instant from which on observations count."""
        return self.invalidations.invalidated_before(game, name)

    def _overflowed(self, kind: TableKind, game: GameId) -> None:
        self.overflows.append((kind, game))


class Cluster:
    """Replicas that run, and the time that passes for all of them."""

    def __init__(self, stack: AsyncExitStack, clock: FakeClock) -> None:
        self._stack = stack
        self._clock = clock
        self._running = 0

    async def join(
        self,
        client: RedisClient,
        *,
        kinds: Kinds = OURS,
        key: TableKey = KEYS.table,
        machine: Clock | None = None,
        most_entries: int = MOST_ENTRIES,
        most_overrides: int = MOST_OVERRIDES,
    ) -> Replica:
        """Start a replica."""
        replica = Replica(
            client,
            self._clock,
            machine=machine,
            key=key,
            kinds=kinds,
            most_entries=most_entries,
            most_overrides=most_overrides,
        )
        task = asyncio.create_task(replica.exchange.run())
        self._stack.push_async_callback(_stop, task)
        self._running += 1
        await self.rest()
        return replica

    async def pass_time(self, duration: timedelta = PROMISED) -> None:
        """Let time pass, and at every step what is on its way to and from Redis arrive."""
        for _ in range(duration // LOOK_EVERY):
            await self.rest()
            await self._clock.advance(LOOK_EVERY)
        await self.rest()

    async def rest(self) -> None:
        """Return when all replicas pause."""
        await self._clock.advance(timedelta())
        await until(lambda: self._clock.sleepers == self._running)


async def _stop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
