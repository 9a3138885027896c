"""Passes in front of several replicas: what one of them has heard makes passes void at the others."""

from datetime import timedelta
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.clock import FakeClock, WrongClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import Asker, store_calls
from tests.passes.conftest import OpenReal
from tests.passes.test_asking import ask_for, show
from tests.passes.test_void import EMAIL, KEY, forgetting, is_void
from tests.reliability.test_bounds_and_clocks import RedisTime, own, right

STRANGER: Final = {"method": "user", "user_id": seed.STRANGER_ID}


async def rest(redis: Redis, clock: FakeClock) -> None:
    """Wait for all replies of Redis: it answers in the order of the commands."""
    for _ in range(3):
        await clock.advance(timedelta())
        await redis.ping()


async def pass_seconds(seconds: int, redis: Redis, clock: FakeClock) -> None:
    """Let time pass, with the traffic through Redis arriving at every step."""
    for _ in range(seconds * 10):
        await rest(redis, clock)
        await clock.advance(timedelta(milliseconds=100))
    await rest(redis, clock)


class Refunded:
    """A player who has bought a game and shown a pass ever since, and replicas of which one has heard of a refund.

    `second` has not, and no replica remembers that the game was bought: so all that tells of the refund is in Redis.
    """

    def __init__(self, *, second: Asker, value: str, refused: dict[str, Any]) -> None:
        self.second = second
        self.value = value
        self.refused = refused


@pytest.fixture(params=[False, True], ids=["unknown", "older yes remembered"])
async def refunded(
    request: pytest.FixtureRequest, empty_redis: Redis, open_real: OpenReal, store: Sandbox, clock: FakeClock
) -> Refunded:
    """With the parameter, `second` remembers a yes from before the pass, which Redis has lost."""
    elsewhere = await open_real()
    first, second = await open_real(redis=empty_redis), await open_real(redis=empty_redis)
    store.world.buy([3], user_id=seed.STRANGER_ID)
    if request.param:
        await second.user(seed.STRANGER_ID)
        await rest(empty_redis, clock)
        await empty_redis.flushall()
        clock.jump(timedelta(seconds=10))
    issued = await ask_for(elsewhere, **STRANGER)
    store.world.refund(max(store.world.purchases))
    clock.jump(timedelta(seconds=10))
    refused = (await first.user(seed.STRANGER_ID)).json()
    assert refused["outcome"] == "not_owned"
    await rest(empty_redis, clock)
    store.journal.clear()
    return Refunded(second=second, value=issued["pass"]["value"], refused=refused)


async def test_a_no_that_only_redis_knows_is_not_hidden(refunded: Refunded, store: Sandbox) -> None:
    """A pass from before a refund, of which this replica has never heard: no, and without the store."""
    answers = [await show(refunded.second, refunded.value) for _ in range(2)]

    assert [answer["outcome"] for answer in answers] == ["not_owned", "not_owned"]
    assert [answer["observed_at"] for answer in answers] == [refunded.refused["observed_at"]] * 2
    assert store_calls(store) == 0


async def test_newer_proof_than_is_known_saves_the_store_a_question(
    empty_redis: Redis, open_real: OpenReal, store: Sandbox, clock: FakeClock
) -> None:
    """The proof in a pass is taken if that of memory and Redis is older and would have to be refreshed."""
    other, replica = await open_real(), await open_real(redis=empty_redis)
    await replica.user(seed.OWNER_ID)
    await rest(empty_redis, clock)
    clock.jump(timedelta(hours=2))
    issued = await ask_for(other, method="user", user_id=seed.OWNER_ID)
    store.journal.clear()

    answer = await show(replica, issued["pass"]["value"])

    assert (answer["outcome"], answer["observed_at"]) == ("owned", issued["observed_at"])
    assert store_calls(store) == 0


# Clocks that differ


@pytest.mark.parametrize("order", [STRANGER, KEY, EMAIL], ids=["user", "key", "address"])
@variants(right, own=own)
async def test_what_one_invalidates_is_void_though_its_clock_differs(
    variant: Variant[RedisTime],
    empty_redis: Redis,
    open_real: OpenReal,
    store: Sandbox,
    order: dict[str, Any],
) -> None:
    """A pass of a replica that is a minute ahead, invalidated at another one: void at both within two seconds."""
    other = await open_real(redis=empty_redis)
    clock = other.clock
    ahead = WrongClock(clock, timedelta(minutes=1))
    issuing = await open_real(redis=empty_redis, real_clock=ahead, redis_time=variant.make(ahead, clock))
    store.world.buy([3], user_id=seed.STRANGER_ID)
    issued = await ask_for(issuing, **order)
    store.world.refund(max(store.world.purchases))
    await pass_seconds(3, empty_redis, clock)

    await forgetting(**{name: value for name, value in order.items() if name != "method"})(other)
    await pass_seconds(2, empty_redis, clock)

    value = issued["pass"]["value"]
    with promised(variant):
        assert [await is_void(gateway, value) for gateway in (issuing, other)] == [True, True]
        allowed = []
        for gateway in (issuing, other):
            allowed.append((await show(gateway, value))["allowed"])
            await rest(empty_redis, clock)
        assert allowed == [False, False]
