"""A day without the store: proven owners play on, no new player gets in, and the grace ends to the second."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from msgspec import Struct
from redis.asyncio import Redis

from service.verification.interfaces import Clock
from tests.clock import FakeClock
from tests.gateways import SECRET, X_MOON, Asker, LogLines, opened, pointing_at, settings_from, until_learned
from tests.reliability.store import BASE_URL
from tests.reliability.town import Shop
from tests.sizes import OUTAGE_PLAYERS

NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY: Final = timedelta(hours=24)
HOUR: Final = timedelta(hours=1)
SECOND: Final = timedelta(seconds=1)
MOMENT: Final = timedelta(milliseconds=10)
FIRST: Final = 1_000_001
BATCH: Final = 100

ALL_OWN: Final = {(200, "owned"): OUTAGE_PLAYERS}
NO_ANSWER: Final = {(503, "unknown"): OUTAGE_PLAYERS}


class Parts(Struct, frozen=True):
    """The parts that a gateway is built from; a broken variant gets other ones."""

    transport: Callable[[Shop], httpx.AsyncBaseTransport] = lambda shop: shop
    clock: Callable[[FakeClock], Clock] = lambda clock: clock


class Day:
    """A gateway that can be restarted, and players: as many who own the game as do not. It begins at noon."""

    def __init__(self, parts: Parts, directory: Path, redis: Redis) -> None:
        self.clock = FakeClock(NOON)
        self.shop = Shop()
        self.owners = range(FIRST, FIRST + OUTAGE_PLAYERS)
        self.newcomers = range(self.owners.stop, self.owners.stop + OUTAGE_PLAYERS)
        self.shop.owners[3] = set(self.owners)
        self._parts = parts
        self._settings = settings_from(
            directory, f'secret = "{SECRET}"\n{pointing_at(BASE_URL)}{X_MOON}', sandbox=False
        )
        self._redis = redis
        self._stack = AsyncExitStack()
        self._gateway: Asker | None = None

    async def start(self) -> None:
        """Start the gateway, or start it anew: what it remembered by itself is gone."""
        await self.close()
        self._stack = AsyncExitStack()
        machine = self._parts.clock(self.clock)
        self._gateway = await self._stack.enter_async_context(
            opened(
                self._settings,
                clock=self.clock,
                real_clock=machine,
                redis_time=lambda _: machine.now(),
                log=LogLines(),
                level="error",
                redis=self._redis,
                transport=self._parts.transport(self.shop),
            )
        )

    async def close(self) -> None:
        """Close the gateway."""
        await self._stack.aclose()

    async def verify(self) -> None:
        """Have each owner's ownership proven."""
        assert self._gateway is not None
        await until_learned(self._gateway.gateway)
        assert await self.ask(self.owners) == ALL_OWN

    def leap(self, duration: timedelta) -> None:
        """Let time pass."""
        self.clock.jump(duration)

    async def ask(self, players: range) -> Counter[tuple[int, str]]:
        """Ask about all of them; return how often each answer came."""
        assert self._gateway is not None
        told: Counter[tuple[int, str]] = Counter()
        for first in range(players.start, players.stop, BATCH):
            some = range(first, min(first + BATCH, players.stop))
            items = [{"id": str(user), "method": "user", "user_id": user, "game": 3} for user in some]
            asking = asyncio.ensure_future(self._gateway.batch(*items))
            while not (await asyncio.wait([asking], timeout=0.1))[0]:
                await self.clock.advance(MOMENT)  # what was leased before is about to be let go of
            for result in (await asking).json()["results"]:
                body: Any = result.get("decision") or result["problem"]
                told[result["status"], body["outcome"]] += 1
        return told


async def nobody_loses_the_day(day: Day) -> None:
    """Every hour of the day, proven owners get in, and no other player does, also after a restart in the middle."""
    day.shop.away = True
    for hour in range(24):
        day.leap(HOUR if hour else 23 * SECOND)
        if hour in (7, 19):
            await day.start()
        assert await day.ask(day.owners) == ALL_OWN, hour
        assert await day.ask(day.newcomers) == NO_ANSWER, hour


async def it_ends_to_the_second(day: Day) -> None:
    """One second before the end all owners get in; then none does, and none gets a no."""
    day.shop.away = True
    day.leap(DAY - SECOND)
    assert await day.ask(day.owners) == ALL_OWN
    day.leap(SECOND)
    assert await day.ask(day.owners) == NO_ANSWER
    day.leap(SECOND)
    assert await day.ask(day.owners) == NO_ANSWER
    assert await day.ask(day.newcomers) == NO_ANSWER


