"""The replicas' budgets while Redis is away: each spends its own part, and nothing is raised."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final, TypeAlias

import pytest
from redis.asyncio import Redis

from service.errors import Overloaded, SourceRateLimited
from service.limits.cluster_budget import ClusterBudget
from service.redis.connect import connect
from service.secret import RedisUrl
from tests.cache.wire import server_that_says
from tests.cluster.budgets import KEY, ClusterBench, drain
from tests.gateways import until
from tests.limits.buckets import BACKGROUND, FOREGROUND, seconds
from tests.redis.left_alone import until_back, until_tried
from tests.redis_server import RedisServer, free_port

BURST: Final = 12
OWN: Final = 4
"""The part of it that each of three replicas may spend without Redis."""

Act: TypeAlias = Callable[[RedisServer, Redis], Awaitable[None]]


async def kill(server: RedisServer, operator: Redis) -> None:
    """Redis is killed."""
    server.kill()


async def start(server: RedisServer, operator: Redis) -> None:
    """Redis starts again, empty."""
    server.start()


async def pause(server: RedisServer, operator: Redis) -> None:
    """Redis accepts everything and answers nothing."""
    server.pause()


async def resume(server: RedisServer, operator: Redis) -> None:
    """Redis answers again."""
    server.resume()


async def make_replica(server: RedisServer, operator: Redis) -> None:
    """Redis refuses to write."""
    await operator.replicaof("127.0.0.1", str(free_port()))


async def make_master(server: RedisServer, operator: Redis) -> None:
    """Redis writes again."""
    await operator.replicaof("NO", "ONE")


async def fill(server: RedisServer, operator: Redis) -> None:
    """Redis is full, and evicts nothing."""
    await operator.config_set("maxmemory", 1)


async def empty(server: RedisServer, operator: Redis) -> None:
    """Redis has room again."""
    await operator.config_set("maxmemory", 0)


async def forbid(server: RedisServer, operator: Redis) -> None:
    """Scripts are forbidden."""
    await operator.acl_setuser("default", enabled=True, commands=["-evalsha", "-eval"])


async def permit(server: RedisServer, operator: Redis) -> None:
    """Scripts are permitted again."""
    await operator.acl_setuser("default", enabled=True, commands=["+evalsha", "+eval"])


FAILURES: Final = pytest.mark.parametrize(
    ("failing", "healing"),
    [(kill, start), (pause, resume), (make_replica, make_master), (fill, empty), (forbid, permit)],
    ids=["killed", "silent", "read-only", "full", "forbidden"],
)


@asynccontextmanager
async def replicas(
    url: str, *, rate: float = 1 / 50, longest_wait: float = 0, patient: bool = False
) -> AsyncIterator[ClusterBench]:
    """Open three replicas with the gateway's own client and its time-outs, or `patient` ones for a busy machine."""
    async with AsyncExitStack() as stack:
        client = Redis.from_url(url, socket_timeout=10) if patient else connect(RedisUrl(url))
        stack.push_async_callback(client.aclose)
        assert isinstance(client, Redis)
        operator = await stack.enter_async_context(Redis.from_url(url))
        bench = ClusterBench(client, operator, rate=rate, burst=BURST, timeout=longest_wait, replicas=3)
        stack.push_async_callback(bench.settle)
        yield bench


async def fail(budget: ClusterBudget) -> None:
    """Ask for a turn that costs nothing, so that the replica finds out that Redis is away."""
    with pytest.raises(Overloaded):
        await budget.acquire(BACKGROUND)


async def shared_again(bench: ClusterBench) -> None:
    """Let Redis be found again by all replicas."""
    await until_back(bench.clock, lambda: all(budget._scripts.healthy for budget in bench.budgets))


@FAILURES
async def test_each_spends_its_own_part(own_redis: RedisServer, failing: Act, healing: Act) -> None:
    """Each replica sends its own part in one burst, without an error, and no more."""
    async with replicas(own_redis.url) as bench:
        await failing(own_redis, bench.operator)

        taken = [await drain(budget) for budget in bench.budgets]

        await healing(own_redis, bench.operator)
        assert taken == [OWN] * 3


@FAILURES
async def test_a_healed_redis_is_used_again(own_redis: RedisServer, failing: Act, healing: Act) -> None:
    """Five seconds later the replicas share one budget again, which begins empty: there is no second burst."""
    async with replicas(own_redis.url) as bench:
        await failing(own_redis, bench.operator)
        for budget in bench.budgets:
            await drain(budget)
        await healing(own_redis, bench.operator)
        healed_at = bench.clock.monotonic()
        await shared_again(bench)
        away = bench.clock.monotonic() - healed_at

        at_once = [await drain(budget) for budget in bench.budgets]
        await bench.pass_time(600)
        later = sum([await drain(budget) for budget in bench.budgets])

        assert away >= 5
        assert at_once == [0, 0, 0]
        assert later == BURST


