"""Invalidations while Redis fails: nothing that was said is lost."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from service.cache.invalidations import SharedInvalidations
from service.ownership import Fingerprint
from service.redis.connect import RedisClient
from tests.cache.invalidated import KEY, Cluster, Make, invalidations
from tests.cache.samples import DAY, NAME, SECOND
from tests.cache.wire import server_that_says
from tests.clock import START, FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.redis_server import RedisServer


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

    assert one.invalidated_before(NAME) == START


class Resigned(SharedInvalidations):
    """Broken: says it once."""

    async def _exchange(self) -> None:
        """Forget what was to be sent, whether it arrives or not."""
        await super()._exchange()
        self._unsent.clear()


@variants(SharedInvalidations, resigned=Resigned)
async def test_it_reaches_the_others_within_two_seconds_of_healing(
    variant: Variant[Make], cluster: Cluster, own_redis: RedisServer, client: RedisClient
) -> None:
    """The length of the outage makes no difference."""
    one = await cluster.join(client, kind=variant.make)
    other = await cluster.join(client)
    own_redis.kill()
    one.invalidate(NAME, before=START)
    await cluster.pass_time(timedelta(seconds=10))
    own_redis.start()

    await cluster.pass_time()

    with promised(variant):
        assert other.invalidated_before(NAME) == START


class Trusting(SharedInvalidations):
    """Broken: what Redis has taken is Redis's business."""

    def _adopt(self, fields: dict[Fingerprint, bytes]) -> None:
        """Look at what there is, and not at what there is no more."""
        self._in_redis = {}
        super()._adopt(fields)


@variants(SharedInvalidations, trusting=Trusting)
async def test_what_redis_has_lost_is_sent_again(variant: Variant[Make], cluster: Cluster, empty_redis: Redis) -> None:
    """A replica sends its invalidations again, so that one that starts later knows them too."""
    one = await cluster.join(empty_redis, kind=variant.make)
    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    await empty_redis.flushall()
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    with promised(variant):
        assert late.invalidated_before(NAME) == START


async def test_an_invalidation_that_redis_has_put_back_is_raised_again(cluster: Cluster, empty_redis: Redis) -> None:
    """A failover leads to a server that did not have it yet."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()
    older = await empty_redis.dump(KEY) or b""
    one.invalidate(NAME, before=START + SECOND)
    await cluster.rest()

    await empty_redis.restore(KEY, 0, older, replace=True)
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert late.invalidated_before(NAME) == START + SECOND


async def test_invalidations_from_before_every_entry_are_not_sent_again(
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
    """An invalidation from just before the close reaches the other replicas."""
    one = invalidations(empty_redis, clock)
    one.invalidate(NAME, before=START)

    await one.close()

    assert (await cluster.join(empty_redis)).invalidated_before(NAME) == START


async def test_a_gateway_can_close_while_redis_is_away(
    own_redis: RedisServer, client: RedisClient, clock: FakeClock
) -> None:
    """The close raises nothing and does not wait for Redis."""
    one = invalidations(client, clock)
    own_redis.kill()
    one.invalidate(NAME, before=START)

    async with asyncio.timeout(5):
        await one.close()

    assert one.invalidated_before(NAME) == START


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n",
        b":1\r\n",
        b"*0\r\n",
        b"*2\r\n$1\r\nx\r\n:1\r\n",
        b"-ERR no\r\n",
        b"*2\r\n:1\r\n*0\r\n",
        b"*2\r\n$1\r\nx\r\n*1\r\n$1\r\na\r\n",
    ],
)
async def test_what_answers_like_no_gateway_is_not_believed(
    reply: bytes, connected: Callable[[str], RedisClient], clock: FakeClock
) -> None:
    """The replica asks again later, and loses no invalidation."""
    async with server_that_says(reply) as url:
        one = invalidations(connected(url), clock)
        one.invalidate(NAME, before=START)

        await one.close()

    assert (one.invalidated_before(NAME), one._unsent) == (START, {NAME})
