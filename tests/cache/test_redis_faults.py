"""Failures of Redis: a get is at worst a miss, and a put is at worst lost."""

import asyncio
from collections.abc import Iterator

import pytest
import uvloop
from redis.asyncio import Redis

from service.cache.entry import CacheEntry
from service.cache.keys import redis_key
from service.cache.redis_tier import RedisTier
from service.cache.results import CacheOperation, CacheResult
from service.causes import Cause
from service.redis.connect import connect
from service.redis.timeouts import REPLY_TIMEOUT
from service.secret import RedisUrl
from tests.cache.conftest import MakeTier
from tests.cache.samples import GAME, NAME, SECOND, Recorder, entry, name_of, no, sealer, yes
from tests.cache.wire import server_that_says
from tests.clock import START, FakeClock
from tests.redis.left_alone import until_back, until_tried
from tests.redis_server import RedisServer, free_port

GET, PUT = CacheOperation.GET, CacheOperation.PUT
FAILED, SKIPPED, HIT, MISS, STORED = (
    CacheResult.FAILED,
    CacheResult.SKIPPED,
    CacheResult.HIT,
    CacheResult.MISS,
    CacheResult.STORED,
)


@pytest.fixture
def guarded_redis() -> Iterator[RedisServer]:
    """A Redis with a password."""
    server = RedisServer(arguments=["--requirepass", "right"])
    server.start()
    yield server
    server.stop()


async def test_a_redis_that_is_not_there(make_tier: MakeTier, recorder: Recorder) -> None:
    """Three questions fail, the others do not even try, and it is said once."""
    tier = make_tier(f"redis://127.0.0.1:{free_port()}")

    found = [await tier.get(NAME) for _ in range(5)]

    assert found == [None] * 5
    assert recorder.results(GET) == [FAILED, FAILED, FAILED, SKIPPED, SKIPPED]
    assert recorder.states == [False]


async def test_a_host_that_cannot_be_resolved(make_tier: MakeTier, recorder: Recorder) -> None:
    """A name that does not exist is a Redis that is not there."""
    await make_tier("redis://redis.invalid").get(NAME)

    assert recorder.results(GET) == [FAILED]


async def test_killed_and_back(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock
) -> None:
    """Redis is used again once it has answered three tries, a second apart."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    own_redis.kill()
    lost = [await tier.get(NAME) for _ in range(3)]
    own_redis.start()
    still_skipped = await tier.get(NAME)
    await until_back(clock, lambda: recorder.states[-1])
    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert (lost, still_skipped, await tier.get(NAME)) == ([None] * 3, None, entry(yes()))
    assert recorder.results(GET) == [FAILED, FAILED, FAILED, SKIPPED, HIT]
    assert recorder.states == [True, False, True]


async def test_frozen(make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock) -> None:
    """A Redis that accepts and never answers is a miss, and is used again once it thaws."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    own_redis.pause()
    frozen = []
    for _ in range(4):
        asking = asyncio.ensure_future(tier.get(NAME))
        await clock.advance(REPLY_TIMEOUT)
        frozen.append(await asking)
    own_redis.resume()
    await until_back(clock, lambda: recorder.states[-1])

    assert (frozen, await tier.get(NAME)) == ([None] * 4, entry(yes()))
    assert recorder.results(GET)[-2:] == [SKIPPED, HIT]


async def test_read_is_given_up_when_its_time_is_over(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock
) -> None:
    """However long redis-py would still try, the question goes on without it."""
    tier = make_tier(own_redis.url)
    own_redis.pause()

    asking = asyncio.ensure_future(tier.get(NAME))
    await clock.advance(REPLY_TIMEOUT)
    answered = asking.done()
    own_redis.resume()

    assert (answered, await asking, recorder.results(GET)) == (True, None, [FAILED])


async def test_frozen_for_many_at_once(make_tier: MakeTier, own_redis: RedisServer, clock: FakeClock) -> None:
    """A hundred questions at once are a hundred misses, not a hundred errors."""
    tier = make_tier(own_redis.url)
    own_redis.pause()

    asking = asyncio.gather(*(tier.get(name_of(number)) for number in range(100)))
    await clock.advance(REPLY_TIMEOUT)

    assert await asking == [None] * 100
    own_redis.resume()


async def test_wrong_password(make_tier: MakeTier, guarded_redis: RedisServer, recorder: Recorder) -> None:
    """A Redis that refuses the password counts as one that does not work."""
    tier = make_tier(guarded_redis.url.replace("//", "//:wrong@"))

    await tier.get(NAME)
    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert (recorder.results(GET), recorder.results(PUT)) == ([FAILED], [FAILED])


async def test_right_password(make_tier: MakeTier, guarded_redis: RedisServer, recorder: Recorder) -> None:
    """The password of the URL is used."""
    tier = make_tier(guarded_redis.url.replace("//", "//:right@"))

    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) == entry(yes())


