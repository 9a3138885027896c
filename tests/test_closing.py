"""A gateway that closes raises no alarm asks the store for the requests that no cuts off."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.redis.connect import RedisClient
from service.sandbox import seed
from tests.clock import FakeClock
from tests.gateways import (
    X_MOON,
    LogLines,
    befall,
    opened,
    pointing_at,
    sandbox_alone,
    settings_from,
    store_calls,
    until,
)

ALARMS = ("source_lost", "source_paused", "credential_refused", "bug")


@pytest.fixture
def log() -> LogLines:
    """The lines that the gateway logs."""
    return LogLines()


async def alarms_at_the_end(directory: Path, clock: FakeClock, log: LogLines, redis: RedisClient | None) -> list[str]:
    """Close a gateway while its store, which is elsewhere, is being asked; return what it raised the alarm about."""
    async with sandbox_alone(clock) as (sandbox, base_url):
        settings = settings_from(directory, pointing_at(base_url) + X_MOON, sandbox=False)
        async with opened(settings, clock=clock, log=log, redis=redis) as gateway:
            await log.line("credential_accepted")
            befall(sandbox, latency_ms=60_000)
            before = store_calls(sandbox)
            asking = [
                asyncio.create_task(question)
                for question in (
                    gateway.key(seed.OWNER_KEY),
                    gateway.user(seed.OWNER_ID),
                    gateway.jwt(sandbox.mint_jwt(seed.OWNER_ID).jwt),
                )
            ]
            await until(lambda: store_calls(sandbox) == before + len(asking))
        await asyncio.gather(*asking, return_exceptions=True)
    return [event for event in ALARMS if log.lines(event)]


async def test_look_up_cut_off_by_the_end_is_no_outage(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A store that was not given the time to answer has not failed."""
    assert await alarms_at_the_end(tmp_path, clock, log, None) == []


async def test_look_up_cut_off_by_the_end_is_no_outage_for_the_cluster_either(
    tmp_path: Path, clock: FakeClock, log: LogLines, empty_redis: Redis
) -> None:
    """The cut-off look-up raises no alarm with Redis and its leases either."""
    assert await alarms_at_the_end(tmp_path, clock, log, empty_redis) == []


async def test_first_question_cut_off_by_the_end_is_no_outage(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """The look-up of the key's owner, with which a gateway starts, is no exception."""
    async with sandbox_alone(clock) as (sandbox, base_url):
        befall(sandbox, latency_ms=60_000)
        settings = settings_from(tmp_path, pointing_at(base_url) + X_MOON, sandbox=False)
        async with opened(settings, clock=clock, log=log):
            await until(lambda: store_calls(sandbox))

    assert [event for event in ALARMS if log.lines(event)] == []
