"""Many reads, one connection, and every reply at its own reader."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from service.redis.connect import SOCKET_SECONDS, connect
from service.redis.failures import closed_under_way
from service.redis.reader import LARGEST_REPLY, RedisReader
from service.redis.timeouts import REPLY_TIMEOUT
from service.secret import RedisUrl
from tests.clock import FakeClock
from tests.gateways import until
from tests.redis.reading import KEYS, MOST, VALUES, Script, reading, reading_from
from tests.redis_server import RedisServer

RUNNERS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


async def test_replies_are_in_the_order_of_the_keys(own_redis: RedisServer) -> None:
    """A hundred at once, and nothing for a key that is not there."""
    async with reading(own_redis.url) as (reader, _):
        replies = await asyncio.gather(*(reader.get(key) for key in [*KEYS[::-1], "no key", KEYS[7]]))

    assert replies == [*VALUES[::-1], b"", b"7"]


async def test_all_reads_share_one_connection(own_redis: RedisServer) -> None:
    """Reads that begin while others are under way, too."""

    async def read(number: int) -> object:
        for _ in range(number % 7):
            await asyncio.sleep(0)
        return await reader.get(KEYS[number])

    async with reading(own_redis.url) as (reader, client):
        replies = await asyncio.gather(*(read(number) for number in range(100)))
        clients: Any = await client.client_list()

    assert (replies, len(clients)) == (VALUES, 2)


async def test_reads_of_one_turn_are_sent_in_one_write(clock: FakeClock) -> None:
    """A hundred reads arrive together at the server."""
    arrived: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for count in (1, 100):
            arrived.append(await reader.read(65_536))
            writer.write(b"$-1\r\n" * count)

    async with reading_from(serve, clock) as reader:
        await reader.get(KEYS[0])
        await asyncio.gather(*(reader.get(key) for key in KEYS))

    assert [chunk.count(b"GETRANGE") for chunk in arrived] == [1, 100]


async def test_value_of_a_foreign_type_fails_alone(own_redis: RedisServer) -> None:
    """The others are read all the same, over the same connection."""
    async with reading(own_redis.url) as (reader, client):
        await client.delete(KEYS[1])
        await client.hset(KEYS[1], "a", "b")
        first, foreign, third = await asyncio.gather(*(reader.get(key) for key in KEYS[:3]))
        later = await reader.get(KEYS[3])
        info: Any = await client.info("stats")

    assert ([first, third, later], info["total_connections_received"]) == ([b"0", b"2", b"3"], 3)
    assert isinstance(foreign, ResponseError)


async def test_reply_in_pieces(clock: FakeClock) -> None:
    """Two replies that arrive byte by byte."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"key-1\r\n")
        for byte in b"$5\r\nhel\r\n\r\n$-1\r\n":
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)

    async with reading_from(serve, clock) as reader:
        replies: Any = await asyncio.gather(reader.get(KEYS[0]), reader.get(KEYS[1]))

    assert list(replies) == [b"hel\r\n", None]


@pytest.mark.parametrize("warm", [False, True], ids=["first read", "later read"])
@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_reads_leave_no_replies_to_the_next(own_redis: RedisServer, turns: int, *, warm: bool) -> None:
    """The reads are cancelled at every point of their way."""
    async with reading(own_redis.url) as (reader, _):
        if warm:
            await reader.get(KEYS[0])
        cancelled = [reader.get(key) for key in KEYS]
        for _ in range(turns):
            await asyncio.sleep(0)
        for reply in cancelled[::2]:
            reply.cancel()
        replies = await asyncio.gather(*cancelled[1::2], reader.get(KEYS[5]), reader.get(KEYS[6]))

    assert replies == [*VALUES[1::2], b"5", b"6"]


async def test_read_cancelled_while_connecting_is_not_sent(clock: FakeClock) -> None:
    """The reads that still have a reader are."""
    script = Script([b"$1\r\n1\r\n", b"..."])
    async with reading_from(script, clock) as reader:
        cancelled, waiting = reader.get(KEYS[0]), reader.get(KEYS[1])
        await asyncio.sleep(0)
        cancelled.cancel()

        assert (await waiting, script.requests) == (b"1", 1)


async def test_closed_connection_is_made_anew(own_redis: RedisServer) -> None:
    """Redis closes idle ones; the next reader does not notice."""
    async with reading(own_redis.url) as (reader, client):
        await reader.get(KEYS[0])
        await client.client_kill_filter(_type="normal", skipme=True)

        assert await reader.get(KEYS[1]) == b"1"


async def test_unanswered_reads_are_sent_again(clock: FakeClock) -> None:
    """In their order, when Redis closes the connection in the middle of a reply; cancelled ones are not."""
    script = Script([b"$1\r\n0\r\n", b"$1\r\n1\r\n$5\r\nha", b"..."], [b"$1\r\n3\r\n", b"$1\r\n4\r\n", b"..."])
    async with reading_from(script, clock) as reader:
        await reader.get(KEYS[0])
        one, cancelled, three, four = (reader.get(KEYS[number]) for number in (1, 2, 3, 4))
        reply = await one
        cancelled.cancel()
        script.hang_up.set()

        assert [reply, await three, await four] == [b"1", b"3", b"4"]


