"""Five gateway processes with one Redis, which is killed and emptied in between: an operator's word holds on all."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
from redis.asyncio import Redis

from service.api.paths import OVERRIDES_PATH
from service.clock import SystemClock
from service.ownership import Method
from service.sandbox import seed
from tests.fault_proxy import FaultProxy
from tests.gateways import PATHS, SECRET, X_MOON, plain_client, sandbox_alone
from tests.process.processes import TIMEOUT, process
from tests.redis_server import RedisServer

Question: TypeAlias = tuple[Method, dict[str, str | int]]
BY_USER: Final[Question] = (Method.USER, {"user_id": seed.OWNER_ID})
BY_KEY: Final[Question] = (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY})
BY_BUYER: Final[Question] = (Method.USER, {"user_id": seed.BUYER_ID})
BY_ADDRESS: Final[Question] = (Method.EMAIL, {"email": seed.BUYER_EMAIL})
WEEK: Final = 7 * 86_400
TABLE: Final = b"og:v2:t:"


class WayToRedis(FaultProxy):
    """The way of one process to Redis, on which its exchanges of the replicated table are counted."""

    def __init__(self, redis: RedisServer) -> None:
        super().__init__(redis.port, sent=self._count)
        self._begun = 0
        self._another = asyncio.Event()

    @property
    def url(self) -> str:
        """The URL of Redis for that process."""
        return f"redis://127.0.0.1:{self.port}"

    async def exchange(self) -> None:
        """Return once the process has begun an exchange from now on, and has taken over what it brought.

        It has when it begins the one after: a process has one under way at a time.
        """
        enough = self._begun + 2
        while self._begun < enough:
            self._another.clear()
            await self._another.wait()

    def _count(self, sent: bytes) -> None:
        self._begun += sent.count(TABLE)
        self._another.set()


async def exchanged_by_all(ways: Sequence[WayToRedis]) -> None:
    """Return once each of them has exchanged the table from now on."""
    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*(way.exchange() for way in ways))


async def said(gateway: httpx.AsyncClient, **body: object) -> dict[str, Any]:
    """Say something there, a ban for a week unless it is said otherwise."""
    response = await gateway.post(OVERRIDES_PATH, json={"game": 3, "word": "ban", "seconds": WEEK, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def reasons(gateways: Sequence[httpx.AsyncClient], question: Question) -> list[str]:
    """Ask each of them, and return the reasons of their answers."""
    method, credential = question
    answers = [await gateway.post(PATHS[method], json={"game": 3, **credential}) for gateway in gateways]
    return [answer.json()["reason"] for answer in answers]


async def until_all_say(gateways: Sequence[httpx.AsyncClient], reason: str, *questions: Question) -> None:
    """Return once all of them give this reason for each of these questions; fail if they never do."""
    async with asyncio.timeout(TIMEOUT):
        for question in questions:
            while True:
                if await reasons(gateways, question) == [reason] * len(gateways):
                    break
                await asyncio.sleep(0.02)


async def test_five_processes_and_a_redis_that_is_killed_and_emptied(tmp_path: Path, own_redis: RedisServer) -> None:
    """A ban reaches all, stays while Redis is away, reaches one that starts then, and does not come back by a copy."""
    async with AsyncExitStack() as stack:
        _, base_url = await stack.enter_async_context(sandbox_alone(SystemClock()))
        config = tmp_path / "gateway.toml"
        config.write_text(X_MOON)
        environment = {
            "CONFIG": str(config),
            "SECRET": SECRET,
            "ITCH__BASE_URL": base_url,
            "ITCH__API_KEY": seed.SELLER_KEY,
        }

        ways: list[WayToRedis] = []

        async def start() -> httpx.AsyncClient:
            way = await stack.enter_async_context(WayToRedis(own_redis))
            ways.append(way)
            gateway = await stack.enter_async_context(process(**environment, REDIS__URL=way.url))
            return await stack.enter_async_context(plain_client(base_url=gateway.base_url, timeout=TIMEOUT))

        five = [await start() for _ in range(5)]
        await until_all_say(five, "download_key", BY_USER, BY_KEY)
        await until_all_say(five, "purchase", BY_ADDRESS)

        ban = await said(five[0], user_id=seed.OWNER_ID)
        await exchanged_by_all(ways)
        banned = [await reasons(five, question) for question in (BY_USER, BY_KEY)]
        async with Redis.from_url(own_redis.url) as operator:
            table = next(key for key in await operator.keys("og:v2:t:*"))
            copy = await operator.hgetall(table)

        own_redis.kill()
        meanwhile = await said(five[2], email=seed.BUYER_EMAIL)
        assert await reasons(five, BY_USER) == ["operator_ban"] * 5
        here = await reasons(five, BY_ADDRESS)
        late = await start()
        own_redis.start()
        await until_all_say([*five, late], "operator_ban", BY_USER, BY_KEY, BY_ADDRESS)
        await said(five[4], user_id=seed.BUYER_ID)
        await exchanged_by_all(ways)
        banned_later = await reasons([*five, late], BY_BUYER)

        assert (await five[3].delete(f"{OVERRIDES_PATH}/{ban['id']}")).status_code == 204
        await exchanged_by_all(ways)
        let_in = [await reasons([*five, late], question) for question in (BY_USER, BY_KEY)]
        async with Redis.from_url(own_redis.url) as operator:
            await operator.flushall()
            for field, value in copy.items():
                await operator.execute_command("HSET", table, field, value)  # type: ignore[no-untyped-call]
        for _ in range(5):
            await exchanged_by_all(ways)
        last = await start()
        after = [await reasons([*five, late, last], question) for question in (BY_USER, BY_ADDRESS)]

    assert banned == [["operator_ban"] * 5] * 2
    assert banned_later == ["operator_ban"] * 6
    assert let_in == [["download_key"] * 6] * 2
    assert (ban["replicas"], meanwhile["replicas"]) == ("all", "this one")
    assert here == ["purchase", "purchase", "operator_ban", "purchase", "purchase"]
    assert after == [["download_key"] * 7, ["operator_ban"] * 7]
