"""One look-up for all replicas, as long as Redis is there."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from service.cache.keys import redis_key
from service.cache.leases import LEASE_FOR, LOOK_EVERY, RENEW_EVERY, ClusterLeases
from service.errors import SourceUnavailable
from service.settings import Settings
from tests.cache.samples import DAY, GAME, NAME, OTHER_NAME, entry, name_of, no, yes
from tests.clock import FakeClock
from tests.cluster.clocks import UnhurriedClock
from tests.cluster.lease_holders import (
    A_WHILE_MS,
    LEASE,
    LEASE_MS,
    Blind,
    Forgetful,
    LeaseHolder,
    MakeLeaseHolder,
    MakeLeases,
    Rash,
    SlowStore,
    YesToAll,
    anothers,
    released,
    waiting,
)
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import until


@variants(ClusterLeases, yes_to_all=YesToAll)
async def test_ten_replicas_look_up_once(
    variant: Variant[MakeLeases], make_lease_holder: MakeLeaseHolder, store: SlowStore
) -> None:
    """All ten have the result, and nine count that they have joined."""
    replicas = [make_lease_holder(variant.make) for _ in range(10)]
    tasks = [replica.asking() for replica in replicas]
    await until(lambda: store.asked)
    store.open()

    found = await asyncio.gather(*tasks)

    with promised(variant):
        assert store.asked == 1
        assert len(set(map(repr, found))) == 1
        assert sum(replica.joined for replica in replicas) == 9


@variants(ClusterLeases, blind=Blind)
async def test_who_comes_when_all_is_done_looks_up_nothing(
    variant: Variant[MakeLeases], make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """The replica's caches were empty before, and the lease was free: the result is in Redis."""
    store.open()
    first = await make_lease_holder().ask()
    await released(patient_redis)

    late = make_lease_holder(variant.make)
    found = await late.ask()

    with promised(variant):
        assert (store.asked, found, late.joined) == (1, first, 1)