async def test_connection_that_was_never_of_use_fails_its_reads(clock: FakeClock) -> None:
    """A server that closes every connection is not asked again and again; one error for all, who are alike."""
    script = Script([b"$3\r\nha"], [b"$1\r\n0\r\n", b"..."])
    async with reading_from(script, clock) as reader:
        failed = await asyncio.gather(reader.get(KEYS[0]), reader.get(KEYS[1]))

    assert (type(failed[0]), script.requests) == (RedisConnectionError, 1)
    assert failed[0] is failed[1]


@pytest.mark.parametrize(
    "reply", [b"-LOADING Redis is loading\r\n", b"-NOAUTH Authentication required.\r\n", b"-MOVED 1 127.0.0.1:1\r\n"]
)
async def test_error_reply_ends_the_connection(clock: FakeClock, reply: bytes) -> None:
    """The error may concern this connection alone: all reads on it fail together, and the next read connects anew."""
    script = Script([reply, b"..."], [b"$1\r\n0\r\n", b"..."])
    async with reading_from(script, clock) as reader:
        failed = await asyncio.gather(reader.get(KEYS[0]), reader.get(KEYS[1]))

        assert await reader.get(KEYS[0]) == b"0"
    assert isinstance(failed[0], ResponseError)
    assert failed[0] is failed[1]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        pytest.param(b"$1\r\n0\r\n$1\r\n0\r\n", id="two replies to one command"),
        pytest.param(b"%1\r\n*0\r\n:1\r\n", id="a map with a list for a key"),
    ],
)
async def test_nonsense_ends_the_connection(clock: FakeClock, nonsense: bytes) -> None:
    """The replies after it cannot be matched to their commands."""
    script = Script([nonsense, b"..."], [b"$1\r\n1\r\n", b"..."])
    async with reading_from(script, clock) as reader:
        first = await reader.get(KEYS[0])

        assert isinstance(first, InvalidResponse) or first == b"0"
        assert await reader.get(KEYS[1]) == b"1"


