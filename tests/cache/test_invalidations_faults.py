"""Invalidations while Redis fails: nothing that was said is lost."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from service.cache.replicated_table import ReplicatedTable
from service.cache.table_exchange import TableExchange
from service.redis.connect import RedisClient
from tests.cache.invalidated import INSTANT, KEY, OURS, Cluster, Kinds, Replica
from tests.cache.samples import DAY, NAME, OTHER_NAME, SECOND, name_of
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


class Resigned(TableExchange):
    """Broken: says it once."""

    async def _exchange(self) -> None:
        """Forget what was to be told, whether it arrives or not."""
        await super()._exchange()
        self._table._untold.clear()


@variants(OURS, resigned=Kinds(exchange=Resigned))
async def test_it_reaches_the_others_within_two_seconds_of_healing(
    variant: Variant[Kinds], cluster: Cluster, own_redis: RedisServer, client: RedisClient
) -> None:
    """The length of the outage makes no difference."""
    one = await cluster.join(client, kinds=variant.make)
    other = await cluster.join(client)
    own_redis.kill()
    one.invalidate(NAME, before=START)
    await cluster.pass_time(timedelta(seconds=10))
    own_redis.start()

    await cluster.pass_time()

    with promised(variant):
        assert other.invalidated_before(NAME) == START


class Trusting(ReplicatedTable):
    """Broken: what Redis has taken is Redis's business."""

    def tell_all(self) -> None:
        """Tell nothing again."""


@variants(OURS, trusting=Kinds(table=Trusting))
async def test_what_redis_has_lost_is_sent_again(variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis) -> None:
    """A replica sends its invalidations again, so that one that starts later knows them too."""
    one = await cluster.join(empty_redis, kinds=variant.make)
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


class Counting(TableExchange):
    """Broken: only a number that is lower than before shows that Redis has lost something."""

    async def _exchange(self) -> None:
        """Forget the seal of the last entry that was read."""
        self._seal = b""
        await super()._exchange()


@variants(OURS, counting=Kinds(exchange=Counting))
async def test_what_redis_has_lost_shows_even_if_others_have_told_as_much_since(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis
) -> None:
    """The number of the last entry is the same as before, the entry is not."""
    one = await cluster.join(empty_redis, kinds=variant.make)
    one.invalidate(NAME, before=START)
    await cluster.rest()
    stranger = Replica(empty_redis, FakeClock())
    stranger.invalidate(OTHER_NAME, before=START)

    await empty_redis.flushall()
    await stranger.exchange.close()
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    with promised(variant):
        assert (one.invalidated_before(OTHER_NAME), late.invalidated_before(NAME)) == (START, START)


async def test_all_that_redis_has_lost_is_told_again(cluster: Cluster, empty_redis: Redis) -> None:
    """In portions, by all who know it, and nothing twice."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    for number in range(1200):
        one.invalidate(name_of(number), before=START + number * INSTANT)
    await cluster.pass_time()

    await empty_redis.flushall()
    await cluster.pass_time()
    late = await cluster.join(empty_redis)
    await cluster.rest()

    assert [replica.entries for replica in (one, other, late)] == [1200] * 3
    assert await empty_redis.hlen(KEY) == 2 * 1200 + 2


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
    one = Replica(empty_redis, clock)
    one.invalidate(NAME, before=START)

    await one.exchange.close()

    assert (await cluster.join(empty_redis)).invalidated_before(NAME) == START


async def test_a_gateway_can_close_while_redis_is_away(
    own_redis: RedisServer, client: RedisClient, clock: FakeClock
) -> None:
    """The close raises nothing and does not wait for Redis."""
    one = Replica(client, clock)
    own_redis.kill()
    one.invalidate(NAME, before=START)

    async with asyncio.timeout(5):
        await one.exchange.close()

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
        b"*8\r\n:-1\r\n:0\r\n:0\r\n$0\r\n\r\n:0\r\n:0\r\n*0\r\n*0\r\n",
        b"*8\r\n:1\r\n:0\r\n:0\r\n$0\r\n\r\n:9223372036854775807\r\n:0\r\n*0\r\n*0\r\n",
    ],
)
async def test_what_answers_like_no_gateway_is_not_believed(
    reply: bytes, connected: Callable[[str], RedisClient], clock: FakeClock
) -> None:
    """The replica asks again later, and loses no invalidation."""
    async with server_that_says(reply) as url:
        one = Replica(connected(url), clock)
        one.invalidate(NAME, before=START)

        await one.exchange.close()
        await one.exchange.catch_up()

    assert (one.invalidated_before(NAME), len(one.table.untold(2)), one.offsets) == (START, 1, [])


class Hurried(FakeClock):
    """A clock by which no time is left for what comes from elsewhere."""

    def io_timeout(self, _duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Give up at once."""
        return asyncio.timeout(0)


async def test_a_gateway_that_starts_does_not_wait_for_ever(empty_redis: Redis) -> None:
    """With a Redis that says nothing, questions are answered before all that others have told is known."""
    one = Replica(empty_redis, Hurried())

    await one.exchange.catch_up()

    assert not one.clock.learned


async def test_where_redis_is_away_a_gateway_starts_at_once(
    own_redis: RedisServer, client: RedisClient, clock: FakeClock
) -> None:
    """The first exchange that fails ends the wait."""
    own_redis.kill()
    one = Replica(client, clock)

    await one.exchange._exchange()
    await one.exchange.catch_up()

    assert not one.clock.learned
