"""Whole gateways that share a Redis: an invalidation or an observation at one of them holds for all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
from redis.asyncio import Redis

from service.api.paths import INVALIDATE_PATH
from service.cache.leases import LOOK_EVERY
from service.ownership import Method
from service.redis.connect import RedisClient, connect
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.secret import RedisUrl
from tests.cache.conftest import close
from tests.clock import FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    befall,
    opened,
    pointing_at,
    sandbox_alone,
    settings_from,
    until_learned,
)
from tests.redis_server import RedisServer

PROMISED: Final = timedelta(seconds=2)
_TIMEOUT_SECONDS: Final = 0.2
STEP: Final = timedelta(milliseconds=500)
OTHER_SECRET: Final = SECRET[::-1]


class Gateways:
    """Gateways in front of one store and one Redis."""

    def __init__(self, *, members: list[Asker], sandbox: Sandbox, redis: RedisClient | None, clock: FakeClock) -> None:
        self.members = members
        self.sandbox = sandbox
        self.clock = clock
        self.redis: RedisClient | None = redis
        """A client to ask Redis with; None while it is away."""

    async def pass_time(self, duration: timedelta = PROMISED) -> None:
        """Let time pass, with the traffic through Redis arriving at every step."""
        for _ in range(duration // STEP):
            await self.rest()
            await self.clock.advance(STEP)
        await self.rest()

    async def rest(self) -> None:
        """Wait for all replies of Redis: it answers in the order of the commands."""
        for _ in range(3):
            await self.clock.advance(timedelta())
            if self.redis is not None:
                await self.redis.ping()

    async def outcomes(self, method: Method, credential: str | int) -> list[str]:
        """Ask each of them, once the results of the one before have arrived in Redis."""
        found = []
        for member in self.members:
            found.append((await self.ask(member, method, credential)).json()["outcome"])
            await self.rest()
        return found

    async def ask(self, member: Asker, method: Method, credential: str | int, **fields: object) -> httpx.Response:
        """Ask one of them; if it waits for another's look-up, let that time pass."""
        asking = asyncio.create_task(member.ask(method, credential, **fields))
        while not (await asyncio.wait([asking], timeout=_TIMEOUT_SECONDS))[0]:
            await self.clock.advance(LOOK_EVERY)
        return asking.result()

    async def invalidate(self, **body: object) -> None:
        """Tell the first of them."""
        response = await self.members[0].http.post(INVALIDATE_PATH, json={"game": 3, **body})
        assert response.status_code == 200


@asynccontextmanager
async def gateways(directory: Path, clock: FakeClock, redis: RedisClient, *secrets: str) -> AsyncIterator[Gateways]:
    """Open a gateway for each secret."""
    async with AsyncExitStack() as stack:
        sandbox, base_url = await stack.enter_async_context(sandbox_alone(clock))
        members = []
        for secret in secrets:
            toml = f'secret = "{secret}"\n' + pointing_at(base_url) + X_MOON
            settings = settings_from(directory, toml, sandbox=False)
            member = await stack.enter_async_context(opened(settings, clock=clock, log=LogLines(), redis=redis))
            await until_learned(member.gateway)
            members.append(member)
        yield Gateways(members=members, sandbox=sandbox, redis=redis, clock=clock)


THREE: Final = (SECRET, SECRET, SECRET)
STRANGERS: Final = (SECRET, OTHER_SECRET, OTHER_SECRET[1:])
"""Broken: gateways that cannot read what the others write."""


