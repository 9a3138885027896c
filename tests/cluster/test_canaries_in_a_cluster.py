"""Three gateways with one Redis, four games and their canaries."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.canaries import turns
from service.redis.connect import RedisClient, connect
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from service.secret import RedisUrl
from tests.cache.conftest import close
from tests.canaries.watched import (
    FIVE_MINUTES,
    OWNER,
    SECOND,
    STRANGER,
    TEN_SECONDS,
    asked,
    canary_lines,
    pass_time,
    pass_until,
    shown,
    watching,
)
from tests.clock import FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import Asker, LogLines, befall, until
from tests.redis_server import RedisServer

GAMES: Final = (seed.GAME_ID, seed.OTHER_GAME_ID, 10, 11)
CANARIES: Final = 2 * len(GAMES)
ANSWERS: Final = {OWNER: 1.0, STRANGER: 1.0, ("game-4", "owner"): 0.0, ("game-4", "stranger"): 1.0}
"""What all show once each canary of the games was asked about; the store does not know the last two games."""
PLENTY_SECONDS: Final = 120

MakeClient = Callable[[str], RedisClient | None]


class EveryTurn(Redis):
    """Grants every turn: broken on purpose."""

    async def evalsha(self, sha: str, *arguments: Any) -> Any:
        """Run the script, unless it is the one that takes a turn."""
        if sha == turns._TAKE._sha:
            return [0, 0, b""]
        return await super().evalsha(sha, *arguments)


def one_redis(url: str) -> RedisClient:
    """Make a client of the Redis that all share."""
    return connect(RedisUrl(url))


def every_turn(url: str) -> Redis:
    """Make a client for which every turn is free."""
    return EveryTurn.from_url(url)


def no_redis(url: str) -> None:
    """Make none: each replica for itself."""


class Replicas:
    """Gateways in front of one sandbox, and the time they live in."""

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self.clock = FakeClock()
        self.log = LogLines()
        self.sandbox = Sandbox(clock=self.clock)
        self._directory = directory
        self._stack = stack

    async def open(
        self, number: int, url: str, *, make_client: MakeClient = one_redis, games: Iterable[int] = GAMES
    ) -> list[Asker]:
        """Open so many gateways with the canaries of these games."""
        toml = "".join(canary_lines(game=game) for game in games)
        askers = []
        for _ in range(number):
            client = make_client(url)
            if client is not None:
                self._stack.push_async_callback(close, client)
            opening = watching(
                self._directory, toml, sandbox=self.sandbox, clock=self.clock, log=self.log, redis=client
            )
            askers.append(await self._stack.enter_async_context(opening))
        return askers

    async def counts(self, seconds: int, redis: Redis) -> list[int]:
        """Return the number of look-ups so far, after each of so many seconds."""
        counts = []
        for _ in range(seconds):
            await pass_time(self.clock, SECOND, step=SECOND, redis=redis)
            counts.append(asked(self.sandbox).total())
        return counts

    async def until_all_are_asked(self, redis: Redis, number: int = CANARIES) -> None:
        """Return once each canary was asked about since the journal was cleared."""
        await pass_until(lambda: len(asked(self.sandbox)) == number, self.clock, redis=redis)

    async def until_all_show(self, askers: list[Asker], expected: dict[tuple[str, str], float], redis: Redis) -> None:
        """Return once all gateways show this of their canaries, with the same instants."""
        async with asyncio.timeout(PLENTY_SECONDS):
            while True:
                instants = [await shown(asker, "canary_checked_at") for asker in askers]
                if [await shown(asker) for asker in askers] == [expected] * len(askers) and all(
                    one == instants[0] for one in instants
                ):
                    return
                await pass_time(self.clock, TEN_SECONDS, redis=redis)


@pytest.fixture
async def replicas(tmp_path: Path, empty_redis: Redis) -> AsyncIterator[Replicas]:
    """Gateways to be opened, which close before Redis."""
    async with AsyncExitStack() as stack:
        yield Replicas(tmp_path, stack)


@variants(one_redis, without_turns=every_turn, without_redis=no_redis)
async def test_one_look_up_in_ten_seconds(
    variant: Variant[MakeClient], replicas: Replicas, redis_url: str, empty_redis: Redis
) -> None:
    """Over four games and three replicas, until each canary was asked about."""
    await replicas.open(3, redis_url, make_client=variant.make)
    counts = await replicas.counts(60, empty_redis)

    with promised(variant):
        assert all(count <= second / 10 for second, count in enumerate(counts, start=1))
    await replicas.until_all_are_asked(empty_redis)


@variants(one_redis, without_turns=every_turn)
async def test_each_canary_once_in_five_minutes(
    variant: Variant[MakeClient], replicas: Replicas, redis_url: str, empty_redis: Redis
) -> None:
    """Whichever replica asks."""
    await replicas.open(2, redis_url, make_client=variant.make, games=[seed.GAME_ID])
    await pass_time(replicas.clock, FIVE_MINUTES - 2 * TEN_SECONDS, redis=empty_redis)

    with promised(variant):
        assert max(asked(replicas.sandbox).values()) == 1
    await replicas.until_all_are_asked(empty_redis, number=2)


async def test_all_show_and_log_what_one_was_told(replicas: Replicas, redis_url: str, empty_redis: Redis) -> None:
    """Answers and their instants are those of the replica that asked."""
    askers = await replicas.open(2, redis_url, games=[seed.GAME_ID])
    await replicas.until_all_show(askers, {OWNER: 1, STRANGER: 1}, empty_redis)
    befall(replicas.sandbox, endpoint=StoreEndpoint.DOWNLOAD_KEYS, body='{"errors":["no download key found"]}')
    await replicas.until_all_show(askers, {OWNER: 0, STRANGER: 1}, empty_redis)
    await until(lambda: len(replicas.log.lines("canary_failed")) == 2)

    assert {line["expect"] for line in replicas.log.lines("canary_failed")} == {"owner"}


async def test_a_gateway_that_starts_shows_what_is_known(
    replicas: Replicas, redis_url: str, empty_redis: Redis
) -> None:
    """A restart costs no look-up before its time."""
    first = await replicas.open(1, redis_url)
    await replicas.until_all_show(first, ANSWERS, empty_redis)
    await replicas.until_all_are_asked(empty_redis)
    replicas.sandbox.journal.clear()
    second = await replicas.open(1, redis_url)
    await replicas.until_all_show(second, ANSWERS, empty_redis)

    assert asked(replicas.sandbox) == {}


async def test_redis_lost_and_back_makes_no_burst(replicas: Replicas, own_redis: RedisServer) -> None:
    """While it is away none is asked, and what was known is shown; then one in ten seconds, although it is empty."""
    askers = await replicas.open(3, own_redis.url)
    async with Redis.from_url(own_redis.url) as operator:
        await replicas.until_all_are_asked(operator)
        await replicas.until_all_show(askers, ANSWERS, operator)
    own_redis.kill()
    await pass_time(replicas.clock, TEN_SECONDS, step=SECOND)
    replicas.sandbox.journal.clear()
    await pass_time(replicas.clock, FIVE_MINUTES)
    away, meanwhile = asked(replicas.sandbox), await shown(askers[0])
    own_redis.start()
    async with Redis.from_url(own_redis.url) as operator:
        counts = await replicas.counts(60, operator)
        await replicas.until_all_are_asked(operator)

    assert away == {}
    assert meanwhile == ANSWERS
    assert all(count <= second / 10 for second, count in enumerate(counts, start=1))
