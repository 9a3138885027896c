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

LEASE_FOR: Final = timedelta(seconds=1)
"""The time by which a lease outlives its replica: a killed one costs the others this, and one look-up more.

Both fit into the three seconds that callers have by default, also when a look-up takes half of them.
"""

RENEW_EVERY: Final = timedelta(milliseconds=250)
"""The time between two renewals: three may be lost or late in a row before another replica looks up too."""

LOOK_EVERY: Final = timedelta(milliseconds=50)

_TAKE: Final = Script("service.cache", "take_lease.lua")
_RENEW: Final = Script("service.cache", "renew_lease.lua")
_RELEASE: Final = Script("service.cache", "release_lease.lua")
_LIFETIME: Final = LEASE_FOR // timedelta(milliseconds=1)
_OURS: Final = 1


class ClusterLeases:
    """Implements `LookUpLease` across replicas. Without Redis every replica looks up for itself.

    A lease that is lost or ignored costs a look-up, never correctness: the newest observation wins wherever it comes
    from. `joined` is called when another replica's look-up answered a question of ours. A replica waits for another one
    no longer than `timeout`, the longest that a look-up takes, and only for a lease that a gateway with our secret has
    made within that time.
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

        An exception of another replica's look-up is not shared: each then tries for itself, one after the other.
        """
        # 1. Acquire the lease, or wait for the replica that has it.
        key, token = lease_key(name), self._tokens.make(name)
        give_up_at = self._clock.monotonic() + self._timeout.total_seconds()
        while (holder := await self._acquire(key, token)) != _OURS:
            # The holder is None if Redis is away, and is not recognised if another program planted it.
            if not isinstance(holder, bytes) or not self._tokens.recognise(name, holder):
                return await look_up()
            if self._clock.monotonic() >= give_up_at:
                return await look_up()
            await self._clock.sleep(LOOK_EVERY)
            if (found := await self._found(name, good_enough)) is not None:
                return found
            token = self._tokens.make(name)  # a lease counts from the instant in its token
        # 2. Look up, and renew the lease meanwhile.
        done = asyncio.Event()
        self._held.start(self._hold(name, key, token, done))
        try:
            # Between our last look into the cache and our lease, another replica may have finished.
            if (found := await self._found(name, good_enough)) is not None:
                return found
            return await look_up()
        finally:
            done.set()

    async def close(self) -> None:
        """Release the leases that are still held, for a second at most; the others expire by themselves."""
        await self._held.close()
        await self._scripts.close()

    # --- the result of another replica ---

    async def _found(self, name: Fingerprint, good_enough: Callable[[Observation], bool]) -> Observation | None:
        found = await self._store.get_shared(name)
        if found is None or not good_enough(found.observation):
            return None
        self._joined()
        return found.observation

    # --- the life of our lease ---

    async def _acquire(self, key: str, token: str) -> object:
        """Return `_OURS`, or the token of the holder. A caller that is cancelled meanwhile holds no lease."""
        acquiring = self._scripts.start(_TAKE, key, token, _LIFETIME)
        try:
            return await asyncio.shield(acquiring)
        except asyncio.CancelledError:
            self._held.start(self._release_acquired(acquiring, key, token))
            raise

    async def _release_acquired(self, acquiring: asyncio.Task[object], key: str, token: str) -> None:
        if await acquiring == _OURS:
            await self._scripts.run(_RELEASE, key, token)

    async def _hold(self, name: Fingerprint, key: str, token: str, done: asyncio.Event) -> None:
        """Renew the lease until the look-up is `done` and its result is in Redis; then release it.

        So no replica finds neither the lease nor the result.
        """
        shared = asyncio.ensure_future(self._until_shared(name, done))
        try:
            while not shared.done():
                try:
                    async with self._clock.timeout(RENEW_EVERY):
                        await asyncio.wait((shared,))
                except TimeoutError:
                    await self._scripts.run(_RENEW, key, token, _LIFETIME)
        finally:
            shared.cancel()
        await self._scripts.run(_RELEASE, key, token)

    async def _until_shared(self, name: Fingerprint, done: asyncio.Event) -> None:
        await done.wait()
        await self._store.written(name)
