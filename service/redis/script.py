"""Lua scripts, each of which Redis runs as one step, and a way to run them that never raises if Redis fails."""

import asyncio
import hashlib
from importlib.resources import files
from typing import Final

from redis.exceptions import NoScriptError

from service.redis.background_tasks import BackgroundTasks
from service.redis.circuit_breaker import CircuitBreaker
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES, closed_under_way
from service.redis.timeouts import REPLY_TIMEOUT
from service.verification.interfaces import Clock

AT_ONCE: Final = 8
"""A quarter of the connections for each purpose. A burst that took them all would look like Redis failing."""


class Script:
    """A Lua file of a package that Redis runs as one step; several are read as one, in this order."""

    def __init__(self, package: str, *file_names: str) -> None:
        folder = files(package)
        self._text = "\n".join(folder.joinpath(name).read_text("utf-8") for name in file_names)
        # Redis names scripts by SHA-1; nothing is protected by it.
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: RedisClient, key: str, *arguments: bytes | str | int) -> object:
        """Run it on one key, and send its text only where Redis does not know it yet.

        EVAL leaves the script behind, so that a restarted Redis costs one more round trip, once, and the gateway's
        Redis user needs no right to SCRIPT LOAD.
        """
        with closed_under_way():
            try:
                return await client.evalsha(self._sha, 1, key, *arguments)
            except NoScriptError:
                return await client.eval(self._text, 1, key, *arguments)


class ScriptRunner:
    """Runs the scripts of one purpose. No failure of Redis makes it raise.

    Each runs in a task of its own, until it ends or its time does, even if its caller is cancelled meanwhile:
    cancelling redis-py costs the connection, and before Python 3.12 may be swallowed by `asyncio.wait_for`, in which
    redis-py sends (https://github.com/python/cpython/issues/86296).
    """

    def __init__(self, client: RedisClient, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._circuit = CircuitBreaker(clock)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._under_way = BackgroundTasks()

    @property
    def healthy(self) -> bool:
        """Whether Redis has answered lately, or was not asked yet."""
        return self._circuit.closed

    async def run(self, script: Script, key: str, *arguments: str | int) -> object:
        """Return the reply of Redis, None if it failed or is left alone."""
        return await asyncio.shield(self.start(script, key, *arguments))

    def start(self, script: Script, key: str, *arguments: str | int) -> asyncio.Task[object]:
        """Start to run it, for a caller that needs the reply even after its own cancellation."""
        return self._under_way.start(self._run(script, key, *arguments))

    async def close(self) -> None:
        """Let scripts under way end, for a second at most."""
        await self._under_way.close()

    async def _run(self, script: Script, key: str, *arguments: str | int) -> object:
        async with self._at_once:
            if not self._circuit.lets_through():
                return None
            try:
                async with self._clock.io_timeout(REPLY_TIMEOUT):
                    reply = await script.run(self._client, key, *arguments)
            except REDIS_FAILURES:
                # Old connections to a master that became a replica are closed by the cache, which shares the pool.
                self._circuit.failed()
                return None
            self._circuit.succeeded()
            return reply
