"""Gateway processes with one Redis that ask a store about their canaries."""

import asyncio
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from service.cache.keys import canaries_key, derive_keys
from service.clock import SystemClock
from service.sandbox import seed
from service.secret import SealingSecret
from tests.canaries.watched import asked, canary_lines
from tests.gateways import SECRET, plain_client, read_metric, sandbox_alone
from tests.process.processes import TIMEOUT, Process, process

LONG_AGO: Final = "1"


async def until_shown(gateway: Process) -> float:
    """Return when the owner was checked, once the gateway shows that it is as expected."""
    async with asyncio.timeout(TIMEOUT), plain_client(base_url=gateway.base_url) as http:
        while True:
            text = (await http.get("/metrics")).text
            if read_metric(text, "canary_ok", game="x-moon", expect="owner"):
                return read_metric(text, "canary_checked_at", game="x-moon", expect="owner")
            await asyncio.sleep(0.05)


async def test_one_process_asks_and_the_next_shows_it(tmp_path: Path, redis_url: str, empty_redis: Redis) -> None:
    """The second one learns at its start what the first was answered, and the store is asked once."""
    async with sandbox_alone(SystemClock()) as (sandbox, base_url):
        # An empty Redis would give no turn for ten seconds.
        key = canaries_key(derive_keys(SealingSecret(SECRET)).naming, f"current {base_url}")
        await empty_redis.hset(key, "asked_at", LONG_AGO)
        config = tmp_path / "gateway.toml"
        config.write_text(canary_lines())
        environment = {
            "CONFIG": str(config),
            "SECRET": SECRET,
            "REDIS__URL": redis_url,
            "ITCH__BASE_URL": base_url,
            "ITCH__API_KEY": seed.SELLER_KEY,
        }
        async with process(**environment) as first:
            by_first = await until_shown(first)
            async with process(**environment) as second:
                by_second = await until_shown(second)
            owners = asked(sandbox)["/games/3/download_keys", str(seed.OWNER_ID)]

    assert by_first == by_second
    assert owners == 1