async def test_who_has_left_asks_redis_for_nothing(own_redis: RedisServer) -> None:
    """After one failure Redis gets no request for a turn, though it answers, until five seconds have passed."""
    async with replicas(own_redis.url) as bench:
        await drain(bench.budget)
        own_redis.kill()
        await fail(bench.budget)
        own_redis.start()
        for _ in range(4):
            await until_tried(bench.clock)
            await fail(bench.budget)
            assert not await bench.operator.exists(KEY)
        await shared_again(bench)

        await fail(bench.budget)

        assert await bench.operator.exists(KEY)


async def test_who_is_alone_without_redis_adds_its_own_part(own_redis: RedisServer) -> None:
    """The others, who cannot know, share the whole rate: together they send a third more than it, and no burst more."""
    async with replicas(own_redis.url, patient=True) as bench:
        burst = sum([await drain(budget) for budget in bench.budgets])
        bench.budget.spend_own_part(must=True)  # as when it alone sees Redis fail
        sent = 0
        for _ in range(50):
            await bench.pass_time(30)
            sent += sum([await drain(budget) for budget in bench.budgets])

    in_that_time = 50 * 30 / 50
    assert burst == BURST
    assert in_that_time < sent <= in_that_time * 4 / 3 + 1


@pytest.mark.parametrize(
    ("failing", "healing"), [(kill, start), (forbid, permit)], ids=["comes back empty", "comes back as it was"]
)
async def test_redis_that_comes_and_goes_gives_one_burst(own_redis: RedisServer, failing: Act, healing: Act) -> None:
    """Redis is there for 1.5 seconds and away for as long, again and again, and the replicas ask without pause.

    They send one burst, and from then on no more than the rate allows, whichever of the two ledgers they spend from.
    """
    rate, step = 6.0, 0.1
    async with replicas(own_redis.url, rate=rate, patient=True) as bench:
        sent, there = [], True
        for number in range(300):
            if number and number % 15 == 0:
                there = not there
                await (healing if there else failing)(own_redis, bench.operator)
                await bench.operator.connection_pool.disconnect()  # one that was closed would be an error of ours
            sent.append(sum([await drain(budget) for budget in bench.budgets]))
            if there or failing is not kill:
                await bench.pass_in_redis(step)
            await bench.clock.advance(seconds(step))
            await until(lambda: bench.clock.sleepers == sum(not budget._scripts.healthy for budget in bench.budgets))
        await healing(own_redis, bench.operator)

    one_second = round(1 / step)
    each_second = [sum(sent[at : at + one_second]) for at in range(one_second, len(sent) - one_second)]
    assert sent[0] == BURST
    assert sum(sent) <= BURST + rate * len(sent) * step
    assert max(each_second) <= rate + len(bench.budgets)  # each may be a fraction of a request ahead
    assert sum(sent) > BURST + rate * len(sent) * step * 0.8  # nor do they stand still


async def test_replicas_that_do_not_share_spend_their_own_part(own_redis: RedisServer) -> None:
    """They do so as long as they are told to, though Redis answers; each change begins with an empty bucket."""
    async with replicas(own_redis.url, rate=6, patient=True) as bench:
        shared = sum([await drain(budget) for budget in bench.budgets])
        for budget in bench.budgets:
            budget.spend_own_part(must=True)
        at_once = sum([await drain(budget) for budget in bench.budgets])
        await bench.pass_time(60)
        alone = [await drain(budget) for budget in bench.budgets]
        for budget in bench.budgets:
            budget.spend_own_part(must=False)
        at_first = sum([await drain(budget) for budget in bench.budgets])
        await bench.pass_time(60)
        together = sum([await drain(budget) for budget in bench.budgets])

    assert (shared, at_once, alone, at_first, together) == (BURST, 0, [OWN] * 3, 0, BURST)


async def test_losing_redis_gives_no_second_burst(own_redis: RedisServer) -> None:
    """Turns that came from Redis are taken from the replica's own part too."""
    async with replicas(own_redis.url) as bench:
        taken = await drain(bench.budget)
        own_redis.kill()

        assert (taken, await drain(bench.budget)) == (BURST, 0)