@variants(THREE, strangers=STRANGERS)
async def test_a_subject_is_forgotten_by_all(
    variant: Variant[tuple[str, ...]], tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """Within two seconds of an invalidation at one gateway, a refunded player gets in nowhere."""
    async with gateways(tmp_path, clock, empty_redis, *variant.make) as three:
        three.sandbox.world.buy([3], user_id=seed.STRANGER_ID)
        assert await three.outcomes(Method.USER, seed.STRANGER_ID) == ["owned"] * 3
        three.sandbox.world.refund(max(three.sandbox.world.purchases))

        await three.invalidate(user_id=seed.STRANGER_ID)
        await three.pass_time()

        with promised(variant):
            assert await three.outcomes(Method.USER, seed.STRANGER_ID) == ["not_owned"] * 3


async def test_a_game_is_forgotten_by_all(tmp_path: Path, clock: FakeClock, empty_redis: Redis) -> None:
    """All players of the game are forgotten; during an outage they are unknown, which is not a no."""
    async with gateways(tmp_path, clock, empty_redis, *THREE) as three:
        for key in (seed.OWNER_KEY, seed.SHORT_KEY):
            assert await three.outcomes(Method.DOWNLOAD_KEY, key) == ["owned"] * 3
        befall(three.sandbox, status=500)

        await three.invalidate()
        await three.pass_time()

        for key in (seed.OWNER_KEY, seed.SHORT_KEY):
            assert await three.outcomes(Method.DOWNLOAD_KEY, key) == ["unknown"] * 3


async def test_a_gateway_that_starts_afterwards_does_not_find_it_in_redis(
    tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """The entries are still in Redis, but older than the invalidation."""
    async with gateways(tmp_path, clock, empty_redis, SECRET) as one:
        await one.outcomes(Method.DOWNLOAD_KEY, seed.OWNER_KEY)
        await one.rest()
        await one.invalidate(download_key=seed.OWNER_KEY)
        await one.rest()
        befall(one.sandbox, status=500)
        settings = settings_from(
            tmp_path, f'secret = "{SECRET}"\n' + pointing_at("http://127.0.0.1:9") + X_MOON, sandbox=False
        )
        assert await empty_redis.keys("og:v2:e:*")

        async with opened(settings, clock=clock, log=LogLines(), redis=empty_redis) as late:
            await one.pass_time()

            assert (await one.ask(late, Method.DOWNLOAD_KEY, seed.OWNER_KEY)).json()["outcome"] == "unknown"


async def test_one_look_up_for_all_after_an_invalidation(tmp_path: Path, clock: FakeClock, empty_redis: Redis) -> None:
    """Each of them finds in Redis the result of the first."""
    async with gateways(tmp_path, clock, empty_redis, *THREE) as three:
        await three.outcomes(Method.DOWNLOAD_KEY, seed.OWNER_KEY)
        await three.invalidate(download_key=seed.OWNER_KEY)
        await three.pass_time()
        three.sandbox.journal.clear()

        for member in three.members:
            await three.ask(member, Method.DOWNLOAD_KEY, seed.OWNER_KEY)
            await three.rest()

        assert three.sandbox.journal.report().total == 1


@variants(THREE, strangers=STRANGERS)
async def test_a_no_that_one_observes_ends_the_yes_of_all(
    variant: Variant[tuple[str, ...]], tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """A no at one gateway ends the grace at all of them, though the others have a yes that is fresh."""
    async with gateways(tmp_path, clock, empty_redis, *variant.make) as three:
        three.sandbox.world.buy([3], user_id=seed.STRANGER_ID)
        assert await three.outcomes(Method.USER, seed.STRANGER_ID) == ["owned"] * 3
        three.sandbox.world.refund(max(three.sandbox.world.purchases))
        await three.pass_time(timedelta(seconds=1))
        assert (await three.ask(three.members[0], Method.USER, seed.STRANGER_ID, max_age=0)).json()["allowed"] is False
        befall(three.sandbox, status=500)

        await three.pass_time()
        clock.jump(timedelta(minutes=1))

        with promised(variant):
            assert await three.outcomes(Method.USER, seed.STRANGER_ID) == ["unknown"] * 3


async def test_with_redis_away_it_holds_here_and_reaches_the_others_after(
    tmp_path: Path, clock: FakeClock, own_redis: RedisServer
) -> None:
    """Within two seconds of healing."""
    async with AsyncExitStack() as stack:
        client = connect(RedisUrl(own_redis.url))
        stack.push_async_callback(close, client)
        two = await stack.enter_async_context(gateways(tmp_path, clock, client, SECRET, SECRET))
        assert await two.outcomes(Method.DOWNLOAD_KEY, seed.OWNER_KEY) == ["owned"] * 2
        befall(two.sandbox, status=500)
        own_redis.kill()
        two.redis = None

        await two.invalidate(download_key=seed.OWNER_KEY)
        await two.pass_time(timedelta(seconds=10))
        meanwhile = await two.outcomes(Method.DOWNLOAD_KEY, seed.OWNER_KEY)
        own_redis.start()
        two.redis = await stack.enter_async_context(Redis.from_url(own_redis.url))
        await two.pass_time()
        after = await two.outcomes(Method.DOWNLOAD_KEY, seed.OWNER_KEY)

    assert (meanwhile, after) == (["unknown", "owned"], ["unknown", "unknown"])