@variants(ClusterLeases, rash=Rash)
async def test_a_lease_is_let_go_of_when_redis_has_what_was_found(
    variant: Variant[MakeLeases], make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """The lease is held until the result is in Redis, behind many other writes, so that no replica sees neither."""
    holder = make_lease_holder(variant.make)
    task = holder.asking()
    await until(lambda: store.under_way)
    for number in range(200):
        holder.cache.put(name_of(1000 + number), yes(), keep_until=yes().observed_at + DAY, game_id=GAME)
    store.open()
    await task

    await released(patient_redis)

    with promised(variant):
        assert await patient_redis.exists(redis_key(NAME)) == 1


async def test_different_questions_do_not_wait_for_one_another(
    make_lease_holder: MakeLeaseHolder, store: SlowStore
) -> None:
    """Each lease covers one name only."""
    tasks = [make_lease_holder().asking(name) for name in (NAME, OTHER_NAME)]

    await until(lambda: store.under_way == 2)

    store.open()
    await asyncio.gather(*tasks)


@variants(ClusterLeases, forgetful=Forgetful)
async def test_after_a_failure_the_others_try_one_by_one(
    variant: Variant[MakeLeases], make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """Each gets an honest answer of its own, at once, and nothing is left behind."""
    replicas = [make_lease_holder(variant.make) for _ in range(2)]
    store.says = [SourceUnavailable(f"{number}") for number in range(2)]
    tasks = [replica.asking() for replica in replicas]
    await until(lambda: store.under_way)
    began = time.monotonic()
    store.open()

    raised = await asyncio.gather(*tasks, return_exceptions=True)

    took = timedelta(seconds=time.monotonic() - began)
    with promised(variant):
        assert sorted(map(str, raised)) == ["0", "1"]
        assert took < LEASE_FOR
        await asyncio.gather(*(replica.close() for replica in replicas))
        assert not await patient_redis.exists(LEASE)


async def test_after_a_failure_one_success_is_enough(make_lease_holder: MakeLeaseHolder, store: SlowStore) -> None:
    """The second one to try finds it for the third too."""
    replicas = [make_lease_holder() for _ in range(3)]
    store.says = [SourceUnavailable("bad luck")]
    tasks = [replica.asking() for replica in replicas]
    await until(lambda: store.under_way)
    store.open()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [isinstance(result, SourceUnavailable) for result in results].count(True) == 1
    assert (store.asked, sum(replica.joined for replica in replicas)) == (2, 1)


async def test_what_is_not_good_enough_is_not_taken(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """A caller that wants a fresh answer waits for a look-up that began after its question."""
    store.open()
    first = await make_lease_holder().ask()
    await released(patient_redis)

    now = first.observed_at + timedelta(microseconds=1)
    found = await make_lease_holder().ask(not_before=now)

    assert found.observed_at >= now
    assert store.asked == 2


@variants(ClusterLeases, yes_to_all=YesToAll)
async def test_a_killed_holder_costs_the_time_of_its_lease(
    variant: Variant[MakeLeases], make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """The lease of a killed replica expires, and then one of the others looks up for all."""
    await patient_redis.set(LEASE, anothers(), px=LEASE_MS)
    store.open()
    replicas = [make_lease_holder(variant.make) for _ in range(3)]
    began = time.monotonic()

    await asyncio.gather(*(replica.ask() for replica in replicas))

    took = timedelta(seconds=time.monotonic() - began)
    with promised(variant):
        assert store.asked == 1
        assert LEASE_FOR / 2 < took < LEASE_FOR * 10


def test_who_waits_for_a_killed_holder_still_gets_an_answer() -> None:
    """Callers have time for the rest of the lease, and for a look-up that takes half of their own time.

    Three renewals may be lost before a lease ends that is still held.
    """
    callers_have = timedelta(milliseconds=Settings().deadline_ms)

    assert LEASE_FOR + LOOK_EVERY + callers_have / 2 < callers_have * 0.9
    assert LEASE_FOR >= 4 * RENEW_EVERY


@variants(ClusterLeases, forgetful=Forgetful)
async def test_a_lease_is_renewed_while_the_look_up_takes_its_time(
    variant: Variant[MakeLeases], make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """The lease is renewed again and again, so that a look-up may take longer than a lease lasts."""
    clock = FakeClock()
    task = make_lease_holder(variant.make, clock=clock).asking()
    await until(lambda: store.under_way)
    renewed = 0
    for _ in range(3):
        await patient_redis.pexpire(LEASE, A_WHILE_MS)
        await clock.advance(RENEW_EVERY)
        for _ in range(200):
            if await patient_redis.pttl(LEASE) <= LEASE_MS:
                renewed += 1
                break

    with promised(variant):
        assert renewed == 3
    store.open()
    await task


@variants(ClusterLeases, rash=Rash)
async def test_nobody_lets_go_of_the_lease_of_another(
    variant: Variant[MakeLeases], make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """A replica whose lease has expired neither releases nor renews that of the next one."""
    clock = FakeClock()
    holder = make_lease_holder(variant.make, clock=clock)
    task = holder.asking()
    await until(lambda: store.under_way)
    await patient_redis.set(LEASE, "the next one", px=A_WHILE_MS)
    await clock.advance(RENEW_EVERY)
    store.open()
    await task
    await holder.close()

    with promised(variant):
        assert await patient_redis.get(LEASE) == b"the next one"
        assert await patient_redis.pttl(LEASE) > LEASE_MS


async def test_the_same_replica_can_be_the_next_one(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """Every lease has a token of its own: an older look-up of ours does not end the lease of a newer one."""
    replica = make_lease_holder()
    older = replica.asking()
    await until(lambda: store.under_way)
    first_token = await patient_redis.get(LEASE)
    await patient_redis.delete(LEASE)
    newer = replica.asking()
    await until(lambda: store.under_way == 2)

    older.cancel()
    await asyncio.gather(older, return_exceptions=True)
    await waiting_for_releases(replica)

    second_token = await patient_redis.get(LEASE)
    assert second_token not in (None, first_token)
    store.open()
    await newer


async def waiting_for_releases(replica: LeaseHolder) -> None:
    """Return once the leases that are no longer held had time to be released."""
    leases = replica.leases
    assert isinstance(leases, ClusterLeases)
    await until(lambda: len(leases._held) == 1)


@pytest.mark.parametrize("cancelled", ["holder", "waiter"])
async def test_cancelling_one_hurts_no_other(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis, cancelled: str
) -> None:
    """Without the holder the next one looks up, at once; without a waiter nothing changes."""
    holder, waiter, other = [make_lease_holder() for _ in range(3)]
    holding = holder.asking()
    await until(lambda: store.under_way)
    tasks = {"holder": holding, "waiter": waiter.asking()}
    rest = [other.asking()]
    await waiting(other)
    began = time.monotonic()

    task = tasks.pop(cancelled)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    store.open()
    found = await asyncio.gather(*rest, *tasks.values())

    assert task.cancelled()
    assert len(set(map(repr, found))) == 1
    assert store.asked == (2 if cancelled == "holder" else 1)
    assert timedelta(seconds=time.monotonic() - began) < LEASE_FOR


async def test_a_newer_no_is_what_a_waiter_learns(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """A newer no in the replica's own memory is not overruled by an older yes of another replica."""
    await patient_redis.set(LEASE, anothers(), px=A_WHILE_MS)
    waiter, other = make_lease_holder(), make_lease_holder()
    task = waiter.asking()
    await waiting(waiter)
    newer = no(UnhurriedClock().now())

    waiter.cache.put(NAME, newer, keep_until=newer.observed_at + DAY, game_id=GAME)
    other.cache.put(
        NAME, yes(newer.observed_at - timedelta(seconds=1)), keep_until=newer.observed_at + DAY, game_id=GAME
    )

    assert await task == newer


async def test_more_questions_than_connections_are_no_outage(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """Two hundred leases at once take few of the connections, and all are made."""
    await patient_redis.config_resetstat()
    replica = make_lease_holder()
    tasks = [replica.asking(name_of(number)) for number in range(200)]

    await until(lambda: store.under_way == 200)

    # Not the leases themselves: on a busy machine one may have ended before it is renewed.
    made: Any = await patient_redis.info("commandstats")
    assert made["cmdstat_set"]["calls"] == 200
    store.open()
    await asyncio.gather(*tasks)


async def test_closing_lets_go(make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis) -> None:
    """A replica that closes releases its lease, though its look-up was cancelled."""
    replica = make_lease_holder()
    task = replica.asking()
    await until(lambda: store.under_way)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await replica.close()

    assert not await patient_redis.exists(LEASE)


async def test_closing_waits_for_nobody_for_long(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, patient_redis: Redis
) -> None:
    """A look-up that resists its cancellation is left behind; its lease expires."""
    replica = make_lease_holder(clock=FakeClock())
    task = replica.asking()
    await until(lambda: store.under_way)
    await patient_redis.pexpire(LEASE, A_WHILE_MS)  # it would end while the replica closes

    async with asyncio.timeout(10):
        await replica.close()

    assert 0 < await patient_redis.pttl(LEASE) <= A_WHILE_MS
    store.open()
    await task


async def test_in_redis_cluster(
    make_lease_holder: MakeLeaseHolder, store: SlowStore, one_node_cluster: RedisCluster
) -> None:
    """In a Redis Cluster the lease and the result may be on different nodes."""
    replicas = [make_lease_holder(client=one_node_cluster) for _ in range(3)]
    tasks = [replica.asking() for replica in replicas]
    await until(lambda: store.under_way)
    store.open()

    await asyncio.gather(*tasks)

    for replica in replicas:
        await replica.close()
    assert store.asked == 1


async def test_an_entry_is_what_the_others_find(make_lease_holder: MakeLeaseHolder, patient_redis: Redis) -> None:
    """Replicas that wait look into the cache, not at the lease."""
    await patient_redis.set(LEASE, anothers(), px=A_WHILE_MS)
    task = make_lease_holder().asking()
    found = yes(UnhurriedClock().now())

    await make_lease_holder().cache._redis.put(NAME, entry(found), game_id=GAME)  # type: ignore[union-attr]

    assert await task == found
