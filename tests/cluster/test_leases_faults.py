"""Leases that are planted, lost or left behind, and Redis failing: no question waits for them for long."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from service.cache.lease_tokens import LARGEST_SKEW
from service.cache.leases import LOOK_EVERY, ClusterLeases
from service.cache.sealing import stamp
from service.redis.connect import connect
from service.secret import RedisUrl
from tests.clock import START, FakeClock
from tests.cluster.lease_holders import (
    A_WHILE_MS,
    LEASE,
    LEASE_MS,
    TIMEOUT,
    MakeLeaseHolder,
    SlowStore,
    anothers,
)
from tests.gateways import until
from tests.redis.left_alone import until_back
from tests.redis_server import RedisServer


async def test_nobody_waits_longer_than_a_look_up_may_take(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """A lease that is renewed for ever is ignored after a while."""
    token = anothers()
    await patient_redis.set(LEASE, token, px=A_WHILE_MS)
    store.open()

    replica = make_lease_holder(timeout=3 * LOOK_EVERY)
    await replica.ask()
    await replica.close()

    assert store.asked == 1
    assert await patient_redis.get(LEASE) == token.encode()


@pytest.mark.parametrize("planted", ["made by nobody", "made long ago"])
async def test_nobody_waits_for_a_lease_that_was_planted(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis, planted: str
) -> None:
    """A program that may write to Redis can delay no question, neither with a made-up lease nor with an old one."""
    clock = FakeClock()
    token = anothers(clock) if planted == "made long ago" else planted
    clock.jump(TIMEOUT + LARGEST_SKEW)
    await patient_redis.set(LEASE, token, px=A_WHILE_MS)
    store.open()

    async with asyncio.timeout(10):
        await make_lease_holder(clock=clock).ask()

    assert store.asked == 1


async def test_a_lease_that_was_waited_for_counts_from_when_it_is_made(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """A lease is stamped with the time at which it is made, not with the start of the wait before it."""
    clock = FakeClock()
    await patient_redis.set(LEASE, anothers(clock), px=A_WHILE_MS)
    task = make_lease_holder(clock=clock).asking()
    await until(lambda: clock.sleepers)
    await clock.advance(LOOK_EVERY)
    await patient_redis.delete(LEASE)

    await until(lambda: clock.sleepers)
    await clock.advance(LOOK_EVERY)
    await until(lambda: store.under_way)

    lease = await patient_redis.get(LEASE)
    assert lease is not None
    assert int(lease[:16]) >= stamp(START + LOOK_EVERY)
    store.open()
    await task


@pytest.mark.parametrize("lifetime_ms", [None, A_WHILE_MS])
async def test_what_looks_like_a_lease_and_lasts_too_long_is_cut(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis, lifetime_ms: int | None
) -> None:
    """A lease with a long expiry, planted or left behind, is cut: it must not delay a question for ever."""
    await patient_redis.set(LEASE, "somebody", px=lifetime_ms)
    task = make_lease_holder().asking()

    async with asyncio.timeout(10):
        while not 0 <= await patient_redis.pttl(LEASE) <= LEASE_MS:
            continue

    await patient_redis.delete(LEASE)
    store.open()
    await task


async def test_a_lease_that_is_none_is_replaced(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """A value of another type costs nothing."""
    await patient_redis.rpush(LEASE, "x")

    task = make_lease_holder().asking()
    await until(lambda: store.under_way)

    assert await patient_redis.type(LEASE) == b"string"
    store.open()
    await task


class Stuttering(Redis):
    """Sends every script twice, as redis-py does when a connection breaks before the answer has come."""

    async def evalsha(self, *arguments: Any) -> Any:
        """Return the second answer."""
        await super().evalsha(*arguments)
        return await super().evalsha(*arguments)


async def test_nobody_waits_for_a_lease_of_its_own(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, redis_url: str
) -> None:
    """A lease that was made, but whose reply was lost, is recognised as the replica's own."""
    async with Stuttering.from_url(redis_url) as client:
        replica = make_lease_holder(client=client)
        task = replica.asking()

        await until(lambda: store.under_way)

        assert replica.recorder.states == [True]
        store.open()
        await task
        await replica.close()


class Hesitant(Redis):
    """Keeps the reply to a script back until the test lets it through."""

    ran: asyncio.Event
    speaks: asyncio.Event

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Return the answer in time."""
        answer = await super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]  # as in redis-py
        self.ran.set()
        await self.speaks.wait()
        return answer


@pytest.mark.parametrize("another_has_it", [False, True])
async def test_a_lease_that_nobody_waits_for_any_more_is_let_go_of(
    make_lease_holder: MakeLeaseHolder, patient_redis: Redis, redis_url: str, *, another_has_it: bool
) -> None:
    """A caller that is cancelled while its lease is made leaves none behind, and removes no other's."""
    if another_has_it:
        await patient_redis.set(LEASE, anothers(), px=A_WHILE_MS)
    async with Hesitant.from_url(redis_url) as client:
        assert isinstance(client, Hesitant)
        client.ran, client.speaks = asyncio.Event(), asyncio.Event()
        replica = make_lease_holder(client=client)
        task = replica.asking()
        await client.ran.wait()

        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left_behind = await patient_redis.exists(LEASE)
        client.speaks.set()
        await replica.close()

    assert (left_behind, await patient_redis.exists(LEASE)) == (1, another_has_it)


async def test_redis_dying_while_others_wait_leaves_nobody_waiting(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, own_redis: RedisServer
) -> None:
    """Each replica that waits looks up for itself, once."""
    async with connect(RedisUrl(own_redis.url)) as client:
        replicas = [make_lease_holder(client=client) for _ in range(3)]
        tasks = [replica.asking() for replica in replicas]
        await until(lambda: store.under_way)

        own_redis.kill()

        await until(lambda: store.under_way == 3)
        store.open()
        await asyncio.gather(*tasks)
        for replica in replicas:
            await replica.close()
    assert store.asked == 3


@pytest.mark.parametrize("failure", ["killed", "silent"])
async def test_without_redis_each_replica_looks_up_once(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, own_redis: RedisServer, failure: str
) -> None:
    """Every replica gets its answer."""
    own_redis.kill() if failure == "killed" else own_redis.pause()
    store.open()
    async with connect(RedisUrl(own_redis.url)) as client:
        replicas = [make_lease_holder(client=client) for _ in range(3)]

        await asyncio.gather(*(replica.ask() for replica in replicas))

        for replica in replicas:
            await replica.close()
    own_redis.resume() if failure == "silent" else None
    assert store.asked == 3


async def test_redis_that_comes_back_is_used_again(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, own_redis: RedisServer
) -> None:
    """Redis is used again once it has answered three tries, a second apart."""
    clock = FakeClock()
    async with connect(RedisUrl(own_redis.url)) as client:
        replica = make_lease_holder(client=client, clock=clock)
        store.open()
        own_redis.kill()
        for _ in range(4):
            await replica.ask()
        own_redis.start()
        leases = replica.leases
        assert isinstance(leases, ClusterLeases)
        await until_back(clock, lambda: leases._scripts.healthy)

        async with Redis.from_url(own_redis.url) as operator:
            await operator.set(LEASE, anothers(clock), px=A_WHILE_MS)
            task = replica.asking()
            await until(lambda: clock.sleepers)
            assert not task.done()

            await operator.delete(LEASE)
            await clock.advance(LOOK_EVERY)
            await task
        await replica.close()
