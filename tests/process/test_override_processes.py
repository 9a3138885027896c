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
from tests.gateways import PATHS, SECRET, X_MOON, plain_client, sandbox_alone
from tests.process.processes import TIMEOUT, process
from tests.redis_server import RedisServer

Question: TypeAlias = tuple[Method, dict[str, str | int]]
BY_USER: Final[Question] = (Method.USER, {"user_id": seed.OWNER_ID})
BY_KEY: Final[Question] = (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY})
BY_ADDRESS: Final[Question] = (Method.EMAIL, {"email": seed.BUYER_EMAIL})
WEEK: Final = 7 * 86_400


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


async def exchanged(redis: Redis, *, times: int) -> None:
    """Return once the scripts of the gateways, above all their exchanges, have run so often."""
    await redis.config_resetstat()
    async with asyncio.timeout(TIMEOUT):
        while True:
            scripts = (await redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})
            if scripts["calls"] >= times:
                return
            await asyncio.sleep(0.05)


async def test_five_processes_and_a_redis_that_is_killed_and_emptied(tmp_path: Path, own_redis: RedisServer) -> None:
    """A ban reaches all, stays while Redis is away, reaches one that starts then, and does not come back by a copy."""
    async with AsyncExitStack() as stack:
        _, base_url = await stack.enter_async_context(sandbox_alone(SystemClock()))
        config = tmp_path / "gateway.toml"
        config.write_text(X_MOON)
        environment = {
            "CONFIG": str(config),
            "SECRET": SECRET,
            "REDIS__URL": own_redis.url,
            "ITCH__BASE_URL": base_url,
            "ITCH__API_KEY": seed.SELLER_KEY,
        }

        async def start() -> httpx.AsyncClient:
            gateway = await stack.enter_async_context(process(**environment))
            return await stack.enter_async_context(plain_client(base_url=gateway.base_url, timeout=TIMEOUT))

        five = [await start() for _ in range(5)]
        await until_all_say(five, "download_key", BY_USER, BY_KEY)
        await until_all_say(five, "purchase", BY_ADDRESS)

        ban = await said(five[0], user_id=seed.OWNER_ID)
        await until_all_say(five, "operator_ban", BY_USER, BY_KEY)
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

        assert (await five[3].delete(f"{OVERRIDES_PATH}/{ban['id']}")).status_code == 204
        await until_all_say([*five, late], "download_key", BY_USER, BY_KEY)
        async with Redis.from_url(own_redis.url) as operator:
            await operator.flushall()
            for field, value in copy.items():
                await operator.execute_command("HSET", table, field, value)  # type: ignore[no-untyped-call]
            await exchanged(operator, times=60)
        last = await start()
        after = [await reasons([*five, late, last], question) for question in (BY_USER, BY_ADDRESS)]

    assert (ban["replicas"], meanwhile["replicas"]) == ("all", "this one")
    assert here == ["purchase", "purchase", "operator_ban", "purchase", "purchase"]
    assert after == [["download_key"] * 7, ["operator_ban"] * 7]
