"""Redis may only make things faster: with any fault of Redis, the answers are the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from service.clock import SystemClock
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.clock import FakeClock
from tests.gateways import SECRET, X_MOON, Asker, LogLines, asked_store, opened, settings_from, states_of, until
from tests.redis_server import RedisServer, free_port

QUESTIONS: list[tuple[str, dict[str, object], str]] = [
    ("/verify/download-key", {"download_key": seed.OWNER_KEY}, "download_key"),
    ("/verify/download-key", {"download_key": seed.REVOKED_KEY}, "invalid_download_key"),
    ("/verify/email", {"email": seed.BUYER_EMAIL}, "purchase"),
    ("/verify/user", {"user_id": seed.STRANGER_ID}, "no_download_key"),
]


@asynccontextmanager
async def with_redis(directory: Path, url: str) -> AsyncIterator[Asker]:
    """Open a gateway with this Redis, in real time: a Redis that does not answer costs real milliseconds."""
    settings = settings_from(directory, f'secret = "{SECRET}"\n{X_MOON}\n[redis]\nurl = "{url}"\n')
    async with opened(settings, clock=FakeClock(), log=LogLines(), real_clock=SystemClock()) as gateway:
        yield gateway


async def all_answers(gateway: Asker) -> list[str]:
    """Ask everything, and return the reasons; anything but an answer fails the test."""
    responses: list[httpx.Response] = [
        await gateway.http.post(path, json={"game": 3, "max_age": 0, **credential}) for path, credential, _ in QUESTIONS
    ]
    assert [response.status_code for response in responses] == [200] * len(QUESTIONS)
    return [response.json()["reason"] for response in responses]


EXPECTED = [reason for _, _, reason in QUESTIONS]


async def test_redis_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    """The gateway opens and answers without it."""
    async with with_redis(tmp_path, f"redis://127.0.0.1:{free_port()}") as gateway:
        assert await all_answers(gateway) == EXPECTED


async def test_redis_that_is_killed_changes_nothing(tmp_path: Path, own_redis: RedisServer) -> None:
    """Redis is killed in the middle of the questions."""
    async with with_redis(tmp_path, own_redis.url) as gateway:
        before = await all_answers(gateway)
        own_redis.kill()
        after = await all_answers(gateway)

        assert before == after == EXPECTED


async def test_redis_that_hangs_changes_nothing(tmp_path: Path, own_redis: RedisServer) -> None:
    """A Redis that does not answer costs milliseconds, and soon nothing at all."""
    async with with_redis(tmp_path, own_redis.url) as gateway:
        before = await all_answers(gateway)
        own_redis.pause()
        after = await all_answers(gateway)
        own_redis.resume()

        assert before == after == EXPECTED


async def test_lost_redis_is_told_and_counted(tmp_path: Path, own_redis: RedisServer) -> None:
    """Operators see that answers cost more than they should; readiness stays."""
    async with with_redis(tmp_path, own_redis.url) as gateway:
        await all_answers(gateway)
        own_redis.kill()
        await all_answers(gateway)

        await gateway.log.line("redis_lost")
        ready = await gateway.http.get("/readyz")
        assert (ready.status_code, states_of(gateway.gateway)["redis"]) == (200, "unavailable")
        assert await gateway.metric("redis_up") == 0


async def test_redis_that_comes_back_is_used_again(tmp_path: Path, own_redis: RedisServer) -> None:
    """Redis is tried every second, and used again once it has answered three times; the gateway is not restarted."""
    clock = FakeClock()
    settings = settings_from(tmp_path, f'secret = "{SECRET}"\n{X_MOON}\n[redis]\nurl = "{own_redis.url}"\n')
    async with opened(settings, clock=clock, log=LogLines()) as gateway:

        async def ask(key: str) -> None:
            asking = asyncio.ensure_future(gateway.key(key))
            while not asking.done():
                await clock.advance(timedelta(milliseconds=1))  # a turn in a budget that has just begun anew
                await asyncio.sleep(0)

        own_redis.kill()
        for number in range(5):
            await ask(f"key-while-redis-is-away-{number}")
        await gateway.log.line("redis_lost")
        own_redis.start()

        while states_of(gateway.gateway)["redis"] != "ok":
            await clock.advance(timedelta(seconds=1))
            await asyncio.sleep(0.01)  # what a try takes is no virtual time

        await gateway.log.line("redis_found")
        await ask("key-once-redis-is-back")


async def test_hundred_questions_through_a_dying_redis_are_all_answered(tmp_path: Path, own_redis: RedisServer) -> None:
    """No question is lost with the connection that it waited for."""
    async with with_redis(tmp_path, own_redis.url) as gateway:
        await all_answers(gateway)
        asking = [asyncio.create_task(gateway.key(seed.OWNER_KEY, max_age=0)) for _ in range(100)]
        await until(lambda: gateway.gateway.http.in_flight > 10)

        own_redis.kill()

        answers = await asyncio.gather(*asking)
        assert {(answer.status_code, answer.json()["reason"]) for answer in answers} == {(200, "download_key")}


async def test_emptied_redis_costs_look_ups_and_nothing_else(tmp_path: Path, own_redis: RedisServer) -> None:
    """An observation that Redis has lost costs another request to the store."""
    async with with_redis(tmp_path, own_redis.url) as one:
        await all_answers(one)
        own_redis.kill()
        own_redis.start()
        one.sandbox.journal.clear()

        assert await all_answers(one) == EXPECTED
        assert asked_store(one.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == len(QUESTIONS)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/version"])
async def test_operations_do_not_wait_for_redis(tmp_path: Path, own_redis: RedisServer, path: str) -> None:
    """A hanging Redis does not make probes fail."""
    async with with_redis(tmp_path, own_redis.url) as gateway:
        own_redis.pause()
        response = await gateway.http.get(path)
        own_redis.resume()

        assert response.status_code == 200
