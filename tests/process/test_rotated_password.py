"""A process with the URL of Redis in a file, whose password is rotated while players are let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from redis.asyncio import Redis

from service.ownership import Method
from tests.gateways import PATHS, SECRET, X_MOON, plain_client
from tests.process.processes import TIMEOUT, process
from tests.redis_server import RedisServer

ROTATIONS: Final = 3
PLAYERS: Final = 4


class Players:
    """Questions one after the other, about ever new players, so that each goes by Redis; `lost` are those in vain."""

    def __init__(self, gateway: httpx.AsyncClient) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self._gateway = gateway
        self._next = 1000

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask until the block ends."""
        tasks = [asyncio.create_task(self._ask()) for _ in range(PLAYERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _ask(self) -> None:
        while True:
            self._next += 1
            answer = await self._gateway.post(PATHS[Method.USER], json={"game": 3, "user_id": self._next})
            self.answered += 1
            if answer.status_code != 200:
                self.lost.append(answer.text)


async def until_redis_is(gateway: httpx.AsyncClient, state: str) -> dict[str, Any]:
    """Return what readiness says once Redis is in that state."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            said: dict[str, Any] = (await gateway.get("/readyz")).json()
            if said["components"]["redis"] == state:
                return said
            await asyncio.sleep(0.05)


async def test_a_password_is_rotated_while_players_are_let_in(tmp_path: Path) -> None:
    """Without a signal: the next connection has the new one, each time, and every player is answered."""
    redis = RedisServer(arguments=["--requirepass", "password-0"])
    redis.start()
    url, config = tmp_path / "url", tmp_path / "gateway.toml"
    url.write_text(f"redis://:password-0@127.0.0.1:{redis.port}")
    config.write_text(f'secret = "{SECRET}"\nredis.url_file = "{url}"\n{X_MOON}')
    async with AsyncExitStack() as stack:
        stack.callback(redis.stop)
        gateway = await stack.enter_async_context(process("--sandbox", "--config", str(config)))
        http = await stack.enter_async_context(plain_client(base_url=gateway.base_url, timeout=TIMEOUT))
        players = Players(http)
        async with players.asking():
            await until_redis_is(http, "ok")
            for number in range(ROTATIONS):
                old, new = f"password-{number}", f"password-{number + 1}"
                async with Redis(host="127.0.0.1", port=redis.port, password=old) as operator:
                    await operator.config_set("requirepass", new)
                    await operator.client_kill_filter(_type="normal", skipme=True)
                refused = await until_redis_is(http, "unavailable")
                beside = tmp_path / "url.new"
                beside.write_text(f"redis://:{new}@127.0.0.1:{redis.port}")
                beside.rename(url)
                await until_redis_is(http, "ok")
                assert refused["causes"]["redis"] in {"auth", "reset"}

    assert players.lost == []
    assert players.answered > PLAYERS * ROTATIONS
    assert [line for line in gateway.lines if line["level"] == "error"] == []
    assert "password-" not in str(gateway.lines)
