"""Questions that wait for Redis or the store: an ordinary task each, and nothing is lost when something fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from redis.asyncio import Redis

from service.http.application import Listener
from service.http.connection import Request
from service.http.reply import Reply
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    asked_store,
    befall,
    pointing_at,
    sandbox_alone,
    store_calls,
    until,
    until_learned,
)

PATH = "/verify/user"
PLAYERS = range(1_000_000, 1_000_040)
"""They own nothing. Each is asked about once, so that only Redis can know."""


class WatchedClock(FakeClock):
    """Does something once, at the reading after so many more."""

    readings_left: int | None = None

    def do_after(self, readings: int, act: Callable[[], object]) -> None:
        """Do this then."""
        self.readings_left, self._act = readings, act

    def now(self) -> datetime:
        """Return the time."""
        if self.readings_left is not None:
            self.readings_left -= 1
            if self.readings_left < 0:
                self.readings_left = None
                self._act()
        return super().now()


def fail() -> None:
    """Do what nothing but a bug does."""
    raise RuntimeError("a bug of a test")


@pytest.fixture
def clock() -> WatchedClock:
    """The time of everything in a test."""
    return WatchedClock()


def question(user_id: int) -> bytes:
    """Return the body."""
    return b'{"game": 3, "user_id": %d}' % user_id


def begin(gateway: Asker, user_id: int) -> asyncio.Task[Reply] | Reply:
    """Ask as a connection does."""
    request = Request(
        method=b"POST",
        target=PATH.encode(),
        headers={b"host": b"gateway", b"content-type": b"application/json"},
        body=question(user_id),
    )
    return gateway.gateway.http.application.answer(request, Listener.EVERYTHING)


def waiting(gateway: Asker, user_id: int) -> asyncio.Task[Reply]:
    """Ask what is not in memory."""
    answer = begin(gateway, user_id)
    assert isinstance(answer, asyncio.Task)
    return answer


async def answered(answer: asyncio.Task[Reply] | Reply) -> Reply:
    """Return the reply."""
    return answer if isinstance(answer, Reply) else await answer


async def ended(task: asyncio.Task[Reply]) -> None:
    """Return once it has ended, however."""
    await asyncio.wait((task,))


@asynccontextmanager
async def behind_another(
    open_with: Open, redis: Redis, clock: FakeClock, players: range
) -> AsyncIterator[tuple[Asker, Sandbox]]:
    """Open a gateway that can know these players from Redis, because another one has asked the store about them."""
    async with sandbox_alone(clock) as (sandbox, base_url):
        toml = f'secret = "{SECRET}"\n' + pointing_at(base_url) + X_MOON
        one = await open_with(toml, sandbox=False, redis=redis)
        await until_learned(one.gateway)
        for player in players:
            await one.http.post(PATH, content=question(player), headers={"content-type": "application/json"})
        async with asyncio.timeout(10):
            while await redis.dbsize() < len(players):  # noqa: ASYNC110 - Redis sets no event
                await asyncio.sleep(0.001)
        other = await open_with(toml, sandbox=False, redis=redis)
        await until_learned(other.gateway)
        sandbox.journal.clear()
        yield other, sandbox


async def test_answer_is_logged_and_counted_as_any_other(
    empty_redis: Redis, open_with: Open, clock: WatchedClock, log: LogLines
) -> None:
    """The answer has the headers that say where it came from, how old it is, and how long it lasts."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS[:1]) as (gateway, sandbox):
        await clock.advance(timedelta(seconds=5))
        log.written = b""
        reply = await answered(begin(gateway, PLAYERS[0]))
        decision, line = json.loads(reply.body), await log.line("verified")

        assert (decision["outcome"], decision["cache"], store_calls(sandbox)) == ("not_owned", "redis", 0)
        assert reply.headers["cache-status"] == "ownership-gateway; hit; ttl=40; detail=redis"
        assert (reply.headers["age"], line["age_seconds"]) == ("5", 5)
        assert (line["decision_id"], line["request_id"]) == (decision["decision_id"], reply.headers["x-request-id"])
        assert await gateway.metric("decisions_total", cache="redis", method="user", reason="no_download_key") == 1
        assert await gateway.metric("decision_seconds_count", cache="redis", method="user") == 1


async def test_caller_that_goes_meanwhile_leaves_nothing_behind(
    empty_redis: Redis, open_with: Open, clock: WatchedClock, log: LogLines
) -> None:
    """The caller may leave at any point of the way, and the next question is answered."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS) as (gateway, sandbox):
        for turns, player in enumerate(PLAYERS):
            response = waiting(gateway, player)
            for _ in range(turns):
                await asyncio.sleep(0)
            response.cancel()
            await ended(response)
            assert json.loads((await answered(begin(gateway, player))).body)["outcome"] == "not_owned"

        assert store_calls(sandbox) == 0
        assert not log.lines("bug")


async def test_caller_that_goes_while_the_store_is_asked_leaves_nothing_behind(gateway: Asker, log: LogLines) -> None:
    """A caller may leave at any moment, also when the answer has come and is not yet on its way."""
    befall(gateway.sandbox, latency_ms=1000)
    for turns, player in enumerate(PLAYERS):
        response = waiting(gateway, player)
        for endpoint in (StoreEndpoint.DOWNLOAD_KEYS, StoreEndpoint.PURCHASES):
            await _let_answer(gateway, endpoint, asked=turns + 1)
        for _ in range(turns):
            await asyncio.sleep(0)
        response.cancel()
        await ended(response)

    assert not log.lines("bug")


async def _let_answer(gateway: Asker, endpoint: StoreEndpoint, *, asked: int) -> None:
    """Let the time pass that the store takes, once it has been asked there so often."""
    await until(lambda: asked_store(gateway.sandbox, endpoint) == asked)
    await gateway.clock.advance(timedelta(seconds=1))


@pytest.mark.parametrize("readings", range(6))
async def test_bug_on_the_way_is_a_500_and_a_line(
    empty_redis: Redis, open_with: Open, clock: WatchedClock, log: LogLines, readings: int
) -> None:
    """A bug before or after Redis is read is answered, and so is the next question."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS[:2]) as (gateway, _):
        clock.do_after(1 + readings, fail)  # the first one is that it came in
        async with asyncio.timeout(10):
            reply = await answered(begin(gateway, PLAYERS[0]))
        failed, clock.readings_left = clock.readings_left is None, None
        if failed:
            await log.line("bug")

        assert reply.status == (500 if failed else 200)
        assert (await answered(begin(gateway, PLAYERS[1]))).status == 200


async def test_bug_about_what_memory_knows_is_a_500_and_a_line(
    gateway: Asker, clock: WatchedClock, log: LogLines
) -> None:
    """A bug in a question that waits for nothing is answered like any other."""
    await answered(begin(gateway, PLAYERS[0]))
    clock.do_after(1, fail)
    reply = await answered(begin(gateway, PLAYERS[0]))
    await log.line("bug")

    assert reply.status == 500


@pytest.mark.parametrize("readings", range(5))
async def test_caller_that_goes_while_it_is_being_decided_leaves_nothing_behind(
    empty_redis: Redis, open_with: Open, clock: WatchedClock, log: LogLines, readings: int
) -> None:
    """A caller may leave while its answer is made, and the next question is answered."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS[:1]) as (gateway, _):
        response = waiting(gateway, PLAYERS[0])
        clock.do_after(readings, response.cancel)
        await ended(response)
        clock.readings_left = None

        assert (await answered(begin(gateway, PLAYERS[0]))).status == 200
        assert not log.lines("bug")
