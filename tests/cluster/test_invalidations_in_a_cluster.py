"""Invalidations through Redis Cluster: one key, so one node; every script names it."""

from redis.asyncio import RedisCluster

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import invalidations_key
from tests.cache.samples import KEYS, NAME
from tests.clock import START, FakeClock


async def test_replicas_of_a_redis_cluster_tell_each_other(one_node_cluster: RedisCluster) -> None:
    """An invalidation reaches the other replicas as through any other Redis."""
    clock = FakeClock()
    one, other = [
        SharedInvalidations(
            client=one_node_cluster, key=invalidations_key(), invalidations_key=KEYS.invalidations, clock=clock
        )
        for _ in range(2)
    ]

    one.invalidate(NAME, before=START)
    await one.close()
    await other._exchange()

    assert other.invalidated_before(NAME) == START