async def test_full(make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock) -> None:
    """A Redis without room still answers; writes to it are given up, and taken up again."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    async with Redis.from_url(own_redis.url) as operator:
        await operator.config_set("maxmemory", "1")
        for number in range(4):
            await tier.put(name_of(number), entry(yes()), game_id=GAME)
        found = await tier.get(NAME)
        await operator.config_set("maxmemory", "0")
    await until_back(clock, lambda: recorder.states[-1])
    await tier.put(name_of(5), entry(yes()), game_id=GAME)

    assert found == entry(yes())
    assert recorder.results(PUT) == [STORED, FAILED, FAILED, FAILED, SKIPPED, STORED]
    assert recorder.states == [True, False, True]


async def test_become_a_replica(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock
) -> None:
    """A read-only Redis still answers; all connections, that for reads too, are made anew to find the new master."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    await tier.get(NAME)
    async with Redis.from_url(own_redis.url) as operator:
        await operator.replicaof("127.0.0.1", str(free_port()))
        before = (await operator.info("stats"))["total_connections_received"]
        await tier.put(NAME, entry(no(START + SECOND)), game_id=GAME)
        found = await tier.get(NAME)
        after = (await operator.info("stats"))["total_connections_received"]
        await operator.replicaof("NO", "ONE")
    await tier.put(NAME, entry(no(START + SECOND)), game_id=GAME)

    assert (found, after - before) == (entry(yes()), 1)
    assert recorder.results(PUT) == [STORED, FAILED, STORED]


async def test_flushed(make_tier: MakeTier, own_redis: RedisServer) -> None:
    """A Redis that forgot everything, scripts too, is only empty."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    async with Redis.from_url(own_redis.url) as operator:
        await operator.flushall()
        await operator.script_flush()
    found = await tier.get(NAME)
    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert (found, await tier.get(NAME)) == (None, entry(yes()))


async def test_without_the_right_to_write(make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder) -> None:
    """A user who may only read does read."""
    await make_tier(own_redis.url).put(NAME, entry(yes()), game_id=GAME)
    async with Redis.from_url(own_redis.url) as operator:
        await operator.acl_setuser(
            "og", enabled=True, passwords=["+pw"], keys=["og:v2:*"], commands=["-@all", "+getrange"]
        )
    reader = make_tier(own_redis.url.replace("//", "//og:pw@"))

    await reader.put(NAME, entry(no(START + SECOND)), game_id=GAME)

    assert await reader.get(NAME) == entry(yes())
    assert recorder.results(PUT) == [STORED, FAILED]


async def test_the_documented_rights_are_enough(make_tier: MakeTier, own_redis: RedisServer) -> None:
    """Reading, storing and deleting work for a user who has exactly these."""
    async with Redis.from_url(own_redis.url) as operator:
        rights = ["-@all", "+getrange", "+evalsha", "+eval", "+set", "+unlink"]
        await operator.acl_setuser("og", enabled=True, passwords=["+pw"], keys=["og:v2:*"], commands=rights)
        tier = make_tier(own_redis.url.replace("//", "//og:pw@"))
        await tier.put(NAME, entry(yes()), game_id=GAME)
        found = await tier.get(NAME)
        await operator.set(redis_key(NAME), b"\x01")
        await tier.get(NAME)
        await tier.close()

        assert (found, await operator.exists(redis_key(NAME))) == (entry(yes()), 0)


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-ERR max number of clients reached\r\n",
        b"-ERR unknown command\r\n",
        b"-NOSCRIPT No matching script.\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ],
)
async def test_whatever_it_says(make_tier: MakeTier, recorder: Recorder, reply: bytes) -> None:
    """Error replies, nonsense and closed connections are failures that the caller does not see."""
    async with server_that_says(reply) as url:
        tier = make_tier(url)

        await tier.put(NAME, entry(yes()), game_id=GAME)

        assert await tier.get(NAME) is None
    assert (recorder.results(PUT), recorder.results(GET)) == ([FAILED], [FAILED])


async def test_half_a_reply(make_tier: MakeTier, recorder: Recorder, clock: FakeClock) -> None:
    """A reply that is never complete is given up when its time is over, and three of them open the circuit."""
    async with server_that_says(b"$99999\r\nnever complete") as url:
        tier = make_tier(url)
        for _ in range(4):
            asking = asyncio.ensure_future(tier.get(NAME))
            await asyncio.sleep(0)
            await clock.advance(REPLY_TIMEOUT)
            assert await asking is None

    assert recorder.results(GET) == [FAILED, FAILED, FAILED, SKIPPED]


async def test_slow_replies_open_the_circuit(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock
) -> None:
    """A Redis that answers later than callers wait is left alone, although all its replies arrive in the end."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    await tier.get(NAME)
    for _ in range(3):
        own_redis.pause()
        asking = asyncio.ensure_future(tier.get(NAME))
        await asyncio.sleep(0)
        await clock.advance(REPLY_TIMEOUT)
        await asking
        own_redis.resume()

    assert (await tier.get(NAME), recorder.results(GET)) == (None, [HIT, FAILED, FAILED, FAILED, SKIPPED])


