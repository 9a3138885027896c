"""Reads through redis-py's own client for Redis Cluster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.redis.cluster_reader import MOST_UNDER_WAY, ClusterReader
from service.redis.connect import connect
from service.redis.failures import REDIS_FAILURES
from service.redis.reader import open_reader
from service.redis.timeouts import REPLY_TIMEOUT
from service.secret import RedisUrl
from tests.cache.conftest import close
from tests.clock import FakeClock
from tests.redis_server import RedisServer, free_port

MOST = 1_000
KEYS = [f"key-{number}" for number in range(30)]
VALUES = [b"%d" % number for number in range(30)]


@asynccontextmanager
async def reading(port: int, clock: FakeClock, *, fill: bool = True) -> AsyncIterator[tuple[ClusterReader, Any]]:
    """Read from a cluster that has thirty numbers; the client is for the test."""
    client = connect(RedisUrl(f"redis+cluster://127.0.0.1:{port}"))
    assert isinstance(client, RedisCluster)
    if fill:
        for key, value in zip(KEYS, VALUES, strict=True):
            await client.set(key, value)
    reader = open_reader(client, most=MOST, clock=clock)
    assert isinstance(reader, ClusterReader)
    yield reader, client
    await reader.close()
    await close(client)


async def test_every_reader_gets_its_own_reply(one_node_cluster: RedisServer, clock: FakeClock) -> None:
    """Cancelled readers take nothing from the others; a value of a foreign type fails alone."""
    async with reading(one_node_cluster.port, clock) as (reader, client):
        await client.rpush("list", "1")
        await client.set("long", bytes(MOST + 1))
        cancelled, foreign, absent, long, *others = [
            reader.get(key) for key in ("key-0", "list", "no key", "long", *KEYS)
        ]
        await asyncio.sleep(0)
        cancelled.cancel()
        replies = [await other for other in others]

    assert (replies, await absent, await long) == (VALUES, b"", bytes(MOST))
    assert isinstance(await foreign, ResponseError)


async def test_reads_that_find_many_under_way_travel_together(one_node_cluster: RedisServer, clock: FakeClock) -> None:
    """The reads are neither lost nor mixed up, and make one pipeline more."""
    async with reading(one_node_cluster.port, clock) as (reader, _):
        await reader.get(KEYS[0])
        one_node_cluster.pause()
        replies = []
        for key in KEYS[: MOST_UNDER_WAY + 5]:
            replies.append(reader.get(key))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        one_node_cluster.resume()

        assert [await reply for reply in replies] == VALUES[: MOST_UNDER_WAY + 5]


async def test_cluster_that_is_not_there_fails_all_who_wait(clock: FakeClock) -> None:
    """All reads get one and the same error."""
    async with reading(free_port(), clock, fill=False) as (reader, _):
        first, second = await asyncio.gather(reader.get(KEYS[0]), reader.get(KEYS[1]))

    assert isinstance(first, REDIS_FAILURES)
    assert first is second


async def test_read_is_given_up_when_its_time_is_over(one_node_cluster: RedisServer, clock: FakeClock) -> None:
    """The read does not wait for redis-py, which still tries."""
    async with reading(one_node_cluster.port, clock) as (reader, _):
        one_node_cluster.pause()
        late = reader.get(KEYS[0])
        await asyncio.sleep(0)
        await clock.advance(REPLY_TIMEOUT)
        one_node_cluster.resume()

        assert isinstance(await late, TimeoutError)


async def test_closed_reader_reads_nothing(one_node_cluster: RedisServer, clock: FakeClock) -> None:
    """Reads that were not sent fail, and so do later ones; reconnecting is redis-py's own business."""
    async with reading(one_node_cluster.port, clock) as (reader, _):
        unsent = reader.get(KEYS[0])
        await reader.reconnect()
        await reader.close()

        assert {type(await reply) for reply in (unsent, reader.get(KEYS[1]))} == {RedisConnectionError}
