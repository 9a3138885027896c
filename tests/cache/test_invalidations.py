"""Floors under what was observed: how they rise, and how they reach every replica through a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import pytest
from redis.asyncio import Redis

from service.cache.invalidations import EVERYTHING, LARGEST_SKEW, LOOK_EVERY, MOST_AT_ONCE, MOST_FLOORS, Invalidations
from service.cache.keys import FloorsKey, derive_keys, floors_key
from service.cache.sealing import stamp
from service.interfaces import Clock
from service.ownership import Fingerprint
from service.redis.connect import RedisClient
from service.secret import SealingSecret
from tests.cache.samples import DAY, KEYS, NAME, OTHER_NAME, SECOND, name_of
from tests.cache.wire import server_that_says
from tests.clock import START, FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import until
from tests.redis_server import RedisServer

KEY: Final = floors_key()
INSTANT: Final = timedelta(microseconds=1)
PROMISED: Final = timedelta(seconds=2)

Make: TypeAlias = Callable[..., Invalidations]


def floors(
    client: RedisClient | None, clock: Clock, key: FloorsKey = KEYS.floors, kind: Make = Invalidations
) -> Invalidations:
    """Return the floors of one replica."""
    return kind(client=client, key=KEY, floors_key=key, clock=clock)


@pytest.fixture
def alone(clock: FakeClock) -> Invalidations:
    """The floors of a gateway without Redis."""
    return floors(None, clock)


class Cluster:
    """Replicas that run, and the time that passes for all of them."""

    def __init__(self, stack: AsyncExitStack, clock: FakeClock) -> None:
        self._stack = stack
        self._clock = clock
        self._running = 0

    async def join(
        self, client: RedisClient, *, kind: Make = Invalidations, key: FloorsKey = KEYS.floors
    ) -> Invalidations:
        """Start a replica."""
        replica = floors(client, self._clock, key, kind)
        task = asyncio.create_task(replica.run())
        self._stack.push_async_callback(_stop, task)
        self._running += 1
        await self.rest()
        return replica

    async def pass_time(self, duration: timedelta = PROMISED) -> None:
        """Let time pass, and at every step what is on its way to and from Redis arrive."""
        for _ in range(duration // LOOK_EVERY):
            await self.rest()
            await self._clock.advance(LOOK_EVERY)
        await self.rest()

    async def rest(self) -> None:
        """Return when all replicas pause."""
        await self._clock.advance(timedelta())
        await until(lambda: self._clock.sleepers == self._running)


async def _stop(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.fixture
async def cluster(clock: FakeClock) -> AsyncIterator[Cluster]:
    """Replicas of one cluster."""
    async with AsyncExitStack() as stack:
        yield Cluster(stack, clock)


# One replica


def test_at_first_there_is_no_floor(alone: Invalidations) -> None:
    """Everything that was ever observed may be used."""
    assert alone.floor(NAME) is None


def test_a_name_has_the_floor_that_it_was_given(alone: Invalidations) -> None:
    """And no other name has."""
    alone.invalidate(NAME, before=START)

    assert (alone.floor(NAME), alone.floor(OTHER_NAME), alone.floor()) == (START, None, None)


def test_of_several_names_the_highest_floor_counts(alone: Invalidations) -> None:
    """A player's and the whole game's."""
    alone.invalidate(NAME, before=START + SECOND)
    alone.invalidate(OTHER_NAME, before=START)

    assert alone.floor(NAME, OTHER_NAME) == alone.floor(OTHER_NAME, NAME) == START + SECOND


def test_a_floor_is_never_lowered(alone: Invalidations) -> None:
    """What arrives late is from before."""
    alone.invalidate(NAME, before=START)

    alone.invalidate(NAME, before=START - SECOND)

    assert alone.floor(NAME) == START


def many(count: int) -> Iterator[tuple[Fingerprint, datetime]]:
    """Yield names and floors, in an order that is neither theirs nor random."""
    for number in range(count):
        place = number * 7919 % count
        yield name_of(place), START + place * INSTANT


@pytest.mark.parametrize("rounds", [1, 5])
def test_too_many_floors_become_higher_never_lower(alone: Invalidations, rounds: int) -> None:
    """Each name is asked about again at least as much as before, and memory stays bounded."""
    everyone = list(many(rounds * MOST_FLOORS + 1))
    for name, before in everyone:
        alone.invalidate(name, before=before)

    assert all((alone.floor(name) or START - DAY) >= before for name, before in everyone)
    assert len(alone._floors) <= MOST_FLOORS


def test_of_too_many_floors_the_newer_half_stay_as_they_are(alone: Invalidations) -> None:
    """Whoever was not named loses only what is older than the older half."""
    for name, before in many(MOST_FLOORS + 1):
        alone.invalidate(name, before=before)

    middle = START + MOST_FLOORS // 2 * INSTANT
    assert START < (alone.floor(Fingerprint(b"nobody")) or START) <= middle
    assert alone.floor(name_of(MOST_FLOORS)) == START + MOST_FLOORS * INSTANT


def test_what_lies_below_the_floor_of_everything_is_not_kept(alone: Invalidations) -> None:
    """It would say nothing."""
    alone.invalidate(EVERYTHING, before=START)

    alone.invalidate(NAME, before=START - SECOND)

    assert (alone.floor(NAME), len(alone._floors)) == (START, 1)


async def test_without_redis_there_is_nobody_to_tell(alone: Invalidations) -> None:
    """Closing takes no time, and nothing waits to be sent."""
    alone.invalidate(NAME, before=START)

    await alone.close()

    assert not alone._unsent


# Several replicas


class Mute(Invalidations):
    """Broken: tells nobody."""

    def _send(self, name: Fingerprint) -> None:
        """Keep it to itself."""


@variants(Invalidations, mute=Mute)
async def test_all_replicas_know_within_two_seconds(
    variant: Variant[Make], cluster: Cluster, empty_redis: Redis
) -> None:
    """Whichever of them was told."""
    one = await cluster.join(empty_redis, kind=variant.make)
    others = [await cluster.join(empty_redis) for _ in range(2)]

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    with promised(variant):
        assert [replica.floor(NAME) for replica in others] == [START, START]


async def test_redis_is_told_at_once(cluster: Cluster, empty_redis: Redis) -> None:
    """Not only when the replica looks the next time."""
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

    assert late.floor(NAME) == START


class Obedient(Invalidations):
    """Broken: the last word counts, not the highest floor."""

    def _raise(self, name: Fingerprint, floor: datetime) -> bool:
        """Set it."""
        self._floors[name] = floor
        return True


@variants(Invalidations, obedient=Obedient)
async def test_of_two_replicas_that_were_told_the_later_instant_counts(
    variant: Variant[Make], cluster: Cluster, empty_redis: Redis
) -> None:
    """In whichever order they tell each other."""
    one, other = [await cluster.join(empty_redis, kind=variant.make) for _ in range(2)]
    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()
    other.invalidate(NAME, before=START)
    await cluster.pass_time()

    with promised(variant):
        assert [replica.floor(NAME) for replica in (one, other)] == [START + SECOND] * 2


async def test_a_floor_may_rise_while_it_is_being_told(cluster: Cluster, empty_redis: Redis) -> None:
    """Then it is told again."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    for number in range(50):
        one.invalidate(NAME, before=START + number * INSTANT)
        await asyncio.sleep(0)
    await cluster.pass_time()

    assert other.floor(NAME) == START + 49 * INSTANT


