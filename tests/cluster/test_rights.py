"""The rights of the Redis user of several replicas: the documented ones are enough, and no other is tried."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import pytest
from redis.asyncio import Redis

from service.redis import acl as redis_rights
from service.redis.connect import RedisClient, connect
from service.secret import RedisUrl
from tests.cache.invalidated import Replica
from tests.cache.samples import NAME
from tests.clock import FakeClock
from tests.cluster.budgets import ClusterBench, drain
from tests.cluster.clocks import UnhurriedClock
from tests.cluster.lease_holders import LEASE, LeaseHolder, SlowStore
from tests.limits.buckets import FOREGROUND, seconds
from tests.redis_server import RedisServer

RIGHTS: Final = redis_rights.as_rules(*redis_rights.COMMANDS).split()


@asynccontextmanager
async def replicas(
    server: RedisServer, rights: Sequence[str]
) -> AsyncIterator[tuple[ClusterBench, LeaseHolder, Redis]]:
    """Open the budget and the leases of a user with these rights; the last one is an operator with all."""
    async with Redis.from_url(server.url) as operator:
        await operator.acl_setuser(
            "og", enabled=True, passwords=["+pw"], keys=[redis_rights.KEYS], commands=["-@all", *rights]
        )
        async with connect(RedisUrl(server.url.replace("//", "//og:pw@"))) as client:
            bench = ClusterBench(client, operator, rate=1 / 50, burst=6, timeout=0, replicas=3)
            store = SlowStore(UnhurriedClock())
            store.open()
            lease_holder = LeaseHolder(client, store, clock=UnhurriedClock())
            yield bench, lease_holder, operator
            await bench.settle()
            await lease_holder.close()


async def use(bench: ClusterBench, lease_holder: LeaseHolder, operator: Redis) -> int:
    """Use Redis in every way that replicas do; return the tokens of the budget."""
    taken = sum([await drain(budget) for budget in bench.budgets])
    bench.budget.refused(timedelta())
    await bench.settle()
    bench.budget.answered()
    await bench.settle()
    await lease_holder.ask()
    await lease_holder.close()
    await find_leaseed(lease_holder, operator)
    await invalidate(lease_holder.client)
    return taken


async def find_leaseed(lease_holder: LeaseHolder, operator: Redis) -> None:
    """Wait for a look-up of another replica's, whose lease is too long to be one of ours, until it is gone."""
    await operator.set(LEASE, "another replica", px=60_000)
    asking = lease_holder.asking()
    while not asking.done() and await operator.pttl(LEASE) > 60_000 // 2:
        continue
    await operator.delete(LEASE)
    await asking


async def invalidate(client: RedisClient) -> None:
    """Tell the other replicas to forget a player, and that again."""
    clock = FakeClock()
    replica = Replica(client, clock)
    for _ in range(2):
        replica.invalidate(NAME, before=clock.now())
        await replica.exchange.close()
        clock.jump(timedelta(seconds=1))


async def test_the_documented_rights_are_enough(own_redis: RedisServer) -> None:
    """Redis has refused nothing, and the budget was one."""
    async with replicas(own_redis, RIGHTS) as (bench, lease_holder, operator):
        taken = await use(bench, lease_holder, operator)

        assert await operator.acl_log() == []
        assert taken == 6
        assert await bench.known("share") == pytest.approx(0.55)


@pytest.mark.parametrize("right", RIGHTS)
async def test_without_one_of_them_it_is_every_replica_for_itself(own_redis: RedisServer, right: str) -> None:
    """Each is needed; the operator sees which in Redis's own log, and no question fails for it."""
    rights = [other for other in RIGHTS if other != right]
    async with replicas(own_redis, rights) as (bench, lease_holder, operator):
        taken = await use(bench, lease_holder, operator)
        refused = {str(line["object"]) for line in await operator.acl_log()}

    assert right.removeprefix("+") in refused
    assert taken <= 6
    assert bench.budget.tokens() <= 6


async def test_a_pause_is_kept_by_a_replica_that_may_tell_nobody(own_redis: RedisServer) -> None:
    """A replica without the right to write keeps its pause to itself, as without Redis."""
    async with replicas(own_redis, ["+getrange"]) as (bench, _, _):
        bench.budget.refused(seconds(20))
        await bench.settle()

        assert bench.budget.pause_left() == seconds(20)
        assert bench.budgets[1].pause_left() == timedelta()
        await bench.budgets[1].acquire(FOREGROUND)
