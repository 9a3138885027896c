"""Invalidations under what was observed: how they rise, and how they reach every replica through a real Redis."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from service.cache.replicated_table import ReplicatedTable
from service.cache.table_entry import TableEntry
from service.cache.table_exchange import LOOK_EVERY, MOST_AT_ONCE, TableExchange
from tests.cache.invalidated import INSTANT, KEY, OURS, Cluster, Kinds, Replica
from tests.cache.samples import GAME, NAME, OTHER_GAME, OTHER_NAME, SECOND, name_of
from tests.clock import START, FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import until


@pytest.fixture
def alone(clock: FakeClock) -> Replica:
    """A gateway without Redis."""
    return Replica(None, clock)


# One replica


def test_at_first_nothing_is_invalidated(alone: Replica) -> None:
    """Everything that was ever observed may be used."""
    assert alone.invalidated_before(NAME) is None


def test_a_name_has_the_invalidation_that_it_was_given(alone: Replica) -> None:
    """No other name has it, and no other game."""
    alone.invalidate(NAME, before=START)

    assert alone.invalidated_before(NAME) == START
    assert alone.invalidated_before(OTHER_NAME) is None
    assert alone.invalidated_before(NAME, OTHER_GAME) is None


def test_a_whole_game_is_invalidated_under_every_name(alone: Replica) -> None:
    """Of the name's own instant and the game's, the later counts."""
    alone.invalidate(None, before=START)
    alone.invalidate(NAME, before=START + SECOND)

    assert alone.invalidated_before(OTHER_NAME) == START
    assert alone.invalidated_before(NAME) == START + SECOND
    assert alone.invalidated_before(NAME, OTHER_GAME) is None


def test_an_invalidation_never_becomes_earlier(alone: Replica) -> None:
    """An invalidation that arrives late, with an earlier instant, changes nothing."""
    alone.invalidate(NAME, before=START)

    alone.invalidate(NAME, before=START - SECOND)

    assert alone.invalidated_before(NAME) == START


def test_what_is_overruled_counts_beside_what_is_invalidated(alone: Replica) -> None:
    """The later instant of both, and an identity belongs to no game."""
    alone.invalidate(NAME, before=START)
    alone.invalidations.overruled(GAME, NAME, START + SECOND, None)
    alone.invalidations.overruled(None, OTHER_NAME, START, None)

    assert alone.invalidated_before(NAME) == START + SECOND
    assert alone.invalidations.invalidated_before(None, OTHER_NAME) == START
    assert alone.invalidated_before(OTHER_NAME) is None


# Several replicas


class Mute(ReplicatedTable):
    """Broken: tells the other replicas nothing."""

    def _tell(self, entry: TableEntry) -> None:
        """Keep it."""


@variants(OURS, mute=Kinds(table=Mute))
async def test_all_replicas_know_within_two_seconds(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis
) -> None:
    """An invalidation on one replica holds on all."""
    one = await cluster.join(empty_redis, kinds=variant.make)
    others = [await cluster.join(empty_redis) for _ in range(2)]

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    with promised(variant):
        assert [replica.invalidated_before(NAME) for replica in others] == [START, START]


async def test_redis_has_it_at_once(cluster: Cluster, empty_redis: Redis) -> None:
    """An invalidation does not wait until the replica looks the next time."""
    one = await cluster.join(empty_redis)

    one.invalidate(NAME, before=START)

    async with asyncio.timeout(10):
        while not await empty_redis.hexists(KEY, "last"):  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0)


async def test_a_replica_that_starts_later_knows_too(cluster: Cluster, empty_redis: Redis) -> None:
    """At once."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()

    late = await cluster.join(empty_redis)

    assert late.invalidated_before(NAME) == START


class ByVersion(TableExchange):
    """Broken: reads nothing that was made before the newest entry that it has read."""

    _newest = 0

    def _take_over(self, answer: Any, telling: list[tuple[TableEntry, bytes]]) -> None:
        """Leave out what is older."""
        entries = [(sealed, self._sealer.unseal(sealed)) for sealed in answer.unknown]
        news = [sealed for sealed, entry in entries if entry is not None and entry.version > self._newest]
        self._newest = max([self._newest, *(entry.version for _, entry in entries if entry is not None)])
        answer.unknown[:] = news
        super()._take_over(answer, telling)


@variants(OURS, by_version=Kinds(exchange=ByVersion))
async def test_an_invalidation_may_reach_redis_long_after_it_was_made(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis, clock: FakeClock
) -> None:
    """It was made half a minute before it reached Redis, and the others have read much newer ones since."""
    one, other = await cluster.join(empty_redis), await cluster.join(empty_redis, kinds=variant.make)
    await clock.advance(30 * SECOND)
    one.invalidate(OTHER_NAME, before=clock.now())
    await cluster.pass_time()

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    with promised(variant):
        assert other.invalidated_before(NAME) == START