async def test_many_floors_travel_in_portions(cluster: Cluster, empty_redis: Redis) -> None:
    """No step keeps Redis from the others for long; all arrive without waiting for the next look."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    everyone = list(many(3 * MOST_AT_ONCE))
    for name, before in everyone:
        one.invalidate(name, before=before)
    await until(lambda: not one._unsent)
    await cluster.pass_time(LOOK_EVERY)

    assert all(other.floor(name) == before for name, before in everyone)


async def test_too_many_floors_are_too_many_for_redis_too(cluster: Cluster, empty_redis: Redis) -> None:
    """What the floor of everything has overtaken goes, there and on the other replicas."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    everyone = list(many(MOST_FLOORS + 1))
    for name, before in everyone[:-1]:
        one.invalidate(name, before=before)
    await until(lambda: not one._unsent)
    await cluster.pass_time(LOOK_EVERY)
    one.invalidate(everyone[-1][0], before=everyone[-1][1])
    await cluster.pass_time()

    assert await empty_redis.hlen(KEY) <= MOST_FLOORS // 2 + 3
    assert len(other._floors) == len(one._floors)
    assert all((other.floor(name) or START - DAY) >= before for name, before in everyone)


async def test_all_of_it_is_one_key_that_ends(cluster: Cluster, empty_redis: Redis) -> None:
    """One key, as Redis Cluster wants it; what is older than anything kept needs no floor."""
    one = await cluster.join(empty_redis)

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert await empty_redis.keys() == [KEY.encode()]
    assert 71 * 3_600_000 < await empty_redis.pttl(KEY) <= 72 * 3_600_000


