"""Many GETs, one round trip, and every reply in its own place."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from service.redis.connect import connect
from service.redis.joined_gets import get_all
from service.secret import RedisUrl
from tests.redis_server import RedisServer

KEYS = [f"key-{number}" for number in range(100)]


async def filled(url: str) -> Redis:
    """Return a client of a Redis that has a hundred numbers."""
    client = connect(RedisUrl(url))
    assert isinstance(client, Redis)
    await client.mset({key: number for number, key in enumerate(KEYS)})
    return client


async def test_replies_are_in_the_order_of_the_keys(own_redis: RedisServer) -> None:
    """A hundred at once, and None for what is not there."""
    client = await filled(own_redis.url)

    replies = await get_all(client, [*KEYS[::-1], "nothing", KEYS[7]])

    await client.aclose()
    assert replies == [*(b"%d" % number for number in range(99, -1, -1)), None, b"7"]


async def test_an_error_with_one_key_is_in_its_place(own_redis: RedisServer) -> None:
    """The others are read all the same, and so are those that come after."""
    client = await filled(own_redis.url)
    await client.delete(KEYS[1])
    await client.hset(KEYS[1], "a", "b")

    replies = await get_all(client, KEYS[:3])
    later = await get_all(client, KEYS[3:4])

    await client.aclose()
    assert [replies[0], replies[2], *later] == [b"0", b"2", b"3"]
    assert isinstance(replies[1], ResponseError)


async def test_one_connection_does_for_one_after_the_other(own_redis: RedisServer) -> None:
    """What was borrowed is given back, also when it failed."""
    client = await filled(own_redis.url)
    for _ in range(50):
        await get_all(client, KEYS[:2])

    clients: Any = await client.client_list()
    await client.aclose()
    assert len(clients) == 1


@pytest.mark.parametrize("turns", range(12))
async def test_whoever_gives_up_leaves_no_replies_to_the_next(own_redis: RedisServer, turns: int) -> None:
    """Wherever it was when it was cancelled."""
    client = await filled(own_redis.url)
    task = asyncio.ensure_future(get_all(client, KEYS))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))

    replies = await get_all(client, KEYS[5:7])

    await client.aclose()
    assert replies == [b"5", b"6"]
