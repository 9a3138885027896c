"""Replicas that lease look-ups, the store that they ask, and leases that are broken on purpose."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeAlias

from redis.asyncio import Redis

from service.cache.keys import lease_key
from service.cache.lease_tokens import LeaseTokens
from service.cache.leases import LEASE_FOR, ClusterLeases
from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.cache.tiers import TieredCache
from service.errors import NoAnswer
from service.ownership import Evidence, Fingerprint, Observation
from service.redis.connect import RedisClient
from service.verification.interfaces import Clock, LookUpLease, NoLease
from tests.cache.samples import DAY, GAME, KEYS, NAME, Recorder, sealer, yes
from tests.cluster.clocks import UnhurriedClock
from tests.gateways import until

LEASE: Final = lease_key(NAME)
TIMEOUT: Final = timedelta(seconds=10)
LEASE_MS: Final = LEASE_FOR // timedelta(milliseconds=1)
A_WHILE_MS: Final = 50_000
"""Longer than any lease, so that it shows who has changed it."""

MakeLeases: TypeAlias = Callable[..., LookUpLease]


class SlowStore:
    """Answers one look-up at a time, when the test lets it; counts them all.

    `says` is its next answer, an observation or an exception; a look-up is under way from `asked` on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = asyncio.Event()
        self.asked = 0
        self.under_way = 0
        self.says: list[NoAnswer] = []

    def open(self) -> None:
        """Answer from now on."""
        self._open.set()

    async def look_up(self) -> Evidence:
        """Return proof of ownership, observed when it was asked for."""
        self.asked += 1
        self.under_way += 1
        observed_at = self._clock.now()
        try:
            await self._open.wait()
        finally:
            self.under_way -= 1
        if self.says:
            raise self.says.pop(0)
        return yes(observed_at)


class LeaseHolder:
    """One replica: its caches, its leases, and its way to the store."""

    def __init__(
        self,
        client: RedisClient,
        store: SlowStore,
        *,
        clock: Clock,
        leases: Callable[..., LookUpLease] = ClusterLeases,
        timeout: timedelta = TIMEOUT,
    ) -> None:
        self.recorder = Recorder()
        self.joined = 0
        self.store = store
        self.client = client
        self.cache = TieredCache(
            memory=MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock),
            redis=RedisTier(
                client=client,
                sealer=sealer(),
                clock=clock,
                on_operation=self.recorder.operation,
                on_state=self.recorder.state,
            ),
            on_operation=self.recorder.operation,
        )
        self.leases = leases(
            client=client,
            leases_key=KEYS.leases,
            store=self.cache,
            clock=clock,
            timeout=timeout,
            joined=self._another_has_found,
        )

    async def ask(self, name: Fingerprint = NAME, *, not_before: datetime | None = None) -> Observation:
        """Look it up once in the cluster, as verification does."""

        async def look_up_and_remember() -> Observation:
            observation = await self.store.look_up()
            return self.cache.put(name, observation, keep_until=observation.observed_at + DAY, game_id=GAME)

        return await self.leases.look_up_once(
            name,
            look_up_and_remember,
            good_enough=lambda found: not_before is None or found.observed_at >= not_before,
        )

    def asking(self, name: Fingerprint = NAME, *, not_before: datetime | None = None) -> asyncio.Task[Observation]:
        """Begin to ask."""
        return asyncio.ensure_future(self.ask(name, not_before=not_before))

    async def close(self) -> None:
        """Let everything reach Redis."""
        if isinstance(self.leases, ClusterLeases):
            await self.leases.close()
        await self.cache.close()

    def _another_has_found(self) -> None:
        self.joined += 1


class MakeLeaseHolder(Protocol):
    """Makes replicas, by default on the session's Redis and in front of one store."""

    def __call__(
        self,
        leases: MakeLeases = ClusterLeases,
        *,
        client: RedisClient | None = None,
        clock: Clock | None = None,
        timeout: timedelta = TIMEOUT,
    ) -> LeaseHolder:
        """Return one, which is closed after the test."""


def anothers(clock: Clock | None = None) -> str:
    """Return the value of a lease that another replica has just made."""
    return LeaseTokens(KEYS.leases, clock=clock or UnhurriedClock(), longest=TIMEOUT).make(NAME)


async def released(client: Redis, key: str = LEASE) -> None:
    """Return once the lease is free."""
    async with asyncio.timeout(10):
        while await client.exists(key):
            continue


async def waiting(lease_holder: LeaseHolder, *, looks: int = 1) -> None:
    """Return once a replica has looked so often for the results of others."""
    before = len(lease_holder.recorder.operations)
    await until(lambda: len(lease_holder.recorder.operations) >= before + looks)


class YesToAll(NoLease):
    """Gives every replica the lease: broken on purpose."""

    def __init__(self, **collaborators: Any) -> None:
        """Accept the arguments of real leases, and use none."""


class Blind(ClusterLeases):
    """Leases and never looks whether another replica has finished meanwhile: broken on purpose."""

    async def _found(self, *_: object) -> Observation | None:
        return None


class Forgetful(ClusterLeases):
    """Never renews a lease, and never releases it: broken on purpose."""

    async def _hold(self, *_: object) -> None:
        return


class Rash(ClusterLeases):
    """Releases the lease at once, even that of another replica: broken on purpose."""

    def __init__(self, **collaborators: Any) -> None:
        """Keep the client."""
        super().__init__(**collaborators)
        self._client: Redis = collaborators["client"]

    async def _hold(self, _name: Fingerprint, key: str, _token: str, done: asyncio.Event) -> None:
        await done.wait()
        await self._client.delete(key)
