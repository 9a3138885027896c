"""What replicas remember and share: both tiers, invalidations, leases, and the client of Redis behind them."""

from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from service.assembly.beside import run_beside
from service.cache.invalidations import SharedInvalidations
from service.cache.keys import Keys, invalidations_key
from service.cache.leases import ClusterLeases
from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.cache.sealing import Sealer
from service.cache.tiers import TieredCache
from service.observability.events import Events
from service.observability.metrics import Metrics
from service.ownership import Fingerprint
from service.redis.connect import RedisClient, connect
from service.settings import Settings
from service.verification.interfaces import Clock, LookUpLease, NoLease

_MEBIBYTE: Final = 1024 * 1024


def open_redis(settings: Settings, stack: AsyncExitStack) -> RedisClient | None:
    """Return a client that connects when it is first used, or None if no Redis is configured."""
    if settings.redis.url is None:
        return None
    client = connect(settings.redis.url)
    stack.push_async_callback(client.aclose)
    return client


async def open_invalidations(
    stack: AsyncExitStack, *, keys: Keys, clock: Clock, events: Events, redis: RedisClient | None
) -> SharedInvalidations:
    """Open what was invalidated, and exchange it with the other replicas from now on."""
    invalidations = SharedInvalidations(
        client=redis, key=invalidations_key(), invalidations_key=keys.invalidations, clock=clock
    )
    stack.push_async_callback(invalidations.close)
    if redis is not None:
        await run_beside(stack, invalidations.run(), crashed=partial(events.crashed, where="invalidations"))
    return invalidations


def open_cache(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    keys: Keys,
    clock: Clock,
    events: Events,
    metrics: Metrics,
    redis: RedisClient | None,
    invalidations: SharedInvalidations,
) -> TieredCache:
    """Open the cache: one tier in memory, and Redis behind it where there is one."""

    def overruled(name: Fingerprint, since: datetime) -> None:
        invalidations.invalidate(name, before=since)

    max_bytes = settings.cache.max_mebibytes * _MEBIBYTE
    memory = MemoryTier(max_entries=settings.cache.max_entries, max_bytes=max_bytes, clock=clock)
    tier = None
    if redis is not None:
        tier = RedisTier(
            client=redis,
            sealer=Sealer(keys.sealing),
            clock=clock,
            on_operation=metrics.cache_operation,
            on_state=events.redis,
            on_overruled=overruled,
        )
    cache = TieredCache(memory=memory, redis=tier, on_operation=metrics.cache_operation, on_overruled=overruled)
    stack.push_async_callback(cache.close)
    return cache


def open_leases(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    keys: Keys,
    cache: TieredCache,
    clock: Clock,
    events: Events,
    redis: RedisClient | None,
) -> LookUpLease:
    """Open what keeps look-ups single in the cluster, or in nothing where there is no Redis."""
    if redis is None:
        return NoLease()
    leases = ClusterLeases(
        client=redis,
        leases_key=keys.leases,
        store=cache,
        clock=clock,
        timeout=timedelta(seconds=settings.itch.timeout_seconds),
        joined=events.joined_replica,
    )
    stack.push_async_callback(leases.close)
    return leases
