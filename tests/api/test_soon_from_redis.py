"""Plain questions that Redis can answer: nobody waits for it in a task, and nothing is lost when something fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from redis.asyncio import Redis

from service.api.response_bytes import Response
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.conftest import Open
from tests.api.test_prompt import request
from tests.api.test_soon import SERVER, answered
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


def begin(gateway: Asker, user_id: int) -> asyncio.Future[Response]:
    """Show the gateway the whole question, which it must take."""
    response = gateway.gateway.asgi.answer_soon(request(body=question(user_id), path=PATH), SERVER)
    assert response is not None
    return response


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
    """With the headers that say where it came from, how old it is, and how long it lasts."""
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


async def test_whoever_goes_meanwhile_leaves_nothing_behind(
    empty_redis: Redis, open_with: Open, clock: WatchedClock, log: LogLines
) -> None:
    """Wherever the answer was on its way; and the next one who asks gets it."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS) as (gateway, sandbox):
        for turns, player in enumerate(PLAYERS):
            response = begin(gateway, player)
            for _ in range(turns):
                await asyncio.sleep(0)
            response.cancel()
            await until(lambda: gateway.gateway.asgi.in_flight() == 0)
            assert json.loads((await answered(begin(gateway, player))).body)["outcome"] == "not_owned"

        assert store_calls(sandbox) == 0
        assert not log.lines("bug")


async def test_whoever_goes_while_the_store_is_asked_leaves_nothing_behind(gateway: Asker, log: LogLines) -> None:
    """At whatever moment: also when the answer has come and is not yet on its way."""
    befall(gateway.sandbox, latency_ms=1000)
    for turns, player in enumerate(PLAYERS):
        response = begin(gateway, player)
        before = asked_store(gateway.sandbox, StoreEndpoint.PURCHASES)
        await until(lambda: gateway.gateway.asgi.in_flight() == 1)
        advancing = asyncio.ensure_future(_advance_until(gateway, before))
        await asyncio.wait((advancing,))
        for _ in range(turns):
            await asyncio.sleep(0)
        response.cancel()
        await until(lambda: gateway.gateway.asgi.in_flight() == 0)

    assert not log.lines("bug")


async def _advance_until(gateway: Asker, asked: int) -> None:
    """Let time pass until the store has been asked for purchases, the last thing that it is asked."""
    while asked_store(gateway.sandbox, StoreEndpoint.PURCHASES) == asked:
        await gateway.clock.advance(timedelta(milliseconds=500))
    await gateway.clock.advance(timedelta(seconds=1))


@pytest.mark.parametrize("readings", range(6))
async def test_bug_on_the_way_is_a_500_and_a_line(
    empty_redis: Redis, open_with: Open, clock: WatchedClock, log: LogLines, readings: int
) -> None:
    """Before Redis is read, or after: whoever asked is not left waiting, and those who ask next are answered."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS[:2]) as (gateway, _):
        clock.do_after(1 + readings, fail)  # the first one is that it came in
        async with asyncio.timeout(10):
            reply = await answered(begin(gateway, PLAYERS[0]))
        failed, clock.readings_left = clock.readings_left is None, None
        if failed:
            await log.line("bug")

        assert reply.status == (500 if failed else 200)
        assert gateway.gateway.asgi.in_flight() == 0
        assert (await answered(begin(gateway, PLAYERS[1]))).status == 200


async def test_bug_about_what_memory_knows_is_a_500_and_a_line(
    gateway: Asker, clock: WatchedClock, log: LogLines
) -> None:
    """Nobody waits for anything there, and it is the same."""
    await answered(begin(gateway, PLAYERS[0]))
    clock.do_after(1, fail)
    reply = await answered(begin(gateway, PLAYERS[0]))
    await log.line("bug")

    assert (reply.status, gateway.gateway.asgi.in_flight()) == (500, 0)


@pytest.mark.parametrize("readings", range(5))
async def test_whoever_goes_while_it_is_being_decided_leaves_nothing_behind(
    empty_redis: Redis, open_with: Open, clock: WatchedClock, log: LogLines, readings: int
) -> None:
    """The answer is there, and nobody to have it."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS[:1]) as (gateway, _):
        response = begin(gateway, PLAYERS[0])
        clock.do_after(readings, response.cancel)
        await asyncio.wait((response,))
        clock.readings_left = None
        await until(lambda: gateway.gateway.asgi.in_flight() == 0)

        assert (await answered(begin(gateway, PLAYERS[0]))).status == 200
        assert not log.lines("bug")


async def test_connection_is_closed_after_what_was_read_when_draining_began(
    empty_redis: Redis, open_with: Open, clock: WatchedClock
) -> None:
    """Its caller is to come back to another gateway; it is said once."""
    async with behind_another(open_with, empty_redis, clock, PLAYERS[:1]) as (gateway, _):
        response = begin(gateway, PLAYERS[0])
        gateway.gateway.asgi.draining = True
        done = await response

    assert done.closes
    assert done.write(b"date: today\r\n").count(b"connection: close\r\n") == 1
