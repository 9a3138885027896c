"""A no that takes the place of a yes is said aloud: others may still remember the yes."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Final

import pytest
from redis.asyncio import Redis

from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.cache.results import CacheOperation, CacheResult
from service.cache.tiers import TieredCache
from service.ownership import Evidence, Fingerprint, Identity, Refusal
from tests.cache.samples import DAY, NAME, SECOND, Recorder, entry, identity, no, refusal, sealer, yes
from tests.clock import START, FakeClock

LATER: Final = START + SECOND
Overruled = list[tuple[Fingerprint, datetime]]


@pytest.fixture
def overruled() -> Overruled:
    """The calls of `on_overruled`."""
    return []


@pytest.fixture
def say(overruled: Overruled) -> Callable[[Fingerprint, datetime], None]:
    """A callback that records its calls."""
    return lambda name, since: overruled.append((name, since))


@pytest.fixture
async def tier(
    empty_redis: Redis, clock: FakeClock, recorder: Recorder, say: Callable[[Fingerprint, datetime], None]
) -> AsyncIterator[RedisTier]:
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
def store(memory: MemoryTier, recorder: Recorder, say: Callable[[Fingerprint, datetime], None]) -> TieredCache:
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
        await tier.put(NAME, entry(before))

    await tier.put(NAME, entry(after))

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
    await tier.put(NAME, entry(before))

    await tier.put(NAME, entry(after, _SHORT))

    assert overruled == [(NAME, LATER)]
    assert recorder.results(CacheOperation.PUT) == [CacheResult.STORED] * 2


@pytest.mark.parametrize(("before", "after"), SILENT)
async def test_memory_says_nothing_of_anything_else(
    store: TieredCache, overruled: Overruled, before: Evidence | None, after: Evidence
) -> None:
    """No other change means that Redis may still have a wrong yes."""
    if before is not None:
        store.put(NAME, before, keep_until=START + DAY)

    store.put(NAME, after, keep_until=START + DAY)

    assert overruled == []


@pytest.mark.parametrize(("before", "after"), ALOUD)
async def test_memory_says_that_a_yes_is_overruled(
    store: TieredCache, overruled: Overruled, before: Evidence | Identity, after: Evidence | Refusal
) -> None:
    """Redis may be away, and have the yes when it is back."""
    store.put(NAME, before, keep_until=START + DAY)

    store.put(NAME, after, keep_until=START + DAY)

    assert overruled == [(NAME, LATER)]


async def test_a_yes_that_has_run_out_is_overruled_all_the_same(
    store: TieredCache, overruled: Overruled, clock: FakeClock
) -> None:
    """The yes may have a longer life in another tier."""
    store.put(NAME, yes(), keep_until=START + SECOND)
    clock.jump(DAY)

    store.put(NAME, no(clock.now()), keep_until=clock.now() + SECOND)

    assert overruled == [(NAME, clock.now())]


async def test_what_is_said_is_said_of_one_name(store: TieredCache, overruled: Overruled) -> None:
    """Others keep their yes."""
    store.put(Fingerprint(b"another name"), yes(), keep_until=START + DAY)

    store.put(NAME, no(LATER), keep_until=START + DAY)

    assert overruled == []
    assert store.peek(Fingerprint(b"another name")) is not None
