"""A Redis with generous time-outs, and gateways in front of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster

from service.cache.leases import ClusterLeases
from service.redis.connect import MAX_CONNECTIONS, RedisClient, connect
from service.secret import RedisUrl
from service.verification.interfaces import Clock
from tests.cache.conftest import close
from tests.cluster.clocks import UnhurriedClock
from tests.cluster.lease_holders import TIMEOUT, LeaseHolder, MakeLeaseHolder, MakeLeases, SlowStore
from tests.redis_server import RedisServer


@pytest.fixture
async def patient_redis(redis_url: str, empty_redis: Redis) -> AsyncIterator[Redis]:
    """A client as the gateway makes it, but with long time-outs: a busy machine is no failure of Redis."""
    pool = BlockingConnectionPool.from_url(redis_url, max_connections=MAX_CONNECTIONS, timeout=10, socket_timeout=10)
    async with Redis.from_pool(pool) as client:
        yield client


@pytest.fixture
async def one_node_cluster(one_node_cluster: RedisServer) -> AsyncIterator[RedisCluster]:
    """A client of the session's Redis Cluster, which is empty."""
    client = connect(RedisUrl(f"redis+cluster://127.0.0.1:{one_node_cluster.port}"))
    assert isinstance(client, RedisCluster)
    await client.initialize()
    yield client
    await close(client)


@pytest.fixture
async def operator_of() -> AsyncIterator[Callable[[RedisCluster], Redis]]:
    """Make plain clients of the first node of a cluster."""
    async with AsyncExitStack() as stack:

        def make(cluster: RedisCluster) -> Redis:
            node = cluster.get_default_node()
            client = Redis(host=node.host, port=int(node.port))
            stack.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
def store() -> SlowStore:
    """The store that all replicas ask."""
    return SlowStore(UnhurriedClock())


@pytest.fixture
async def make_lease_holder(patient_redis: Redis, store: SlowStore) -> AsyncIterator[MakeLeaseHolder]:
    """Make replicas."""
    async with AsyncExitStack() as stack:

        def make(
            leases: MakeLeases = ClusterLeases,
            *,
            client: RedisClient | None = None,
            clock: Clock | None = None,
            timeout: timedelta = TIMEOUT,
        ) -> LeaseHolder:
            lease_holder = LeaseHolder(
                client or patient_redis, store, clock=clock or UnhurriedClock(), leases=leases, timeout=timeout
            )
            stack.push_async_callback(lease_holder.close)
            return lease_holder

        yield make
