"""Invalidations under what was observed: how they rise, and how they reach every replica through a real Redis."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

import pytest
from redis.asyncio import Redis

from service.cache.invalidations import EVERYTHING, LOOK_EVERY, MOST_AT_ONCE, MOST_INVALIDATIONS, SharedInvalidations
from service.ownership import Fingerprint
from tests.cache.invalidated import INSTANT, KEY, Cluster, Make, invalidations
from tests.cache.samples import DAY, NAME, OTHER_NAME, SECOND, name_of
from tests.clock import START, FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import until


@pytest.fixture
def alone(clock: FakeClock) -> SharedInvalidations:
    """The invalidations of a gateway without Redis."""
    return invalidations(None, clock)


# One replica


def test_at_first_nothing_is_invalidated(alone: SharedInvalidations) -> None:
    """Everything that was ever observed may be used."""
    assert alone.invalidated_before(NAME) is None


def test_a_name_has_the_invalidation_that_it_was_given(alone: SharedInvalidations) -> None:
    """No other name has it."""
    alone.invalidate(NAME, before=START)

    assert (alone.invalidated_before(NAME), alone.invalidated_before(OTHER_NAME), alone.invalidated_before()) == (
        START,
        None,
        None,
    )


def test_of_several_names_the_latest_instant_counts(alone: SharedInvalidations) -> None:
    """One name may be a player's, and the other the whole game's."""
    alone.invalidate(NAME, before=START + SECOND)
    alone.invalidate(OTHER_NAME, before=START)

    assert alone.invalidated_before(NAME, OTHER_NAME) == alone.invalidated_before(OTHER_NAME, NAME) == START + SECOND


def test_an_invalidation_never_becomes_earlier(alone: SharedInvalidations) -> None:
    """An invalidation that arrives late, with an earlier instant, changes nothing."""
    alone.invalidate(NAME, before=START)

    alone.invalidate(NAME, before=START - SECOND)

    assert alone.invalidated_before(NAME) == START


def many(count: int) -> Iterator[tuple[Fingerprint, datetime]]:
    """Yield names and invalidations, in an order that is neither theirs nor random."""
    for number in range(count):
        place = number * 7919 % count
        yield name_of(place), START + place * INSTANT


@pytest.mark.parametrize("rounds", [1, 5])
def test_too_many_invalidations_become_later_never_earlier(alone: SharedInvalidations, rounds: int) -> None:
    """Each name is asked about again at least as much as before, and memory stays bounded."""
    everyone = list(many(rounds * MOST_INVALIDATIONS + 1))
    for name, before in everyone:
        alone.invalidate(name, before=before)

    assert all((alone.invalidated_before(name) or START - DAY) >= before for name, before in everyone)
    assert len(alone._known) <= MOST_INVALIDATIONS


def test_of_too_many_invalidations_the_newer_half_stay_as_they_are(alone: SharedInvalidations) -> None:
    """Names without an invalidation of their own lose only observations from before the older half."""
    for name, before in many(MOST_INVALIDATIONS + 1):
        alone.invalidate(name, before=before)

    middle = START + MOST_INVALIDATIONS // 2 * INSTANT
    assert START < (alone.invalidated_before(Fingerprint(b"nobody")) or START) <= middle
    assert alone.invalidated_before(name_of(MOST_INVALIDATIONS)) == START + MOST_INVALIDATIONS * INSTANT


def test_an_instant_before_that_of_everything_is_not_stored(alone: SharedInvalidations) -> None:
    """The earlier instant would make no difference."""
    alone.invalidate(EVERYTHING, before=START)

    alone.invalidate(NAME, before=START - SECOND)

    assert (alone.invalidated_before(NAME), len(alone._known)) == (START, 1)


async def test_without_redis_there_is_nobody_to_tell(alone: SharedInvalidations) -> None:
    """Closing takes no time, and nothing waits to be sent."""
    alone.invalidate(NAME, before=START)

    await alone.close()

    assert not alone._unsent


# Several replicas


class Mute(SharedInvalidations):
    """Broken: sends no invalidation to the other replicas."""

    def _send(self, name: Fingerprint) -> None:
        """Send nothing."""


@variants(SharedInvalidations, mute=Mute)
async def test_all_replicas_know_within_two_seconds(
    variant: Variant[Make], cluster: Cluster, empty_redis: Redis
) -> None:
    """An invalidation on one replica holds on all."""
    one = await cluster.join(empty_redis, kind=variant.make)
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
        while not await empty_redis.hexists(KEY, bytes(NAME).decode("latin-1")):  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0)


async def test_a_replica_that_starts_later_knows_too(cluster: Cluster, empty_redis: Redis) -> None:
    """At once."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()

    late = await cluster.join(empty_redis)

    assert late.invalidated_before(NAME) == START


