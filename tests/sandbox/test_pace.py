"""The pace at which a gateway asks its own sandbox: none, unless one is configured."""

import asyncio
from pathlib import Path

from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, befall, opened, settings_from


async def test_without_a_rate_there_is_no_pace(tmp_path: Path, clock: FakeClock) -> None:
    """Hundreds of new players at one instant, also after the store has throttled: none waits, and time stands still."""
    async with opened(settings_from(tmp_path, X_MOON, frugal=True), clock=clock, log=LogLines()) as gateway:
        befall(gateway.sandbox, status=429, times=1)
        await gateway.user(1)
        await gateway.http.post("/sandbox/clock", json={"advance_seconds": 60})

        answers = await asyncio.gather(*(gateway.user(number) for number in range(2, 302)))

    assert {answer.json()["outcome"] for answer in answers} == {"not_owned"}


async def test_a_rate_that_is_set_holds(tmp_path: Path, clock: FakeClock) -> None:
    """The budget is the configured one, as in front of itch.io: what is spent comes back as time passes."""
    toml = X_MOON + "[itch]\nrate = 2\nburst = 8\n"
    async with opened(settings_from(tmp_path, toml, frugal=True), clock=clock, log=LogLines()) as gateway:
        await gateway.user(1)
        spent = await gateway.metric("source_budget_tokens")
        await gateway.http.post("/sandbox/clock", json={"advance_seconds": 1})

        assert 0 < spent <= 6
        assert await gateway.metric("source_budget_tokens") == spent + 2