class Obedient(ReplicatedTable):
    """Broken: the last word counts, not the highest version."""

    def _overtaken(self, entry: TableEntry) -> bool:  # noqa: ARG002 - it looks at nothing
        """Know nothing better."""
        return False


@variants(OURS, obedient=Kinds(table=Obedient))
async def test_of_two_replicas_with_an_invalidation_the_later_instant_counts(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis
) -> None:
    """The order in which they exchange invalidations makes no difference."""
    one, other = [await cluster.join(empty_redis, kinds=variant.make) for _ in range(2)]
    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()
    other.invalidate(NAME, before=START)
    at_once = other.invalidated_before(NAME)
    await cluster.pass_time()

    with promised(variant):
        assert [at_once, one.invalidated_before(NAME), other.invalidated_before(NAME)] == [START + SECOND] * 3


async def test_a_newer_invalidation_on_another_replica_counts(cluster: Cluster, empty_redis: Redis) -> None:
    """Both were made before either was told; the one that is told later is the older."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    await empty_redis.config_resetstat()

    one.invalidate(NAME, before=START + SECOND)
    other.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert [one.invalidated_before(NAME), other.invalidated_before(NAME)] == [START + SECOND] * 2


async def test_an_invalidation_may_become_later_while_it_is_being_sent(cluster: Cluster, empty_redis: Redis) -> None:
    """The later instant is sent too."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    for number in range(50):
        one.invalidate(NAME, before=START + number * INSTANT)
        await asyncio.sleep(0)
    await cluster.pass_time()

    assert other.invalidated_before(NAME) == START + 49 * INSTANT


async def test_many_invalidations_travel_in_portions(cluster: Cluster, empty_redis: Redis) -> None:
    """No step keeps Redis from the others for long; all arrive without waiting for the next look."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    for number in range(3 * MOST_AT_ONCE):
        one.invalidate(name_of(number), before=START + number * INSTANT)
    await until(lambda: not one.table.untold(1))
    await cluster.pass_time(LOOK_EVERY)

    assert all(
        other.invalidated_before(name_of(number)) == START + number * INSTANT for number in range(3 * MOST_AT_ONCE)
    )


async def test_all_of_it_is_one_key_that_ends(cluster: Cluster, empty_redis: Redis) -> None:
    """All are in one key, as Redis Cluster wants it, which expires: no entry lives for longer."""
    one = await cluster.join(empty_redis)

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert await empty_redis.keys() == [KEY.encode()]
    assert 89 * 86_400_000 < await empty_redis.pttl(KEY) <= 90 * 86_400_000


async def test_who_looks_and_finds_nothing_new_changes_nothing(cluster: Cluster, empty_redis: Redis) -> None:
    """The number of the last entry says enough, so that none is read."""
    one = await cluster.join(empty_redis)
    other = await cluster.join(empty_redis)
    for number in range(100):
        one.invalidate(name_of(number), before=START)
    await cluster.pass_time()
    before = await empty_redis.hgetall(KEY)
    await empty_redis.config_resetstat()

    await cluster.pass_time()

    looks = 2 * (4 + 1)
    assert await empty_redis.hgetall(KEY) == before
    assert (await empty_redis.info("commandstats"))["cmdstat_hget"]["calls"] <= 3 * looks
    assert other.invalidated_before(NAME) is None


async def test_numbers_in_use_do_not_lie_far_apart(cluster: Cluster, empty_redis: Redis, clock: FakeClock) -> None:
    """Entries that have ended, were replaced or overtaken make room: a gateway that starts has not much to read."""
    one = await cluster.join(empty_redis)
    for number in range(300):
        one.invalidate(name_of(number), before=START)
        if number % 3 == 0:
            one.invalidate(name_of(0), before=START + number * INSTANT)
            await cluster.rest()
    one.invalidate(None, before=START + timedelta(milliseconds=1))
    await cluster.rest()
    for number in range(300):
        one.invalidate(name_of(number), before=START + SECOND)
    await cluster.rest()

    bounds = await empty_redis.hmget(KEY, "first", "last")
    assert int(bounds[1] or 0) - int(bounds[0] or 0) <= 302
    assert await empty_redis.hlen(KEY) <= 2 * 303 + 2
    late = await cluster.join(empty_redis)
    assert late.entries == 301


async def test_entries_end_after_three_days(cluster: Cluster, empty_redis: Redis, clock: FakeClock) -> None:
    """No observation that is cached is older; those of the last days stay, though Redis keeps all under one key."""
    one = await cluster.join(empty_redis)
    for number in range(10):
        one.invalidate(name_of(number), before=START)
    await cluster.rest()
    clock.jump(timedelta(days=3))
    for number in range(10):
        one.invalidate(name_of(100 + number), before=clock.now())
    await cluster.pass_time()

    late = await cluster.join(empty_redis)

    assert (one.entries, late.entries) == (10, 10)
    assert await empty_redis.hlen(KEY) == 2 * 10 + 2