async def test_late_redis_is_asked_by_no_question(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock
) -> None:
    """A Redis whose every reply comes too late costs three questions their wait, and no other one for as long as it is.

    The state says so all the time, and changes once it has answered three tries in time.
    """
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    await tier.get(NAME)
    for _ in range(20):
        own_redis.pause()
        asking = asyncio.ensure_future(tier.get(NAME))
        await clock.advance(SECOND)  # a try, and the question, if it asks
        await clock.advance(REPLY_TIMEOUT)
        own_redis.resume()
        await asking
    late = recorder.results(GET)
    await until_back(clock, lambda: recorder.states[-1])

    assert late == [HIT, *[FAILED] * 3, *[SKIPPED] * 17]
    assert (await tier.get(NAME), recorder.states) == (entry(yes()), [True, False, True])


@pytest.mark.parametrize("lacking", ["getrange", "set"])
async def test_redis_that_fails_at_one_thing_is_lost_once(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock, lacking: str
) -> None:
    """A Redis that permits everything but reading, or but writing, does not seem to come back again and again."""
    async with Redis.from_url(own_redis.url) as operator:
        await operator.acl_setuser("default", enabled=True, commands=[f"-{lacking}"])
        tier = make_tier(own_redis.url)
        for _ in range(5):
            await tier.get(NAME)
            await tier.put(NAME, entry(yes()), game_id=GAME)
        for _ in range(10):
            await until_tried(clock)
        await operator.acl_setuser("default", enabled=True, commands=[f"+{lacking}"])
        lost = list(recorder.states)
        await until_back(clock, lambda: recorder.states[-1])

    assert (lost.count(False), lost[-1], recorder.states) == (1, False, [*lost, True])


async def test_a_time_out_says_less_than_another_cause(
    make_tier: MakeTier, recorder: Recorder, clock: FakeClock
) -> None:
    """Redis is silent to readers and full to writers, and it is the latter that an operator is told."""
    refused = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refused
        while data := await reader.read(65_536):
            if b"EVAL" in data:
                refused += 1
                writer.write(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        tier = make_tier(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(3):
            reading = asyncio.ensure_future(tier.get(NAME))
            await asyncio.sleep(0)
            await clock.advance(REPLY_TIMEOUT)
            await reading
        for _ in range(3):
            await tier.put(NAME, entry(yes()), game_id=GAME)
        before = list(recorder.causes)

        while refused < 2 * 3:  # three puts, and as many tries
            await clock.advance(REPLY_TIMEOUT)
            await asyncio.sleep(0.001)
        await tier.close()

    assert before == recorder.causes == [Cause.TIMEOUT, Cause.FULL]


async def test_reads_that_fail_together_are_one_failure(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder, clock: FakeClock
) -> None:
    """A hundred reads in one short pause of Redis do not open the circuit."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    await tier.get(NAME)
    own_redis.pause()
    asking = asyncio.gather(*(tier.get(NAME) for _ in range(100)))
    await asyncio.sleep(0)
    await clock.advance(REPLY_TIMEOUT)
    await asking
    own_redis.resume()

    assert (await tier.get(NAME), recorder.results(GET)) == (entry(yes()), [HIT, *[FAILED] * 100, HIT])


async def test_connections_that_the_server_closed_cost_nothing(
    make_tier: MakeTier, own_redis: RedisServer, recorder: Recorder
) -> None:
    """An idle connection that is gone is replaced within the same question."""
    tier = make_tier(own_redis.url)
    await tier.put(NAME, entry(yes()), game_id=GAME)
    async with Redis.from_url(own_redis.url) as operator:
        for _ in range(5):
            await operator.client_kill_filter(_type="normal", skipme=True)
            await tier.get(NAME)

    assert recorder.results(GET) == [HIT] * 5


def test_closed_connections_cost_nothing_under_uvloop_either(own_redis: RedisServer, recorder: Recorder) -> None:
    """The event loop that production uses reports a closed connection in its own way."""

    async def ask() -> CacheEntry | None:
        async with Redis.from_url(own_redis.url) as operator, connect(RedisUrl(own_redis.url)) as client:
            tier = RedisTier(
                client=client,
                sealer=sealer(),
                clock=FakeClock(),
                on_operation=recorder.operation,
                on_state=recorder.state,
            )
            await tier.put(NAME, entry(yes()), game_id=GAME)
            await operator.client_kill_filter(_type="normal", skipme=True)
            found = await tier.get(NAME)
            await tier.close()
            return found

    assert uvloop.run(ask()) == entry(yes())


async def test_cancelled_questions_mix_up_no_replies(make_tier: MakeTier, own_redis: RedisServer) -> None:
    """With a third of all reads given up half-way, every answer still belongs to its question."""
    tier = make_tier(own_redis.url)
    for number in range(30):
        await tier.put(name_of(number), entry(yes(id=number)), game_id=GAME)

    async def ask(number: int) -> bool:
        task = asyncio.ensure_future(tier.get(name_of(number % 30)))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 3 == 0:
            task.cancel()
        try:
            return await task in (None, entry(yes(id=number % 30)))
        except asyncio.CancelledError:
            return True

    for round_ in range(10):
        assert all(await asyncio.gather(*(ask(number + round_) for number in range(100))))
