"""Many GETs, one connection, and every reply in its own place."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from service.redis.connect import SOCKET_SECONDS, connect
from service.redis.failures import closed_under_way
from service.redis.pipelined_gets import PipelinedGets
from service.secret import RedisUrl
from tests.gateways import until
from tests.redis_server import RedisServer

KEYS = [f"key-{number}" for number in range(100)]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[tuple[PipelinedGets, Redis]]:
    """Read from a Redis that has a hundred numbers; the client is for the test."""
    client = connect(RedisUrl(url))
    assert isinstance(client, Redis)
    await client.mset({key: number for number, key in enumerate(KEYS)})
    gets = PipelinedGets(client)
    yield gets, client
    await gets.close()
    await client.aclose()


@asynccontextmanager
async def reading_from(serve: Serve) -> AsyncIterator[PipelinedGets]:
    """Read from what answers in Redis's place: the handshake as Redis does, everything else as the test says."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"ownership-gateway\r\n")  # CLIENT SETNAME
        writer.write(b"+OK\r\n")
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    client = connect(RedisUrl(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    gets = PipelinedGets(client)
    yield gets
    await gets.close()
    await client.aclose()
    server.close()


async def test_replies_are_in_the_order_of_the_keys(own_redis: RedisServer) -> None:
    """A hundred at once, and None for what is not there."""
    async with reading(own_redis.url) as (gets, _):
        replies = await gets.get_all([*KEYS[::-1], "nothing", KEYS[7]])

    assert replies == [*(b"%d" % number for number in range(99, -1, -1)), None, b"7"]


async def test_those_who_ask_meanwhile_get_their_own(own_redis: RedisServer) -> None:
    """A hundred exchanges of different lengths under way at once, over one connection."""
    async with reading(own_redis.url) as (gets, client):
        replies = await asyncio.gather(*(gets.get_all(KEYS[at : at + 1 + at % 7]) for at in range(90)))
        clients: Any = await client.client_list()

    assert replies == [[b"%d" % number for number in range(at, at + 1 + at % 7)] for at in range(90)]
    assert len(clients) == 2


async def test_an_error_with_one_key_is_in_its_place(own_redis: RedisServer) -> None:
    """The others are read all the same, and so are those that come after."""
    async with reading(own_redis.url) as (gets, client):
        await client.delete(KEYS[1])
        await client.hset(KEYS[1], "a", "b")
        replies = await gets.get_all(KEYS[:3])
        later = await gets.get_all(KEYS[3:4])

    assert [replies[0], replies[2], *later] == [b"0", b"2", b"3"]
    assert isinstance(replies[1], ResponseError)


@pytest.mark.parametrize("exchanges_before", [0, 1])
@pytest.mark.parametrize("turns", range(12))
async def test_whoever_gives_up_leaves_no_replies_to_the_next(
    own_redis: RedisServer, turns: int, exchanges_before: int
) -> None:
    """Wherever it was when it was cancelled."""
    async with reading(own_redis.url) as (gets, _):
        for _ in range(exchanges_before):
            await gets.get_all(KEYS[:1])
        task = asyncio.ensure_future(gets.get_all(KEYS))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        replies = await gets.get_all(KEYS[5:7])

    assert replies == [b"5", b"6"]


async def test_whoever_gives_up_while_it_connects_takes_it_from_nobody_else(own_redis: RedisServer) -> None:
    """All who came meanwhile wait for the same connection."""
    async with reading(own_redis.url) as (gets, _):
        first, second = (asyncio.ensure_future(gets.get_all(KEYS[:1])) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()

        assert await second == [b"0"]


async def test_closed_connection_is_made_anew(own_redis: RedisServer) -> None:
    """Redis closes idle ones; whoever reads next does not notice."""
    async with reading(own_redis.url) as (gets, client):
        await gets.get_all(KEYS[:1])
        await client.client_kill_filter(_type="normal", skipme=True)

        assert await gets.get_all(KEYS[1:2]) == [b"1"]


async def test_other_connection_is_used_after_reconnecting(own_redis: RedisServer) -> None:
    """Once, however often that is said."""
    async with reading(own_redis.url) as (gets, client):
        gets.reconnect()
        await gets.get_all(KEYS[:1])
        before: Any = await client.client_list()
        gets.reconnect()
        gets.reconnect()
        replies = await gets.get_all(KEYS[:1])
        await until_closed(client, {one["id"] for one in before} - {str(await client.client_id())})

    assert replies == [b"0"]


async def until_closed(client: Redis, ids: set[str]) -> None:
    """Return once Redis has none of these connections."""
    async with asyncio.timeout(10):
        while ids & {one["id"] for one in await client.client_list()}:  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.01)


async def test_redis_that_cannot_be_reached_fails_everyone_who_waits() -> None:
    """With what redis-py says; nobody's failure is lost or logged as unhandled."""
    client = connect(RedisUrl("redis://127.0.0.1:1"))
    gets = PipelinedGets(client)

    failures = await asyncio.gather(*(gets.get_all(KEYS[:1]) for _ in range(3)), return_exceptions=True)

    await gets.close()
    await client.aclose()
    assert all(isinstance(failure, RedisConnectionError) for failure in failures)


async def test_silent_redis_is_given_up() -> None:
    """What was read in time before is not; nor is what was asked while it was silent."""

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"key-0\r\n")
        writer.write(b"$1\r\n0\r\n")
        await reader.read()

    async with reading_from(answer_once) as gets:
        first = await gets.get_all(KEYS[:1])
        await asyncio.sleep(SOCKET_SECONDS / 2)
        late = await asyncio.gather(*(gets.get_all(KEYS[1:2]) for _ in range(2)), return_exceptions=True)

    assert first == [b"0"]
    assert [type(failure) for failure in late] == [TimeoutError] * 2


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$1\r\n0\r\n$1\r\n0\r\n"])
async def test_what_is_no_reply_ends_the_connection(nonsense: bytes) -> None:
    """Nothing that comes after it can be told apart, and nobody's reply may be taken for another's."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"key-0\r\n")
        writer.write(nonsense)
        await reader.read()

    async with reading_from(answer) as gets:
        first: Any = (await asyncio.gather(gets.get_all(KEYS[:1]), return_exceptions=True))[0]
        await until(lambda: gets._line is not None and gets._line.lost)

    assert isinstance(first, InvalidResponse) or first == [b"0"]


async def test_closing_gives_up_what_is_still_being_read() -> None:
    """Nothing is read after that."""
    asked = asyncio.Event()

    async def keep_waiting(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"key-0\r\n")
        asked.set()
        await reader.read()

    async with reading_from(keep_waiting) as gets:
        task = asyncio.ensure_future(gets.get_all(KEYS[:1]))
        await asked.wait()
        await gets.close()
        failure: Any = (await asyncio.gather(task, return_exceptions=True))[0]
        with pytest.raises(RedisConnectionError):
            await gets.get_all(KEYS[:1])

    assert isinstance(failure, RedisConnectionError)


async def test_closing_does_not_wait_for_a_connection(own_redis: RedisServer) -> None:
    """Whoever waits for it is told that it was given up."""
    async with reading(own_redis.url) as (gets, _):
        waiting = asyncio.ensure_future(gets.get_all(KEYS[:1]))
        await asyncio.sleep(0)
        await gets.close()
        await asyncio.wait((waiting,))

    assert waiting.cancelled()


async def test_whoever_gave_up_is_no_trouble_when_the_connection_is_lost(own_redis: RedisServer) -> None:
    """The others are told."""
    async with reading(own_redis.url) as (gets, _):
        await gets.get_all(KEYS[:1])
        gone = asyncio.ensure_future(gets.get_all(KEYS[:1]))
        left = asyncio.ensure_future(gets.get_all(KEYS[1:2]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        gets.reconnect()

        assert await left == [b"1"]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_connection_that_is_lost_before_it_is_used_hangs_nobody(own_redis: RedisServer, run: Any) -> None:
    """Those who had waited for it wake a little later than it is made; each event loop has its own way to be closed."""

    async def lose_some() -> list[Any]:
        async with reading(own_redis.url) as (gets, _):
            outcomes: list[Any] = []
            for _ in range(3):
                waiting = asyncio.ensure_future(gets.get_all(KEYS[:1]))
                await until(lambda: gets._line is not None and not gets._line.lost)
                gets.reconnect()
                async with asyncio.timeout(5):
                    outcomes += await asyncio.gather(waiting, return_exceptions=True)
            return [*outcomes, await gets.get_all(KEYS[1:2])]

    *outcomes, last = run(lose_some())
    assert all(one == [b"0"] or isinstance(one, RedisConnectionError) for one in outcomes)
    assert last == [b"1"]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_connection_that_redis_closes_at_once_is_a_failure_of_redis(run: Any) -> None:
    """Under whatever event loop."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def read_twice() -> list[Any]:
        async with reading_from(hang_up) as gets, asyncio.timeout(5):
            return [await asyncio.gather(gets.get_all(KEYS[:1]), return_exceptions=True) for _ in range(20)]

    for [failure] in run(read_twice()):
        assert isinstance(failure, RedisConnectionError | TimeoutError)


async def test_connection_being_made_while_redis_moves_is_not_used(own_redis: RedisServer) -> None:
    """It may lead to where Redis was."""
    async with reading(own_redis.url) as (gets, client):
        waiting = asyncio.ensure_future(gets.get_all(KEYS[:1]))
        await asyncio.sleep(0)
        gets.reconnect()
        replies = await waiting
        info: Any = await client.info("stats")

    assert replies == [b"0"]
    assert info["total_connections_received"] == 3


async def test_reply_that_cannot_be_read_ends_the_connection() -> None:
    """A map with a list for a key, in the protocol that nobody has asked for."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"key-0\r\n")
        writer.write(b"%1\r\n*0\r\n:1\r\n")
        await reader.read()

    async with reading_from(answer) as gets:
        failure: Any = (await asyncio.gather(gets.get_all(KEYS[:1]), return_exceptions=True))[0]

    assert isinstance(failure, InvalidResponse)


def test_only_the_event_loops_own_error_is_taken_for_a_closed_connection() -> None:
    """A bug stays a bug."""
    with pytest.raises(RedisConnectionError), closed_under_way():
        raise RuntimeError("the handler is closed")
    with pytest.raises(NotImplementedError), closed_under_way():
        raise NotImplementedError
