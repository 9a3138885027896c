"""Both tiers together: reads, counts, and the end of writes."""

import asyncio
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from service.cache.memory import MemoryTier
from service.cache.results import CacheOperation, CacheResult
from service.cache.tiers import MOST_WRITES_WAITING, TieredCache
from service.ownership import CacheTier
from service.verification.interfaces import Remembered
from tests.cache.conftest import MakeTier
from tests.cache.samples import DAY, GAME, NAME, SECOND, Recorder, name_of, no, yes
from tests.clock import START, FakeClock
from tests.redis_server import RedisServer

GET, PUT = CacheOperation.GET, CacheOperation.PUT


async def test_a_question_that_gets_and_peeks_is_one_miss(memory: MemoryTier, recorder: Recorder) -> None:
    """The ratio of hits is about questions, not about calls."""
    store = TieredCache(memory=memory, redis=None, on_operation=recorder.operation)

    await store.get(NAME)
    store.peek(NAME)

    assert recorder.operations == [(CacheTier.MEMORY, GET, CacheResult.MISS)]


async def test_what_happens_in_memory_is_counted(memory: MemoryTier, recorder: Recorder) -> None:
    """A put that wins, one that loses, and a hit; not that the same question looked again."""
    store = TieredCache(memory=memory, redis=None, on_operation=recorder.operation)

    store.put(NAME, yes(), keep_until=START + DAY, game_id=GAME)
    store.put(NAME, yes(START - SECOND), keep_until=START + DAY, game_id=GAME)
    await store.get(NAME)
    store.peek(NAME)

    assert recorder.operations == [
        (CacheTier.MEMORY, PUT, CacheResult.STORED),
        (CacheTier.MEMORY, PUT, CacheResult.SUPERSEDED),
        (CacheTier.MEMORY, GET, CacheResult.HIT),
    ]


async def test_what_loses_in_memory_is_not_sent_to_redis(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> None:
    """An answer that is known to be superseded costs no round trip."""
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=recorder.operation)

    store.put(NAME, yes(), keep_until=START + DAY, game_id=GAME)
    store.put(NAME, yes(START - SECOND), keep_until=START + DAY, game_id=GAME)
    await store.close()

    assert recorder.results(PUT) == [CacheResult.STORED]


async def test_what_loses_in_redis_gives_way_here_too(
    clock: FakeClock, recorder: Recorder, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> None:
    """A replica that had not heard of a no when it put an older yes knows of it once Redis has refused the yes."""
    heard, late = (
        TieredCache(
            memory=MemoryTier(max_entries=100, max_bytes=1_000_000, clock=clock),
            redis=make_tier(redis_url),
            on_operation=recorder.operation,
        )
        for _ in range(2)
    )
    heard.put(NAME, no(), keep_until=START + DAY, game_id=GAME)
    await heard.written(NAME)

    late.put(NAME, yes(START - SECOND), keep_until=START + DAY, game_id=GAME)
    await late.written(NAME)

    assert late.peek(NAME) == Remembered(no(), CacheTier.MEMORY)


async def test_closing_lets_writes_arrive(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> None:
    """An observation from just before the close is in Redis for the next process."""
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=recorder.operation)
    for number in range(100):
        store.put(name_of(number), yes(), keep_until=START + DAY, game_id=GAME)

    await store.close()

    assert await empty_redis.dbsize() == 100


async def test_what_is_put_after_closing_is_dropped(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> None:
    """No write begins that the close would not wait for."""
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=recorder.operation)
    await store.close()

    store.put(NAME, yes(), keep_until=START + DAY, game_id=GAME)

    assert recorder.results(PUT) == [CacheResult.DROPPED]


async def test_writes_beyond_the_bound_are_dropped(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> None:
    """However many answers come at once, only so many wait for Redis, and each is counted."""
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=recorder.operation)
    for number in range(MOST_WRITES_WAITING + 10):
        store.put(name_of(number), yes(), keep_until=START + DAY, game_id=GAME)
    dropped = recorder.results(PUT)
    await store.close()

    assert dropped == [CacheResult.DROPPED] * 10
    assert len(recorder.results(PUT)) == MOST_WRITES_WAITING + 10


async def test_a_burst_of_writes_does_not_look_like_an_outage(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> None:
    """Hundreds of writes at once do not exhaust the connections that reads need."""
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=recorder.operation)
    await store.get(NAME)
    for number in range(200):
        store.put(name_of(number), yes(), keep_until=START + DAY, game_id=GAME)

    await asyncio.gather(*(store.get(name_of(1000 + number)) for number in range(100)))
    await store.close()

    assert recorder.states == [True]


async def test_closing_without_redis_has_nothing_to_do(memory: MemoryTier, recorder: Recorder) -> None:
    store = TieredCache(memory=memory, redis=None, on_operation=recorder.operation)
    store.put(NAME, yes(), keep_until=START + DAY, game_id=GAME)

    await store.close()

    assert recorder.results(PUT) == []


async def test_writes_that_come_too_late_are_dropped(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, redis_url: str, empty_redis: Redis
) -> None:
    """When the time of the close is over, writes under way are given up and counted."""
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=recorder.operation)
    for number in range(3):
        store.put(name_of(number), yes(), keep_until=START + DAY, game_id=GAME)

    await store.close(within=timedelta(0))

    assert recorder.results(PUT) == [CacheResult.DROPPED] * 3


@pytest.mark.usefixtures("empty_redis")
@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_writes_under_way_are_counted_once_when_they_come_too_late(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, redis_url: str, turns: int
) -> None:
    """A write that Redis has received is not counted as dropped too, at any moment of the close."""
    store = TieredCache(memory=memory, redis=make_tier(redis_url), on_operation=recorder.operation)
    for number in range(20):
        store.put(name_of(number), yes(), keep_until=START + DAY, game_id=GAME)
    for _ in range(turns):
        await asyncio.sleep(0)

    await store.close(within=timedelta(0))

    assert len(recorder.results(PUT)) == 20


async def test_closing_does_not_wait_for_ever(
    memory: MemoryTier, recorder: Recorder, make_tier: MakeTier, own_redis: RedisServer
) -> None:
    """Every write is counted once, as failed or as dropped, though Redis never answers."""
    store = TieredCache(memory=memory, redis=make_tier(own_redis.url), on_operation=recorder.operation)
    own_redis.pause()
    for number in range(100):
        store.put(name_of(number), yes(), keep_until=START + DAY, game_id=GAME)

    async with asyncio.timeout(5):
        await store.close()
    own_redis.resume()

    assert len(recorder.results(PUT)) == 100
    assert CacheResult.STORED not in recorder.results(PUT)