async def test_who_looks_and_finds_nothing_new_changes_nothing(cluster: Cluster, empty_redis: Redis) -> None:
    """And reads nothing: the version says enough."""
    one = await cluster.join(empty_redis)
    other = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.pass_time()
    before = await empty_redis.hgetall(KEY)
    await empty_redis.config_resetstat()

    await cluster.pass_time()

    assert await empty_redis.hgetall(KEY) == before
    assert (await empty_redis.info("commandstats"))["cmdstat_hgetall"]["calls"] == 1
    assert other.floor(NAME) == START


# Redis that fails


@pytest.fixture
def client(own_redis: RedisServer, connected: Callable[[str], RedisClient]) -> RedisClient:
    """A client of a Redis that may be broken."""
    return connected(own_redis.url)


async def test_while_redis_is_away_it_holds_where_it_was_said(
    cluster: Cluster, own_redis: RedisServer, client: RedisClient
) -> None:
    """At once."""
    one = await cluster.join(client)
    own_redis.kill()

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert one.floor(NAME) == START


class Resigned(Invalidations):
    """Broken: says it once."""

    async def _exchange(self) -> None:
        """Forget what was to be sent, whether it arrives or not."""
        await super()._exchange()
        self._unsent.clear()


@variants(Invalidations, resigned=Resigned)
async def test_it_reaches_the_others_within_two_seconds_of_healing(
    variant: Variant[Make], cluster: Cluster, own_redis: RedisServer, client: RedisClient
) -> None:
    """However long Redis was away."""
    one = await cluster.join(client, kind=variant.make)
    other = await cluster.join(client)
    own_redis.kill()
    one.invalidate(NAME, before=START)
    await cluster.pass_time(timedelta(seconds=10))
    own_redis.start()

    await cluster.pass_time()

    with promised(variant):
        assert other.floor(NAME) == START


class Trusting(Invalidations):
    """Broken: what Redis has taken is Redis's business."""

    def _take_over(self, fields: dict[Fingerprint, bytes]) -> None:
        """Look at what there is, and not at what there is no more."""
        self._in_redis = {}
        super()._take_over(fields)


@variants(Invalidations, trusting=Trusting)
async def test_what_redis_has_lost_is_told_again(variant: Variant[Make], cluster: Cluster, empty_redis: Redis) -> None:
    """By whoever knows it: a replica that starts later must know it too."""
    one = await cluster.join(empty_redis, kind=variant.make)
    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    await empty_redis.flushall()
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    with promised(variant):
        assert late.floor(NAME) == START


async def test_a_floor_that_redis_has_put_back_is_raised_again(cluster: Cluster, empty_redis: Redis) -> None:
    """As after a failover to a server that had not heard of it."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()
    older = await empty_redis.dump(KEY) or b""
    one.invalidate(NAME, before=START + SECOND)
    await cluster.rest()

    await empty_redis.restore(KEY, 0, older, replace=True)
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert late.floor(NAME) == START + SECOND


async def test_floors_below_everything_that_is_kept_are_not_told_again(
    cluster: Cluster, empty_redis: Redis, clock: FakeClock
) -> None:
    """After three days nothing is left that they could exclude."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()
    clock.jump(3 * DAY)

    await empty_redis.flushall()
    await cluster.pass_time()

    assert await empty_redis.exists(KEY) == 0


async def test_a_gateway_that_closes_has_its_last_word(empty_redis: Redis, clock: FakeClock, cluster: Cluster) -> None:
    """What was said a moment before is not lost."""
    one = floors(empty_redis, clock)
    one.invalidate(NAME, before=START)

    await one.close()

    assert (await cluster.join(empty_redis)).floor(NAME) == START


async def test_a_gateway_can_close_while_redis_is_away(
    own_redis: RedisServer, client: RedisClient, clock: FakeClock
) -> None:
    """Nothing is raised, and nobody waits for long."""
    one = floors(client, clock)
    own_redis.kill()
    one.invalidate(NAME, before=START)

    async with asyncio.timeout(5):
        await one.close()

    assert one.floor(NAME) == START


@pytest.mark.parametrize(
    "reply", [b"+OK\r\n", b":1\r\n", b"*0\r\n", b"*2\r\n$1\r\nx\r\n:1\r\n", b"-ERR no\r\n", b"*2\r\n:1\r\n*0\r\n"]
)
async def test_what_answers_like_no_gateway_is_not_believed(
    reply: bytes, connected: Callable[[str], RedisClient], clock: FakeClock
) -> None:
    """It is asked again, and nothing is lost."""
    async with server_that_says(reply) as url:
        one = floors(connected(url), clock)
        one.invalidate(NAME, before=START)

        await one.close()

    assert (one.floor(NAME), one._unsent) == (START, {NAME})


# Redis that lies


