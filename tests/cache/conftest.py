"""A clock, a recorder and tiers, for tests of the cache."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from redis.asyncio import RedisCluster

from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.redis.connect import RedisClient, connect
from service.secret import RedisUrl
from tests.cache.invalidated import Cluster
from tests.cache.samples import Recorder, sealer
from tests.clock import FakeClock

MakeTier: TypeAlias = Callable[[str], RedisTier]


@pytest.fixture
def recorder() -> Recorder:
    """A recorder of the operations that the caches report."""
    return Recorder()


@pytest.fixture
def memory(clock: FakeClock) -> MemoryTier:
    """A first tier with room for a hundred."""
    return MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock)


async def close(client: RedisClient) -> None:
    """Close a client for good."""
    await client.aclose()
    if isinstance(client, RedisCluster):
        # redis-py closes nothing if it was just about to look for the nodes again.
        await client.nodes_manager.aclose()
        await client.nodes_manager.aclose("startup_nodes")


@pytest.fixture
async def connected() -> AsyncIterator[Callable[[str], RedisClient]]:
    """Make clients that are closed after the test."""
    async with AsyncExitStack() as stack:

        def connect_to(url: str) -> RedisClient:
            client = connect(RedisUrl(url))
            stack.push_async_callback(close, client)
            return client

        yield connect_to


@pytest.fixture
async def make_tier(
    connected: Callable[[str], RedisClient], clock: FakeClock, recorder: Recorder
) -> AsyncIterator[MakeTier]:
    """Make second tiers on any URL."""
    async with AsyncExitStack() as stack:

        def make(url: str) -> RedisTier:
            tier = RedisTier(
                client=connected(url),
                sealer=sealer(),
                clock=clock,
                on_operation=recorder.operation,
                on_state=recorder.state,
            )
            stack.push_async_callback(tier.close)
            return tier

        yield make


@pytest.fixture
async def cluster(clock: FakeClock) -> AsyncIterator[Cluster]:
    """Replicas of one cluster."""
    async with AsyncExitStack() as stack:
        yield Cluster(stack, clock)
