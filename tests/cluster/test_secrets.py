"""Gateways at one Redis whose secrets differ."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.sandbox import seed
from tests.cache.told_secrets import age
from tests.clock import FakeClock
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    opened,
    pointing_at,
    sandbox_alone,
    settings_from,
    states_of,
    until,
)

FIVE_SECONDS = timedelta(seconds=5)


async def pass_time(redis: Redis, clock: FakeClock) -> None:
    """Let five seconds pass, for Redis too."""
    await age(redis, 5000)
    await clock.advance(FIVE_SECONDS)


@pytest.mark.parametrize(
    ("other_secrets", "differing"),
    [((f"{SECRET}2", seed.SELLER_KEY), "secret"), ((SECRET, "key-of-another-seller"), "itch.api_key")],
    ids=["sealing secret", "seller key"],
)
async def test_a_difference_is_said_and_halves_the_rate_until_it_ends(
    tmp_path: Path, empty_redis: Redis, other_secrets: tuple[str, str], differing: str
) -> None:
    """Both say it in the log, the metrics and their health, stay ready, and ask at their own part of the rate."""
    clock, log = FakeClock(), LogLines()
    port = empty_redis.connection_pool.connection_kwargs["port"]

    async def open_one(stack: AsyncExitStack, base_url: str, secret: str, seller_key: str) -> Asker:
        text = f'secret = "{secret}"\nreplicas = 2\n[redis]\nurl = "redis://127.0.0.1:{port}"\n'
        text += pointing_at(base_url, api_key=seller_key) + "rate = 6\nburst = 12\n" + X_MOON
        settings = settings_from(tmp_path, text, sandbox=False, frugal=True)
        return await stack.enter_async_context(opened(settings, clock=clock, log=log))

    async with AsyncExitStack() as stack:
        _, base_url = await stack.enter_async_context(sandbox_alone(clock))
        one = await open_one(stack, base_url, SECRET, seed.SELLER_KEY)
        await until(lambda: states_of(one.gateway)["secrets"] == "ok")
        before = await one.metric("secrets_differ")
        async with AsyncExitStack() as shorter:
            other = await open_one(shorter, base_url, *other_secrets)
            await until(lambda: states_of(other.gateway)["secrets"] == "differ")
            await clock.advance(FIVE_SECONDS)
            await until(lambda: states_of(one.gateway)["secrets"] == "differ")
            await until(lambda: len(log.lines("secrets_differ")) == 2)
            ready = [(await asker.http.get("/readyz")).status_code for asker in (one, other)]
            differ = [await asker.metric("secrets_differ") for asker in (one, other)]
            await clock.advance(timedelta(seconds=60))
            tokens = []
            for _ in range(5):  # at any instant, one may just have asked the store
                await clock.advance(timedelta(seconds=1))
                tokens.append([await asker.metric("source_budget_tokens") for asker in (one, other)])
        for _ in range(4):
            await pass_time(empty_redis, clock)
            await asyncio.sleep(0.05)
        await until(lambda: states_of(one.gateway)["secrets"] == "ok")
        after = await one.metric("secrets_differ")

    assert [line["settings"] for line in log.lines("secrets_differ")] == [[differing], [differing]]
    assert (before, differ, after) == (0, [1, 1], 0)
    assert ready == [200, 200]
    assert [max(own) for own in zip(*tokens, strict=True)] == [6, 6]
