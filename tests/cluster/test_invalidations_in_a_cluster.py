"""Invalidations through Redis Cluster: one key, so one node; every script names it."""

from redis.asyncio import RedisCluster

from tests.cache.invalidated import Replica
from tests.cache.samples import NAME
from tests.clock import START, FakeClock


async def test_replicas_of_a_redis_cluster_tell_each_other(one_node_cluster: RedisCluster) -> None:
    """An invalidation reaches the other replicas as through any other Redis."""
    clock = FakeClock()
    one, other = [Replica(one_node_cluster, clock) for _ in range(2)]

    one.invalidate(NAME, before=START)
    await one.exchange.close()
    await other.exchange._exchange()

    assert other.invalidated_before(NAME) == START
