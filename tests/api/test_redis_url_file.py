"""A whole gateway whose URL of Redis stands in a file of its own."""

import asyncio
from itertools import count
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.settings import SettingsReader
from tests.clock import FakeClock, passing_time
from tests.gateways import SECRET, X_MOON, Asker, LogLines, opened, states_of
from tests.redis_server import RedisServer


@pytest.fixture
def guarded() -> RedisServer:
    """A Redis with a password, which the test starts."""
    return RedisServer(arguments=["--requirepass", "old"])


async def until_redis_is(asker: Asker, state: str) -> None:
    """Have players asked about who were not asked about before, until Redis is in that state."""
    async with asyncio.timeout(120):
        for player in count(1000):
            await asker.user(player)
            if states_of(asker.gateway)["redis"] == state:
                return


async def test_a_rotated_password_is_used(
    tmp_path: Path, clock: FakeClock, log: LogLines, guarded: RedisServer
) -> None:
    """By the next connections; and reading the configuration again leaves it in use."""
    guarded.start()
    url = f"redis://:{{}}@127.0.0.1:{guarded.port}"
    file, toml = tmp_path / "url", tmp_path / "gateway.toml"
    file.write_text(url.format("old"), encoding="utf-8")
    toml.write_text(f'secret = "{SECRET}"\nredis.url_file = "{file}"\n{X_MOON}', encoding="utf-8")
    reader = SettingsReader({}, config_file=toml, flags={"sandbox": "true"})
    try:
        async with opened(reader.read(), clock=clock, log=log, reader=reader) as asker, passing_time(clock):
            await until_redis_is(asker, "ok")
            async with Redis(host="127.0.0.1", port=guarded.port, password="old") as operator:
                await operator.config_set("requirepass", "new")
                await operator.client_kill_filter(_type="normal", skipme=True)
            await until_redis_is(asker, "unavailable")

            file.write_text(url.format("new"), encoding="utf-8")
            asker.gateway.reload()

            await log.line("configuration_reloaded")
            await log.line("credential_reloaded")
            await until_redis_is(asker, "ok")
    finally:
        guarded.stop()
