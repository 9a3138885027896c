"""Replicas that exchange invalidations through a real Redis."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final, TypeAlias

from service.cache.invalidations import LOOK_EVERY, SharedInvalidations
from service.cache.keys import InvalidationsKey, invalidations_key
from service.redis.connect import RedisClient
from service.verification.interfaces import Clock
from tests.cache.samples import KEYS
from tests.clock import FakeClock
from tests.gateways import until

KEY: Final = invalidations_key()
INSTANT: Final = timedelta(microseconds=1)
PROMISED: Final = timedelta(seconds=2)

Make: TypeAlias = Callable[..., SharedInvalidations]


def invalidations(
    client: RedisClient | None,
    clock: Clock,
    key: InvalidationsKey = KEYS.invalidations,
    kind: Make = SharedInvalidations,
) -> SharedInvalidations:
    """Return the invalidations of one replica."""
    return kind(client=client, key=KEY, invalidations_key=key, clock=clock)


class Cluster:
    """Replicas that run, and the time that passes for all of them."""

    def __init__(self, stack: AsyncExitStack, clock: FakeClock) -> None:
        self._stack = stack
        self._clock = clock
        self._running = 0

    async def join(
        self, client: RedisClient, *, kind: Make = SharedInvalidations, key: InvalidationsKey = KEYS.invalidations
    ) -> SharedInvalidations:
        """Start a replica."""
        replica = invalidations(client, self._clock, key, kind)
        task = asyncio.create_task(replica.run())
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