async def a_no_ends_it_at_once(day: Day) -> None:
    """The store comes back for a moment, says no to ten owners, and goes away again."""
    day.shop.away = True
    day.leap(3 * HOUR)
    ten = range(FIRST, FIRST + 10)  # more than 19 would be held back, see test_revocations
    day.shop.owners[3] -= set(ten)
    day.shop.away = False
    assert await day.ask(ten) == {(200, "not_owned"): len(ten)}
    day.shop.away = True
    day.leap(46 * SECOND)
    assert await day.ask(ten) == {(503, "unknown"): len(ten)}
    await day.start()
    assert await day.ask(ten) == {(503, "unknown"): len(ten)}
    others = range(ten.stop, day.owners.stop)
    assert await day.ask(others) == {(200, "owned"): len(others)}


async def it_is_over_when_the_store_is_back(day: Day) -> None:
    """Five seconds after the store is back every player has a fresh answer."""
    day.shop.away = True
    day.leap(20 * HOUR)
    await day.ask(day.owners)
    await day.ask(day.newcomers)
    day.shop.away = False
    day.shop.owners[3] -= {FIRST}
    day.leap(5 * SECOND)
    assert await day.ask(day.owners) == {(200, "owned"): OUTAGE_PLAYERS - 1, (200, "not_owned"): 1}
    assert await day.ask(day.newcomers) == {(200, "not_owned"): OUTAGE_PLAYERS}


class Hasty:
    """Broken: a clock that is fast, so that grace is over too soon; or slow, so that it is never over."""

    def __init__(self, clock: FakeClock, *, pace: float) -> None:
        self._clock = clock
        self._pace = pace

    def now(self) -> datetime:
        """Return the time, as it goes here."""
        return NOON + (self._clock.now() - NOON) * self._pace

    def __getattr__(self, name: str) -> Any:
        """Be like the other clock in all else."""
        return getattr(self._clock, name)


class Credulous(httpx.AsyncBaseTransport):
    """Broken: a failure of the store is read as a yes, or as a no."""

    def __init__(self, shop: Shop, *, yes: bool) -> None:
        self._shop = shop
        self._yes = yes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer although there is no answer."""
        response = await self._shop.handle_async_request(request)
        if response.status_code == 200 or "user_id" not in request.url.params:
            return response
        other = Shop()
        other.owners[3] = {int(request.url.params["user_id"])} if self._yes else set()
        return await other.handle_async_request(request)


@pytest.mark.parametrize(
    "scenario", [nobody_loses_the_day, it_ends_to_the_second, a_no_ends_it_at_once, it_is_over_when_the_store_is_back]
)
async def test_a_day_without_the_store(
    scenario: Callable[[Day], Awaitable[None]], tmp_path: Path, empty_redis: Redis
) -> None:
    """Proven owners play on for 24 hours; a newer no, and the end of the grace, hold for all of them."""
    day = Day(Parts(), tmp_path, empty_redis)
    await day.start()
    try:
        await day.verify()
        await scenario(day)
    finally:
        await day.close()


BROKEN: Final = {
    "no answer is a yes": (Parts(transport=lambda shop: Credulous(shop, yes=True)), nobody_loses_the_day),
    "no answer is a no": (Parts(transport=lambda shop: Credulous(shop, yes=False)), nobody_loses_the_day),
    "grace is over too soon": (Parts(clock=lambda clock: Hasty(clock, pace=1.1)), nobody_loses_the_day),
    "grace is a second short": (Parts(clock=lambda clock: Hasty(clock, pace=1 + 2e-5)), it_ends_to_the_second),
    "grace is a second long": (Parts(clock=lambda clock: Hasty(clock, pace=1 - 3e-5)), it_ends_to_the_second),
    "a no is not heard": (Parts(clock=lambda clock: Hasty(clock, pace=0)), a_no_ends_it_at_once),
    "a yes is not renewed": (Parts(clock=lambda clock: Hasty(clock, pace=0)), it_is_over_when_the_store_is_back),
}


@pytest.mark.parametrize(("parts", "scenario"), BROKEN.values(), ids=BROKEN)
async def test_a_gateway_that_is_broken_fails(
    parts: Parts, scenario: Callable[[Day], Awaitable[None]], tmp_path: Path, empty_redis: Redis
) -> None:
    """A control: each of the stories above can fail."""
    day = Day(parts, tmp_path, empty_redis)
    await day.start()
    try:
        await day.verify()
        with pytest.raises(AssertionError):
            await scenario(day)
    finally:
        await day.close()
