"""A no that takes the place of a yes is said aloud: others may still remember the yes."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import pytest
from redis.asyncio import Redis

from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.cache.results import CacheOperation, CacheResult, OnOverruled
from service.cache.tiers import TieredCache
from service.ownership import Evidence, Fingerprint, GameId, Identity, Reason, Refusal
from tests.cache.samples import DAY, GAME, NAME, SECOND, Recorder, entry, identity, no, refusal, sealer, yes
from tests.clock import START, FakeClock

LATER: Final = START + SECOND
Overruled = list[tuple[GameId | None, Fingerprint, datetime]]


@pytest.fixture
def overruled() -> Overruled:
    """The calls of `on_overruled`."""
    return []


@pytest.fixture
def say(overruled: Overruled) -> OnOverruled:
    """A callback that records its calls."""
    return lambda game_id, name, since, _: overruled.append((game_id, name, since))


@pytest.fixture
async def tier(empty_redis: Redis, clock: FakeClock, recorder: Recorder, say: OnOverruled) -> AsyncIterator[RedisTier]:
    """A second tier that reports a yes that was overruled."""
    tier = RedisTier(
        client=empty_redis,
        sealer=sealer(),
        clock=clock,
        on_operation=recorder.operation,
        on_state=recorder.state,
        on_overruled=say,
    )
    yield tier
    await tier.close()


@pytest.fixture
def store(memory: MemoryTier, recorder: Recorder, say: OnOverruled) -> TieredCache:
    """A cache without Redis."""
    return TieredCache(memory=memory, redis=None, on_operation=recorder.operation, on_overruled=say)


SILENT: Final = [
    pytest.param(None, no(LATER), id="nothing, no"),
    pytest.param(None, yes(LATER), id="nothing, yes"),
    pytest.param(yes(), yes(LATER), id="yes, yes"),
    pytest.param(no(), yes(LATER), id="no, yes"),
    pytest.param(no(), no(LATER), id="no, no"),
    pytest.param(yes(LATER), no(), id="yes, an older no"),
]
ALOUD: Final = [
    pytest.param(yes(), no(LATER), id="yes, no"),
    pytest.param(yes(LATER), no(LATER), id="yes, no at the same instant"),
    pytest.param(identity(), refusal(LATER), id="identity, refusal"),
]
_SHORT: Final = timedelta(seconds=45)


@pytest.mark.parametrize(("before", "after"), SILENT)
async def test_redis_says_nothing_of_anything_else(
    tier: RedisTier, overruled: Overruled, before: Evidence | None, after: Evidence
) -> None:
    """No other change means that a replica may still have a wrong yes."""
    if before is not None:
        await tier.put(NAME, entry(before), game_id=GAME)

    await tier.put(NAME, entry(after), game_id=GAME)

    assert overruled == []


@pytest.mark.parametrize(("before", "after"), ALOUD)
async def test_redis_says_that_a_yes_is_overruled(
    tier: RedisTier,
    overruled: Overruled,
    recorder: Recorder,
    before: Evidence | Identity,
    after: Evidence | Refusal,
) -> None:
    """The report carries the instant of the no, and the write counts as stored like any other."""
    await tier.put(NAME, entry(before), game_id=GAME)

    await tier.put(NAME, entry(after, _SHORT), game_id=GAME)

    assert overruled == [(GAME, NAME, LATER)]
    assert recorder.results(CacheOperation.PUT) == [CacheResult.STORED] * 2


@pytest.mark.parametrize(("before", "after"), SILENT)
async def test_memory_says_nothing_of_anything_else(
    store: TieredCache, overruled: Overruled, before: Evidence | None, after: Evidence
) -> None:
    """No other change means that Redis may still have a wrong yes."""
    if before is not None:
        store.put(NAME, before, keep_until=START + DAY, game_id=GAME)

    store.put(NAME, after, keep_until=START + DAY, game_id=GAME)

    assert overruled == []


@pytest.mark.parametrize(("before", "after"), ALOUD)
async def test_memory_says_that_a_yes_is_overruled(
    store: TieredCache, overruled: Overruled, before: Evidence | Identity, after: Evidence | Refusal
) -> None:
    """Redis may be away, and have the yes when it is back."""
    store.put(NAME, before, keep_until=START + DAY, game_id=GAME)

    store.put(NAME, after, keep_until=START + DAY, game_id=GAME)

    assert overruled == [(GAME, NAME, LATER)]


async def test_a_yes_that_has_run_out_needs_no_word(store: TieredCache, overruled: Overruled, clock: FakeClock) -> None:
    """It ends by its own time in every tier, and on every replica."""
    store.put(NAME, yes(), keep_until=START + SECOND, game_id=GAME)
    clock.jump(DAY)

    store.put(NAME, no(clock.now()), keep_until=clock.now() + SECOND, game_id=GAME)

    assert overruled == []


@pytest.mark.parametrize("tiers", ["redis", "memory"])
async def test_a_jwt_that_has_expired_needs_no_word(
    tier: RedisTier, store: TieredCache, overruled: Overruled, tiers: str
) -> None:
    """The identity ends at the same instant wherever it is remembered, even if the store's clock is ahead of ours."""
    expired = Refusal(LATER, Reason.EXPIRED_JWT)

    if tiers == "redis":
        await tier.put(NAME, entry(identity()), game_id=None)
        await tier.put(NAME, entry(expired), game_id=None)
    else:
        store.put(NAME, identity(), keep_until=START + DAY, game_id=None)
        store.put(NAME, expired, keep_until=START + DAY, game_id=None)

    assert overruled == []


async def test_what_is_said_is_said_of_one_name(store: TieredCache, overruled: Overruled) -> None:
    """Others keep their yes."""
    store.put(Fingerprint(b"another name"), yes(), keep_until=START + DAY, game_id=GAME)

    store.put(NAME, no(LATER), keep_until=START + DAY, game_id=GAME)

    assert overruled == []
    assert store.peek(Fingerprint(b"another name")) is not None