class Obedient(SharedInvalidations):
    """Broken: the last word counts, not the highest instant."""

    def _raise(self, name: Fingerprint, invalidated_before: datetime) -> bool:
        """Set it."""
        self._known[name] = invalidated_before
        return True


@variants(SharedInvalidations, obedient=Obedient)
async def test_of_two_replicas_with_an_invalidation_the_later_instant_counts(
    variant: Variant[Make], cluster: Cluster, empty_redis: Redis
) -> None:
    """The order in which they exchange invalidations makes no difference."""
    one, other = [await cluster.join(empty_redis, kind=variant.make) for _ in range(2)]
    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()
    other.invalidate(NAME, before=START)
    at_once = other.invalidated_before(NAME)
    await cluster.pass_time()

    with promised(variant):
        assert [at_once, one.invalidated_before(NAME), other.invalidated_before(NAME)] == [START + SECOND] * 3


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
    everyone = list(many(3 * MOST_AT_ONCE))
    for name, before in everyone:
        one.invalidate(name, before=before)
    await until(lambda: not one._unsent)
    await cluster.pass_time(LOOK_EVERY)

    assert all(other.invalidated_before(name) == before for name, before in everyone)


async def test_too_many_invalidations_are_too_many_for_redis_too(cluster: Cluster, empty_redis: Redis) -> None:
    """Instants that everything has overtaken go, there and on the other replicas."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    everyone = list(many(MOST_INVALIDATIONS + 1))
    for name, before in everyone[:-1]:
        one.invalidate(name, before=before)
    await until(lambda: not one._unsent)
    await cluster.pass_time(LOOK_EVERY)
    one.invalidate(everyone[-1][0], before=everyone[-1][1])
    await cluster.pass_time()

    assert await empty_redis.hlen(KEY) <= MOST_INVALIDATIONS // 2 + 3
    assert len(other._known) == len(one._known)
    assert all((other.invalidated_before(name) or START - DAY) >= before for name, before in everyone)


async def test_all_of_it_is_one_key_that_ends(cluster: Cluster, empty_redis: Redis) -> None:
    """All are in one key, as Redis Cluster wants it, which expires: nothing that is cached is older."""
    one = await cluster.join(empty_redis)

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert await empty_redis.keys() == [KEY.encode()]
    assert 71 * 3_600_000 < await empty_redis.pttl(KEY) <= 72 * 3_600_000


async def test_who_looks_and_finds_nothing_new_changes_nothing(cluster: Cluster, empty_redis: Redis) -> None:
    """The version says enough, so that the fields are not read."""
    one = await cluster.join(empty_redis)
    other = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.pass_time()
    before = await empty_redis.hgetall(KEY)
    await empty_redis.config_resetstat()

    await cluster.pass_time()

    assert await empty_redis.hgetall(KEY) == before
    assert (await empty_redis.info("commandstats"))["cmdstat_hgetall"]["calls"] == 1
    assert other.invalidated_before(NAME) == START