class Gullible(Invalidations):
    """Broken: believes whatever stands there."""

    def _unseal(self, name: Fingerprint, sealed: bytes) -> datetime | None:
        """Read the digits."""
        digits = sealed[:16]
        return START if digits == FORGED[:16] else super()._unseal(name, sealed)


FORGED: Final = b"%016d" % stamp(START) + bytes(16)


async def plant(redis: Redis, fields: dict[bytes, Any]) -> None:
    """Put fields there as somebody who may write to Redis, and make it look like news."""
    for name, text in {**fields, b"version": b"news"}.items():
        await redis.execute_command("HSET", KEY, name, text)  # type: ignore[no-untyped-call]


@variants(Invalidations, gullible=Gullible)
async def test_nobody_can_make_us_forget_by_writing_to_redis(
    variant: Variant[Make], cluster: Cluster, empty_redis: Redis
) -> None:
    """Redis is trusted with nothing: proven owners keep their grace."""
    await plant(empty_redis, {bytes(NAME): FORGED, bytes(EVERYTHING): FORGED})

    replica = await cluster.join(empty_redis, kind=variant.make)

    with promised(variant):
        assert replica.floor(NAME) is None


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"-000000000000001", b"\xff" * 32, b"9" * 16, b"9" * 500, b"%016d" % stamp(START)]
)
async def test_garbage_is_ignored(cluster: Cluster, empty_redis: Redis, text: bytes) -> None:
    """In the place of a floor, and beside others that are good."""
    one = await cluster.join(empty_redis)
    one.invalidate(OTHER_NAME, before=START)
    await cluster.rest()

    await plant(empty_redis, {bytes(NAME): text, b"": text, b"\xff\x00 nonsense": text})
    late = await cluster.join(empty_redis)

    assert (late.floor(NAME), late.floor(OTHER_NAME)) == (None, START)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"\xff" * 32, b"9" * 16, FORGED])
async def test_garbage_does_not_keep_its_place(cluster: Cluster, empty_redis: Redis, text: bytes) -> None:
    """Neither by being no number, nor by being a larger one than ever comes."""
    await plant(empty_redis, {bytes(NAME): text})
    one = await cluster.join(empty_redis)

    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()

    assert (await cluster.join(empty_redis)).floor(NAME) == START + SECOND


@pytest.mark.parametrize("command", [("SET", KEY, "x"), ("RPUSH", KEY, "x"), ("SADD", KEY, "x")])
async def test_a_foreign_value_makes_room(cluster: Cluster, empty_redis: Redis, command: tuple[str, ...]) -> None:
    """Whatever stands under our key."""
    await empty_redis.execute_command(*command)  # type: ignore[no-untyped-call]
    one, other = [await cluster.join(empty_redis) for _ in range(2)]

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert other.floor(NAME) == START


async def test_a_floor_cannot_be_copied_to_another_name(cluster: Cluster, empty_redis: Redis) -> None:
    """Its seal is for one name."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()
    sealed = (await empty_redis.hgetall(KEY))[bytes(NAME)]

    await plant(empty_redis, {bytes(EVERYTHING): sealed, bytes(OTHER_NAME): sealed})
    late = await cluster.join(empty_redis)

    assert (late.floor(NAME), late.floor(OTHER_NAME)) == (START, None)


async def test_gateways_with_another_secret_are_not_believed(cluster: Cluster, empty_redis: Redis) -> None:
    """They know other names anyway."""
    stranger = await cluster.join(empty_redis, key=derive_keys(SealingSecret("another secret, long enough")).floors)

    stranger.invalidate(NAME, before=START)
    await cluster.rest()

    assert (await cluster.join(empty_redis)).floor(NAME) is None


@pytest.mark.parametrize(
    ("ahead", "taken"),
    [(timedelta(minutes=30), timedelta(minutes=30)), (timedelta(days=365), LARGEST_SKEW)],
)
async def test_a_clock_that_is_far_ahead_costs_an_hour_at_most(
    cluster: Cluster, empty_redis: Redis, clock: FakeClock, ahead: timedelta, taken: timedelta
) -> None:
    """Until ours has caught up, the store is asked again for that name: not for a year."""
    replica = await cluster.join(empty_redis)
    wrong = floors(empty_redis, FakeClock(START + ahead))
    wrong.invalidate(NAME, before=START + ahead)
    await wrong.close()

    await cluster.pass_time(LOOK_EVERY)

    assert START + taken <= (replica.floor(NAME) or START) <= clock.now() + taken


async def test_floors_show_neither_names_nor_keys(cluster: Cluster, empty_redis: Redis) -> None:
    """A name is a keyed hash already; the key of the seal stays here."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()

    assert bytes.fromhex(KEYS.floors.reveal()) not in (await empty_redis.dump(KEY) or b"")
