"""Tries at codes, and mails to addresses: counted with Redis, without it, and while it is away or lies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from service.cache.keys import mails_key, tries_key
from service.ownership import Fingerprint
from service.proofs.code_tries import CodeTries
from service.proofs.mail_bounds import OF_ADDRESS, OF_PLAYER, MailBounds, MailRoom
from service.redis.acl import COMMANDS, KEYS, as_rules
from service.redis.connect import MAX_CONNECTIONS, RedisClient
from tests.clock import FakeClock
from tests.redis_server import RedisServer

NAME: Final = Fingerprint(bytes(range(16)))
MINUTE: Final = timedelta(minutes=1)

Connect = Callable[[str], RedisClient]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connect to a Redis, patiently: a busy machine is no failure."""
    async with AsyncExitStack() as stack:

        def patient(url: str) -> RedisClient:
            pool = BlockingConnectionPool.from_url(url, max_connections=MAX_CONNECTIONS, timeout=30)
            client = Redis.from_pool(pool)
            stack.push_async_callback(client.aclose)
            return client

        yield patient


async def wait_of(bounds: MailBounds) -> timedelta | None:
    """Take room for a mail; return the wait if there is none."""
    taken = await bounds.take(NAME, OF_ADDRESS)
    return None if isinstance(taken, MailRoom) else taken


async def test_tries_at_once_are_no_more(
    connect: Connect, redis_url: str, empty_redis: Redis, clock: FakeClock
) -> None:
    """A hundred at two replicas: five are tries."""
    both = [CodeTries(client=connect(redis_url), clock=clock) for _ in range(2)]
    until = clock.now() + 10 * MINUTE
    results = await asyncio.gather(*(both[n % 2].take(NAME, until=until) for n in range(100)))
    for one in both:
        await one.close()

    assert sum(left is not None for left in results) == 5
    assert 0 < await empty_redis.pttl(tries_key(NAME)) <= 600_000


async def test_tries_without_redis(clock: FakeClock) -> None:
    """This process counts, of so many challenges as it has room for."""
    tries = CodeTries(client=None, clock=clock, most_counted=2)
    until = clock.now() + MINUTE
    first = [await tries.take(NAME, until=until) for _ in range(7)]
    for other in (b"a", b"b"):
        await tries.take(Fingerprint(other * 16), until=until)
    await tries.close()

    assert first == [4, 3, 2, 1, 0, None, None]
    assert await tries.take(NAME, until=until) == 4


async def test_tries_go_on_while_redis_is_away(connect: Connect, own_redis: RedisServer, clock: FakeClock) -> None:
    """Tries from before count, and so does what Redis has forgotten."""
    tries = CodeTries(client=connect(own_redis.url), clock=clock)
    until = clock.now() + MINUTE
    before = [await tries.take(NAME, until=until) for _ in range(2)]
    async with Redis.from_url(own_redis.url) as operator:
        await operator.flushall()
    forgotten = await tries.take(NAME, until=until)
    own_redis.stop()
    after = [await tries.take(NAME, until=until) for _ in range(3)]
    await tries.close()

    assert (before, forgotten, after) == ([4, 3], 2, [1, 0, None])


@pytest.mark.parametrize("planted", ["set", "text", "negative", "huge", "fraction", "list"])
async def test_planted_tries_help_nobody(
    planted: str, connect: Connect, redis_url: str, empty_redis: Redis, clock: FakeClock
) -> None:
    """Five tries at most, where there was something else."""
    key = tries_key(NAME)
    values = {"set": "5", "text": "x" * 10_000, "negative": "-1000", "huge": "1e300", "fraction": "0.5"}
    if planted == "list":
        await empty_redis.rpush(key, "a")
    else:
        await empty_redis.set(key, values[planted])
    tries = CodeTries(client=connect(redis_url), clock=clock)
    results = [await tries.take(NAME, until=clock.now() + MINUTE) for _ in range(6)]
    await tries.close()

    assert sum(left is not None for left in results) <= 5
    assert (results[0] is None) == (planted in {"set", "huge"})


async def test_mails_of_two_replicas(connect: Connect, redis_url: str, empty_redis: Redis, clock: FakeClock) -> None:
    """One a minute, three an hour and six a day, of both together."""
    both = [MailBounds(client=connect(redis_url), clock=clock) for _ in range(2)]
    sent, waits = 0, []
    for turn in range(10):
        wait = await wait_of(both[turn % 2])
        waits.append(wait)
        sent += wait is None
        clock.jump(MINUTE)
    at_once = await asyncio.gather(*(wait_of(both[n % 2]) for n in range(20)))
    clock.jump(timedelta(days=1))
    after_a_day = await asyncio.gather(*(wait_of(both[n % 2]) for n in range(20)))
    for one in both:
        await one.close()

    assert sent == 3
    assert waits[:4] == [None, None, None, timedelta(minutes=57)]
    assert None not in at_once
    assert after_a_day.count(None) == 1
    assert 0 < await empty_redis.pttl(mails_key(NAME)) <= 86_400_000