async def test_losing_redis_sends_nothing_beside_the_turns_that_it_gave(own_redis: RedisServer) -> None:
    """The turns that Redis gave are still used: the next caller is sent after the last of them."""
    async with replicas(own_redis.url, rate=3, longest_wait=100) as bench:
        budget, clock = bench.budget, bench.clock
        for _ in range(BURST):
            await budget.acquire(FOREGROUND)
        waiting = [asyncio.ensure_future(budget.acquire(FOREGROUND)) for _ in range(6)]
        await until(lambda: clock.sleepers == len(waiting))
        own_redis.kill()

        late = asyncio.ensure_future(budget.acquire(FOREGROUND))
        await until(lambda: clock.sleepers == len(waiting) + 1)
        await clock.advance(seconds(2))
        sent = [task.done() for task in [*waiting, late]]
        await clock.advance(seconds(10))
        await late

    assert sent == [True] * 6 + [False]


async def test_a_pause_outlives_redis(own_redis: RedisServer) -> None:
    """A replica that knows of the pause keeps to it, also when Redis comes back empty."""
    async with replicas(own_redis.url) as bench:
        one, other, _ = bench.budgets
        one.refused(seconds(20))
        await bench.settle()
        with pytest.raises(SourceRateLimited):
            await other.acquire(FOREGROUND)
        own_redis.kill()

        for budget in (one, other):
            with pytest.raises(SourceRateLimited):
                budget.admit(FOREGROUND, within=timedelta(days=1))
            with pytest.raises(SourceRateLimited):
                await budget.acquire(FOREGROUND)
        own_redis.start()
        bench.clock.jump(seconds(19))
        for budget in (one, other):
            with pytest.raises(SourceRateLimited):
                await budget.acquire(FOREGROUND)
        bench.clock.jump(seconds(1))

        await one.acquire(FOREGROUND)
        await other.acquire(FOREGROUND)


async def test_a_refusal_that_redis_never_hears_of_is_kept(own_redis: RedisServer) -> None:
    """The replica that was refused remembers the pause, and makes the next ones longer by itself."""
    async with replicas(own_redis.url) as bench:
        own_redis.kill()
        for _ in range(3):
            bench.budget.refused(None)
            bench.clock.jump(bench.budget.pause_left())
        await bench.settle()

        assert bench.reported.pauses == [seconds(1), seconds(2), seconds(4)]


async def test_without_redis_admission_and_tokens_are_its_own(own_redis: RedisServer) -> None:
    """A caller gets the tokens of this replica, not those of the cluster."""
    async with replicas(own_redis.url) as bench:
        own_redis.kill()
        await drain(bench.budget, most=OWN - 1)
        bench.budget.admit(FOREGROUND, within=timedelta())
        await bench.budget.acquire(FOREGROUND)
        await fail(bench.budget)

        assert bench.budget.tokens() < 1
        with pytest.raises(Overloaded) as raised:
            bench.budget.admit(FOREGROUND, within=timedelta())
        # A token every 50 seconds for all is one every 150 for each of three.
        assert raised.value.retry_after == seconds(150)


async def test_who_waits_for_a_turn_from_redis_gets_it_without_redis(own_redis: RedisServer) -> None:
    """A turn that Redis gave out stays valid when Redis is away."""
    async with replicas(own_redis.url, longest_wait=60) as bench:
        await bench.budget.acquire(FOREGROUND)
        await drain(bench.budgets[1], most=BURST - 1)
        waiting = asyncio.create_task(bench.budget.acquire(FOREGROUND))
        await until(lambda: bench.clock.sleepers)
        own_redis.kill()

        await bench.clock.advance(seconds(50))

        await waiting


@pytest.mark.parametrize(
    "reply",
    [
        b":1\r\n",
        b"+OK\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*1\r\n:1\r\n",
        b"*4\r\n:2\r\n:0\r\n:0\r\n:1000\r\n",
        b"*4\r\n:1\r\n:-1\r\n:0\r\n:1000\r\n",
        b"*4\r\n:1\r\n:9223372036854775807\r\n:0\r\n:1000\r\n",
        b"*4\r\n:1\r\n:0\r\n:0\r\n:0\r\n",
        b"*4\r\n$1\r\n1\r\n:0\r\n:0\r\n:1000\r\n",
        b"-ERR unknown command\r\n",
        b"-NOSCRIPT No matching script.\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ],
)
async def test_whatever_it_says(reply: bytes) -> None:
    """A reply that our script would not give counts as none: the replica spends its own part."""
    async with server_that_says(reply) as url, replicas(url) as bench:
        bench.budget.refused(timedelta())
        bench.budget.answered()
        await bench.settle()

        assert await drain(bench.budget) == OWN
        assert bench.budget.pause_left() == timedelta()


async def test_closing_waits_for_nobody_for_long(own_redis: RedisServer) -> None:
    """A Redis that does not answer delays no gateway's end."""
    async with replicas(own_redis.url) as bench:
        own_redis.pause()
        for _ in range(50):
            bench.budget.refused(seconds(1))

        async with asyncio.timeout(5):
            await bench.budget.close()
        own_redis.resume()