async def test_planted_value_is_not_read_to_its_end(clock: FakeClock) -> None:
    """Half a gigabyte under one key is not collected in memory."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"key-0\r\n")
        writer.write(b"$%d\r\n" % 2**29)
        while not writer.is_closing():
            writer.write(bytes(65_536))
            sent += 65_536
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    async with reading_from(serve, clock) as reader:
        failed = await reader.get(KEYS[0])
        await asyncio.sleep(0.05)

    assert isinstance(failed, InvalidResponse)
    assert sent < 32 * LARGEST_REPLY


@pytest.mark.parametrize("more", [-1, 0, 1, LARGEST_REPLY])
async def test_of_a_long_value_the_beginning_is_read(own_redis: RedisServer, more: int) -> None:
    """Many of them at once, too: each read is bounded, not all together."""
    async with reading(own_redis.url) as (reader, client):
        await client.set("long", bytes(MOST + more))
        replies = await asyncio.gather(*(reader.get("long") for _ in range(1_200)))

    assert replies == [bytes(min(MOST, MOST + more))] * 1_200


async def test_read_is_given_up_when_its_time_is_over(clock: FakeClock) -> None:
    """A reply that comes after all is given to no other reader; the connection stays."""
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"key-0\r\n")
        await go_on.wait()
        writer.write(b"$1\r\n0\r\n")
        await reader.readuntil(b"key-1\r\n")
        writer.write(b"$1\r\n1\r\n")
        await reader.read()

    async with reading_from(serve, clock) as reader:
        late = reader.get(KEYS[0])
        await asyncio.sleep(0)
        await clock.advance(REPLY_TIMEOUT * 3 / 4 - timedelta(milliseconds=1))
        early = late.done()
        await clock.advance(REPLY_TIMEOUT / 4 + timedelta(milliseconds=1))
        failed = await late
        go_on.set()

        assert (early, type(failed), await reader.get(KEYS[1])) == (False, TimeoutError, b"1")


async def test_silent_connection_is_replaced(clock: FakeClock) -> None:
    """The next read replaces a connection that owes replies for half a second; reads with time left are sent again."""
    script = Script([b"$1\r\n0\r\n", b"..."], [b"$1\r\n2\r\n", b"..."])
    async with reading_from(script, clock) as reader:
        first = await reader.get(KEYS[0])
        late = reader.get(KEYS[1])
        await until(lambda: script.requests == 2)
        await clock.advance(timedelta(seconds=SOCKET_SECONDS))

        assert (first, type(await late), await reader.get(KEYS[2])) == (b"0", TimeoutError, b"2")


async def test_idle_connection_is_not_silent(own_redis: RedisServer, clock: FakeClock) -> None:
    """A connection that owes no reply stays open."""
    async with reading(own_redis.url) as (_, client):
        reader = RedisReader(client, most=MOST, clock=clock)
        await reader.get(KEYS[0])
        clock.jump(timedelta(hours=1))
        await reader.get(KEYS[0])
        clients: Any = await client.client_list()
        await reader.close()

    assert len(clients) == 2


async def test_redis_that_cannot_be_reached_fails_all_who_wait(clock: FakeClock) -> None:
    """All reads get one and the same error of redis-py."""
    client = connect(RedisUrl("redis://127.0.0.1:1"))
    assert isinstance(client, Redis)
    reader = RedisReader(client, most=MOST, clock=clock)

    failures = await asyncio.gather(*(reader.get(KEYS[0]) for _ in range(3)))

    await reader.close()
    await client.aclose()
    assert isinstance(failures[0], RedisConnectionError)
    assert failures == [failures[0]] * 3


async def test_other_connection_is_used_after_reconnecting(own_redis: RedisServer) -> None:
    """Reads under way are sent again over it."""
    async with reading(own_redis.url) as (reader, client):
        await reader.reconnect()
        await reader.get(KEYS[0])
        old = {one["id"] for one in await client.client_list()} - {str(await client.client_id())}
        under_way = reader.get(KEYS[1])
        await asyncio.sleep(0)
        await reader.reconnect()
        await reader.reconnect()
        replies = [await under_way, await reader.get(KEYS[2])]
        async with asyncio.timeout(10):
            while old & {one["id"] for one in await client.client_list()}:  # noqa: ASYNC110 - Redis sets no event
                await asyncio.sleep(0.01)

    assert replies == [b"1", b"2"]


async def test_reads_over_a_connection_that_has_answered_none_yet_are_sent_again(clock: FakeClock) -> None:
    """Redis has moved for the second time before the first connection to its new place was of use."""
    script = Script([b"..."], [b"$1\r\n7\r\n"])
    async with reading_from(script, clock) as reader:
        reply = reader.get(KEYS[0])
        await until(lambda: script.requests == 1)
        await reader.reconnect()

        assert await reply == b"7"


async def test_connection_being_made_while_redis_moves_is_not_used(own_redis: RedisServer) -> None:
    """The connection may lead to where Redis was."""
    async with reading(own_redis.url) as (reader, client):
        waiting = reader.get(KEYS[0])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await reader.reconnect()
        reply = await waiting
        info: Any = await client.info("stats")

    assert (reply, info["total_connections_received"]) == (b"0", 5)


async def test_closing_fails_all_that_is_still_being_read(clock: FakeClock) -> None:
    """Later reads, too."""
    script = Script([b"..."])
    async with reading_from(script, clock) as reader:
        sent = reader.get(KEYS[0])
        await until(lambda: script.requests == 1)
        unsent = reader.get(KEYS[1])
        await reader.close()

        assert {type(await reply) for reply in (sent, unsent, reader.get(KEYS[2]))} == {RedisConnectionError}


async def test_closing_does_not_wait_for_a_connection(own_redis: RedisServer) -> None:
    """Reads that wait for it fail."""
    async with reading(own_redis.url) as (reader, _):
        waiting = reader.get(KEYS[0])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await reader.close()

        assert isinstance(await waiting, RedisConnectionError)


@RUNNERS
def test_server_that_closes_at_once_is_a_failure_of_redis(run: Any) -> None:
    """Under either event loop, each of which reports it in its own way."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def read_often() -> list[Any]:
        async with reading_from(hang_up, FakeClock()) as reader, asyncio.timeout(5):
            return [await reader.get(KEYS[0]) for _ in range(20)]

    for failure in run(read_often()):
        assert isinstance(failure, RedisConnectionError | TimeoutError)


@RUNNERS
def test_connections_lost_under_load_hang_no_reader(own_redis: RedisServer, run: Any) -> None:
    """Redis closes the connection again and again, wherever the reads are; every one gets its own value."""

    async def read_and_lose() -> None:
        async with reading(own_redis.url) as (reader, client), asyncio.timeout(20):
            for round_ in range(30):
                await reader.get(KEYS[0])
                replies = [reader.get(key) for key in KEYS]
                for _ in range(round_ % 5):
                    await asyncio.sleep(0)
                await client.client_kill_filter(_type="normal", skipme=True)
                assert await asyncio.gather(*replies) == VALUES

    run(read_and_lose())


def test_only_the_event_loops_own_error_is_taken_for_a_closed_connection() -> None:
    """A bug stays a bug."""
    with pytest.raises(RedisConnectionError), closed_under_way():
        raise RuntimeError("the handler is closed")
    with pytest.raises(NotImplementedError), closed_under_way():
        raise NotImplementedError