@pytest.mark.parametrize("with_redis", [True, False])
async def test_room_is_given_back(
    with_redis: bool,  # noqa: FBT001 - a parameter
    connect: Connect,
    redis_url: str,
    empty_redis: Redis,
    clock: FakeClock,
) -> None:
    """As if the mail had never been; the others stay."""
    bounds = MailBounds(client=connect(redis_url) if with_redis else None, clock=clock)
    for _ in range(20):
        room = await bounds.take(NAME, OF_PLAYER)
        assert isinstance(room, MailRoom)
        await bounds.give_back(room)
        await bounds.give_back(room)
    clock.jump(MINUTE)
    first = await bounds.take(NAME, OF_ADDRESS)
    clock.jump(MINUTE)
    second = await bounds.take(NAME, OF_ADDRESS)
    assert isinstance(first, MailRoom)
    assert isinstance(second, MailRoom)
    await bounds.give_back(second)
    held = await empty_redis.get(mails_key(NAME))
    wait = await wait_of(bounds)
    await bounds.close()

    assert wait is None
    assert held == (str(first.at).encode() if with_redis else None)


async def test_mails_go_on_while_redis_is_away(connect: Connect, own_redis: RedisServer, clock: FakeClock) -> None:
    bounds = MailBounds(client=connect(own_redis.url), clock=clock)
    before = await wait_of(bounds)
    own_redis.stop()
    at_once = await wait_of(bounds)
    clock.jump(MINUTE)
    later = await bounds.take(NAME, OF_ADDRESS)
    assert isinstance(later, MailRoom)
    await bounds.give_back(later)
    await bounds.close()

    assert (before, at_once) == (None, MINUTE)


@pytest.mark.parametrize("planted", ["future", "text", "list", "many"])
async def test_planted_mails_lock_nobody_out(
    planted: str, connect: Connect, redis_url: str, empty_redis: Redis, clock: FakeClock
) -> None:
    """Text that was not written here is as if it were not there, but for what looks like ours."""
    key, now = mails_key(NAME), int(clock.now().timestamp() * 1000)
    if planted == "list":
        await empty_redis.rpush(key, "a")
    else:
        texts = {
            "future": ",".join([str(now + 10**9)] * 6),
            "text": "a,b;" * 1000,
            "many": f"{now - 10**10}," * 100_000,
        }
        await empty_redis.set(key, texts[planted])
    bounds = MailBounds(client=connect(redis_url), clock=clock)
    room = await bounds.take(NAME, OF_ADDRESS)
    await bounds.close()

    assert isinstance(room, MailRoom)
    assert await empty_redis.get(key) == str(room.at).encode()


async def test_a_list_in_the_place_of_mails_is_left_alone(
    connect: Connect, redis_url: str, empty_redis: Redis, clock: FakeClock
) -> None:
    """When room is given back."""
    bounds = MailBounds(client=connect(redis_url), clock=clock)
    room = await bounds.take(NAME, OF_ADDRESS)
    assert isinstance(room, MailRoom)
    await empty_redis.delete(mails_key(NAME))
    await empty_redis.rpush(mails_key(NAME), "a")
    await bounds.give_back(room)
    await bounds.close()

    assert await empty_redis.type(mails_key(NAME)) == b"list"


async def test_so_many_addresses_are_counted(clock: FakeClock) -> None:
    """Those that were not written to for longest are forgotten."""
    bounds = MailBounds(client=None, clock=clock, most_counted=2)
    await bounds.take(NAME, OF_ADDRESS)
    for other in (b"a", b"b"):
        await bounds.take(Fingerprint(other * 16), OF_ADDRESS)

    assert await wait_of(bounds) is None


async def test_the_shipped_user_may_count(connect: Connect, own_redis: RedisServer, clock: FakeClock) -> None:
    """The rights that the gateway's user in Redis has are enough."""
    async with Redis.from_url(own_redis.url) as operator:
        rules = ["on", ">word", f"~{KEYS}", *as_rules(*COMMANDS).split()]
        await operator.execute_command("ACL", "SETUSER", "gateway", *rules)  # type: ignore[no-untyped-call]  # as it is
    url = own_redis.url.replace("redis://", "redis://gateway:word@")
    one, two = (CodeTries(client=connect(url), clock=clock) for _ in range(2))
    mails, others = (MailBounds(client=connect(url), clock=clock) for _ in range(2))
    until = clock.now() + MINUTE
    tried = [await one.take(NAME, until=until), await two.take(NAME, until=until)]
    room = await mails.take(NAME, OF_ADDRESS)
    assert isinstance(room, MailRoom)
    refused = await wait_of(others)
    await mails.give_back(room)
    free = await wait_of(others)
    for part in (one, two, mails, others):
        await part.close()

    assert (tried, refused, free) == ([4, 3], MINUTE, None)
