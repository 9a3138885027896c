"""One look-up per question for the whole cluster: the first replica claims it, the others wait for what it finds."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from service.cache.keys import claim_key
from service.cache.tiers import TieredStore
from service.errors import SourceUnavailable
from service.interfaces import Clock
from service.ownership import Fingerprint, Observation
from service.redis.circuit import Circuit
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.script import Script

CLAIM_FOR: Final = timedelta(seconds=3)
"""How long a claim outlives its replica: a killed one costs the others this, and one look-up more."""

RENEW_EVERY: Final = timedelta(seconds=1)
LOOK_EVERY: Final = timedelta(milliseconds=50)

_RELEASE: Final = Script("service.cache", "release_claim.lua")
_RENEW: Final = Script("service.cache", "renew_claim.lua")


class ClusterClaims:
    """Implements `LookUpOnce` across replicas. Without Redis every replica looks up for itself.

    A lost or stolen claim costs a look-up, never correctness: the newest observation wins wherever it comes from.
    `joined` is called when another replica's look-up answered a question of ours.
    """

    def __init__(
        self,
        *,
        client: RedisClient,
        store: TieredStore,
        clock: Clock,
        patience: timedelta,
        joined: Callable[[], None],
    ) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._patience = patience
        self._joined = joined
        self._circuit = Circuit(clock)
        self._token = secrets.token_hex(8)
        self._releases: set[asyncio.Task[None]] = set()

    async def look_up_once(
        self,
        name: Fingerprint,
        look_up: Callable[[], Awaitable[Observation]],
        *,
        good_enough: Callable[[Observation], bool],
    ) -> Observation:
        """Return what `look_up` returns, or what another replica has found meanwhile, if it is `good_enough`.

        Raises what `look_up` raises, and `SourceUnavailable` when another replica found nothing within `patience`.
        """
        give_up_at = self._clock.monotonic() + self._patience.total_seconds()
        while not await self._claim(name):
            if self._clock.monotonic() >= give_up_at:
                raise SourceUnavailable("another replica's look-up takes too long")
            await self._clock.sleep(LOOK_EVERY)
            found = await self._store.get_shared(name)
            if found is not None and good_enough(found.observation):
                self._joined()
                return found.observation
        renewing = asyncio.get_running_loop().create_task(self._keep_claim(name))
        try:
            return await look_up()
        finally:
            renewing.cancel()
            self._release_later(name)

    async def close(self) -> None:
        """Let go of what is still claimed."""
        await asyncio.gather(*self._releases, return_exceptions=True)

    async def _claim(self, name: Fingerprint) -> bool:
        """Return whether this replica is to look it up: because it claimed it, or because Redis is away."""
        if not self._circuit.lets_through():
            return True
        try:
            claimed = await self._client.set(
                claim_key(name), self._token, nx=True, px=CLAIM_FOR // timedelta(milliseconds=1)
            )
        except REDIS_FAILURES:
            self._circuit.failed()
            return True
        self._circuit.succeeded()
        return bool(claimed)

    async def _keep_claim(self, name: Fingerprint) -> None:
        while True:
            await self._clock.sleep(RENEW_EVERY)
            with suppress(*REDIS_FAILURES):
                await _RENEW.run(self._client, claim_key(name), self._token, CLAIM_FOR // timedelta(milliseconds=1))

    def _release_later(self, name: Fingerprint) -> None:
        """Release the claim once what was found has reached Redis, so that nobody finds neither."""
        task = asyncio.get_running_loop().create_task(self._release(name))
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _release(self, name: Fingerprint) -> None:
        await self._store.written(name)
        # A claim that cannot be released runs out by itself.
        with suppress(*REDIS_FAILURES):
            await _RELEASE.run(self._client, claim_key(name), self._token)
