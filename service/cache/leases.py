"""One look-up per question for the whole cluster: the first replica leases it, the others wait for what it finds."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from service.cache.keys import LeasesKey, lease_key
from service.cache.lease_tokens import LeaseTokens
from service.cache.tiers import TieredCache
from service.ownership import Fingerprint, Observation
from service.redis.background_tasks import BackgroundTasks
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock

LEASE_FOR: Final = timedelta(seconds=2)
"""How long a lease outlives its replica: a killed one costs the others this, and one look-up more.

Shorter than the time that callers have by default, so that even they still get their answer.
"""

RENEW_EVERY: Final = timedelta(milliseconds=500)
LOOK_EVERY: Final = timedelta(milliseconds=50)

_TAKE: Final = Script("service.cache", "take_lease.lua")
_RENEW: Final = Script("service.cache", "renew_lease.lua")
_RELEASE: Final = Script("service.cache", "release_lease.lua")
_LIFETIME: Final = LEASE_FOR // timedelta(milliseconds=1)
_OURS: Final = 1


class ClusterLeases:
    """Implements `LookUpLease` across replicas. Without Redis every replica looks up for itself.

    A lease that is lost or ignored costs a look-up, never correctness: the newest observation wins wherever it comes
    from. `joined` is called when another replica's look-up answered a question of ours. Nobody waits for others longer
    than `timeout`, the longest that a look-up takes, and nobody for what no gateway with our secret has leased, or
    has leased longer ago than that.
    """

    def __init__(
        self,
        *,
        client: RedisClient,
        leases_key: LeasesKey,
        store: TieredCache,
        clock: Clock,
        timeout: timedelta,
        joined: Callable[[], None],
    ) -> None:
        self._scripts = ScriptRunner(client, clock=clock)
        self._tokens = LeaseTokens(leases_key, clock=clock, longest=timeout)
        self._store = store
        self._clock = clock
        self._timeout = timeout
        self._joined = joined
        self._held = BackgroundTasks()

    async def look_up_once(
        self,
        name: Fingerprint,
        look_up: Callable[[], Awaitable[Observation]],
        *,
        good_enough: Callable[[Observation], bool],
    ) -> Observation:
        """Return what `look_up` returns, or what another replica has found meanwhile, if it is `good_enough`.

        What another replica's look-up raises is not shared: each then tries for itself, one after the other.
        """
        key, token = lease_key(name), self._tokens.make(name)
        give_up_at = self._clock.monotonic() + self._timeout.total_seconds()
        while (holder := await self._take(key, token)) != _OURS:
            # None where Redis is away.
            if not isinstance(holder, bytes) or not self._tokens.recognise(name, holder):
                return await look_up()
            if self._clock.monotonic() >= give_up_at:
                return await look_up()
            await self._clock.sleep(LOOK_EVERY)
            if (found := await self._found(name, good_enough)) is not None:
                return found
            token = self._tokens.make(name)  # a lease counts from when it is made
        done = asyncio.Event()
        self._held.start(self._hold(name, key, token, done))
        try:
            # Between our last look and our lease, another replica may have come to its end.
            if (found := await self._found(name, good_enough)) is not None:
                return found
            return await look_up()
        finally:
            done.set()

    async def close(self) -> None:
        """Let go of what is still leased, for a second at most; what is not let go of runs out by itself."""
        await self._held.close()
        await self._scripts.close()

    async def _take(self, key: str, token: str) -> object:
        """Return what became of our lease. If nobody waits for that any more, it is let go of."""
        taking = self._scripts.start(_TAKE, key, token, _LIFETIME)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._held.start(self._let_go(taking, key, token))
            raise

    async def _let_go(self, taking: asyncio.Task[object], key: str, token: str) -> None:
        if await taking == _OURS:
            await self._scripts.run(_RELEASE, key, token)

    async def _found(self, name: Fingerprint, good_enough: Callable[[Observation], bool]) -> Observation | None:
        found = await self._store.get_shared(name)
        if found is None or not good_enough(found.observation):
            return None
        self._joined()
        return found.observation

    async def _hold(self, name: Fingerprint, key: str, token: str, done: asyncio.Event) -> None:
        """Keep the lease until it is done, and let go of it when what was found is in Redis: nobody finds neither."""
        while not done.is_set():
            try:
                async with self._clock.timeout(RENEW_EVERY):
                    await done.wait()
            except TimeoutError:
                await self._scripts.run(_RENEW, key, token, _LIFETIME)
        await self._store.written(name)
        await self._scripts.run(_RELEASE, key, token)
