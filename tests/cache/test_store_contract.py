"""The promises of every `ObservationCache`, checked for each that there is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from service.cache.memory import MemoryTier
from service.cache.tiers import TieredCache
from service.ownership import CacheTier, Evidence, Observation
from service.verification.interfaces import ObservationCache
from tests.cache.conftest import MakeTier
from tests.cache.samples import DAY, GAME, NAME, OTHER_NAME, SECOND, Recorder, entry, identity, no, refusal, yes
from tests.clock import START, FakeClock
from tests.redis_server import free_port


@pytest.fixture
def memory_only(memory: MemoryTier) -> ObservationCache:
    """A store without Redis."""
    return TieredCache(memory=memory, redis=None, on_operation=Recorder().operation)


@pytest.fixture
def with_redis(memory: MemoryTier, make_tier: MakeTier, redis_url: str, empty_redis: Redis) -> ObservationCache:
    """A store with a Redis in which there is nothing."""
    return TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=Recorder().operation)


@pytest.fixture
def with_dead_redis(memory: MemoryTier, make_tier: MakeTier) -> ObservationCache:
    """A store whose Redis is not there."""
    redis = make_tier(f"redis://127.0.0.1:{free_port()}")
    return TieredCache(memory=memory, redis=redis, on_operation=Recorder().operation)


@pytest.fixture(params=["memory_only", "with_redis", "with_dead_redis"])
def store(request: pytest.FixtureRequest) -> ObservationCache:
    """Each store in turn."""
    store: ObservationCache = request.getfixturevalue(request.param)
    return store


@pytest.fixture(autouse=True)
async def _closed(store: ObservationCache) -> AsyncIterator[None]:
    yield
    assert isinstance(store, TieredCache)
    await store.close()


def put(store: ObservationCache, observation: Observation, lifetime: timedelta = DAY) -> Observation:
    """Remember an observation for a day."""
    return store.put(NAME, observation, keep_until=observation.observed_at + lifetime, game_id=GAME)


async def test_nothing_is_remembered_at_first(store: ObservationCache) -> None:
    assert (store.peek(NAME), await store.get(NAME)) == (None, None)


@pytest.mark.parametrize("observation", [yes(), no(), refusal(), identity()])
async def test_what_was_put_is_remembered_at_once(store: ObservationCache, observation: Observation) -> None:
    """Every kind of observation, without waiting, from this process."""
    put(store, observation)

    remembered = store.peek(NAME)

    assert remembered is not None
    assert (remembered.observation, remembered.tier) == (observation, CacheTier.MEMORY)


async def test_get_returns_what_peek_does(store: ObservationCache) -> None:
    """An observation that this process remembers needs no other tier."""
    put(store, yes())

    assert await store.get(NAME) == store.peek(NAME)


async def test_names_do_not_touch_each_other(store: ObservationCache) -> None:
    """Only the name that was used leads to the observation."""
    put(store, yes())

    assert await store.get(OTHER_NAME) is None


async def test_put_returns_the_newest(store: ObservationCache) -> None:
    """A caller that comes late with an older answer gets the newer one."""
    newest = no(START)

    assert [put(store, yes(START - SECOND)), put(store, newest), put(store, yes(START - SECOND))] == [
        yes(START - SECOND),
        newest,
        newest,
    ]


@pytest.mark.parametrize("order", [(yes(), no()), (no(), yes())])
async def test_at_the_same_instant_the_no_wins(store: ObservationCache, order: tuple[Evidence, Evidence]) -> None:
    """The order in which the two are put makes no difference."""
    assert [put(store, observation) for observation in order][-1] == no()


async def test_nothing_is_remembered_past_its_time(store: ObservationCache, clock: FakeClock) -> None:
    put(store, yes(), DAY)
    clock.jump(DAY)

    assert (store.peek(NAME), await store.get(NAME)) == (None, None)


async def test_nothing_is_remembered_longer_than_three_days(store: ObservationCache, clock: FakeClock) -> None:
    """The observation was to be cached for longer."""
    put(store, yes(), 30 * DAY)
    clock.jump(3 * DAY)

    assert await store.get(NAME) is None


async def test_an_older_yes_does_not_come_back_when_a_no_has_run_out(store: ObservationCache, clock: FakeClock) -> None:
    """A no ends what was known before it, even once it is itself too old to be used."""
    put(store, yes(START - SECOND), DAY)
    put(store, no(), timedelta(seconds=45))
    clock.jump(timedelta(seconds=46))

    assert await store.get(NAME) is None


async def test_of_a_hundred_at_once_the_newest_wins(store: ObservationCache) -> None:
    """The order of the writes makes no difference."""
    observations = [yes(START + (number * 37 % 100) * timedelta(microseconds=1)) for number in range(100)]

    async def remember(observation: Evidence) -> None:
        put(store, observation)

    await asyncio.gather(*(remember(observation) for observation in observations))

    remembered = store.peek(NAME)
    assert remembered is not None
    assert remembered.observation == max(observations, key=lambda observation: observation.observed_at)


def make_replica(clock: FakeClock, make_tier: MakeTier, url: str) -> TieredCache:
    """Return the store of one of several gateways that share a Redis."""
    memory = MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock)
    return TieredCache(memory=memory, redis=make_tier(url), on_operation=Recorder().operation)


@pytest.fixture
def replicas(
    clock: FakeClock, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> tuple[TieredCache, TieredCache]:
    """Two gateways that share a Redis."""
    one, other = (make_replica(clock, make_tier, redis_url) for _ in range(2))
    return one, other


async def test_what_one_replica_observed_the_other_knows(replicas: tuple[TieredCache, TieredCache]) -> None:
    """The observation comes from Redis the first time and from memory from then on."""
    one, other = replicas
    put(one, yes())
    await one.close()

    first, second = await other.get(NAME), await other.get(NAME)

    assert [(remembered.observation, remembered.tier) for remembered in (first, second) if remembered] == [
        (yes(), CacheTier.REDIS),
        (yes(), CacheTier.MEMORY),
    ]


async def test_what_came_from_redis_keeps_its_lifetime(
    replicas: tuple[TieredCache, TieredCache], clock: FakeClock
) -> None:
    """A replica does not use it longer than the one that observed it."""
    one, other = replicas
    put(one, yes(), DAY)
    await one.close()
    await other.get(NAME)
    clock.jump(DAY)

    assert other.peek(NAME) is None


async def test_redis_does_not_bring_back_what_this_replica_knows_to_be_over(
    replicas: tuple[TieredCache, TieredCache], clock: FakeClock
) -> None:
    """A no that never reached Redis still ends the yes that Redis has."""
    one, other = replicas
    put(one, yes(START - SECOND), DAY)
    await one.close()
    await other.close()
    put(other, no(), timedelta(seconds=45))
    clock.jump(timedelta(seconds=46))

    assert await other.get(NAME) is None


async def test_what_is_put_while_redis_is_asked_wins(
    replicas: tuple[TieredCache, TieredCache], memory: MemoryTier, make_tier: MakeTier, redis_url: str
) -> None:
    """A newer answer that arrives during the round trip is what get returns."""
    put(replicas[0], yes(START - SECOND))
    await replicas[0].close()
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=Recorder().operation)

    asking = asyncio.ensure_future(store.get(NAME))
    await asyncio.sleep(0)
    memory.put(NAME, entry(no()))

    remembered = await asking
    assert remembered is not None
    assert (remembered.observation, remembered.tier) == (no(), CacheTier.MEMORY)


async def test_replicas_agree_on_the_newest(
    replicas: tuple[TieredCache, TieredCache], clock: FakeClock, make_tier: MakeTier, redis_url: str
) -> None:
    """A hundred writes from two gateways in any order: a third one finds the newest."""
    observations = [yes(START + (number * 37 % 100) * timedelta(microseconds=1)) for number in range(100)]
    for number, observation in enumerate(observations):
        put(replicas[number % 2], observation)
    await asyncio.gather(*(replica.close() for replica in replicas))

    remembered = await make_replica(clock, make_tier, redis_url).get(NAME)

    assert remembered is not None
    assert remembered.observation == yes(START + timedelta(microseconds=99))
