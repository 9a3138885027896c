"""Lua scripts, each of which Redis runs as one step, and a way to run them that never raises if Redis fails."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Final, TypeAlias

from redis.exceptions import NoScriptError

from service.redis.acl import unused_key
from service.redis.background_tasks import BackgroundTasks
from service.redis.circuit_breaker import ANSWERS_TO_CLOSE, FAILURES_TO_OPEN, CircuitBreaker
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES, closed_under_way
from service.redis.timeouts import REPLY_TIMEOUT
from service.verification.interfaces import Clock

AT_ONCE: Final = 8
"""A quarter of the connections for each purpose. A burst that took them all would look like Redis failing."""


Keys: TypeAlias = str | Sequence[str]
"""One key, or several that one node of a Redis Cluster has."""


class Script:
    """A Lua file of a package that Redis runs as one step; several are read as one, in this order.

    Those on a hash that is `own_hash` begin with what they have in common, own_hash.lua.
    """

    def __init__(self, package: str, *file_names: str, own_hash: bool = False) -> None:
        paths = [files(package).joinpath(name) for name in file_names]
        if own_hash:
            paths.insert(0, files("service.redis").joinpath("own_hash.lua"))
        self._text = "\n".join(path.read_text("utf-8") for path in paths)
        # Redis names scripts by SHA-1; nothing is protected by it.
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: RedisClient, key: Keys, *arguments: bytes | str | int) -> object:
        """Run it on one key, or on several that live together, and send its text only where Redis does not know it yet.

        EVAL leaves the script behind, so that a restarted Redis costs one more round trip, once, and the gateway's
        Redis user needs no right to SCRIPT LOAD.
        """
        keys = (key,) if isinstance(key, str) else key
        with closed_under_way():
            try:
                return await client.evalsha(self._sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.eval(self._text, len(keys), *keys, *arguments)


TRY_WRITING: Final = Script("service.redis", "try_writing.lua")
"""Does nothing of use, but what every other script does: it fails where they would."""


class ScriptRunner:
    """Runs the scripts of one purpose. No failure of Redis makes it raise.

    Each runs in a task of its own, until it ends or its time does, even if its caller is cancelled or gives up
    meanwhile: so the connection that it waits for is there for the next, and cancelling redis-py costs the connection,
    and before Python 3.12 may be swallowed by `asyncio.wait_for`, in which redis-py sends
    (https://github.com/python/cpython/issues/86296).
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        clock: Clock,
        failures_to_open: int = FAILURES_TO_OPEN,
        answers_to_close: int = ANSWERS_TO_CLOSE,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._circuit = CircuitBreaker(
            self._try_writing,
            clock=clock,
            failures_to_open=failures_to_open,
            answers_to_close=answers_to_close,
            on_change=on_change,
        )
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._under_way = BackgroundTasks()

    @property
    def healthy(self) -> bool:
        """Whether Redis has answered lately, or was not asked yet."""
        return self._circuit.closed

    async def run(self, script: Script, key: Keys, *arguments: bytes | str | int) -> object:
        """Return the reply of Redis, None if it failed or is left alone."""
        return await asyncio.shield(self.start(script, key, *arguments))

    def start(self, script: Script, key: Keys, *arguments: bytes | str | int) -> asyncio.Task[object]:
        """Start to run it, for a caller that needs the reply even after its own cancellation."""
        return self._under_way.start(self._run(script, key, *arguments))

    async def close(self) -> None:
        """Let scripts under way end, for a second at most."""
        await self._circuit.close()
        await self._under_way.close()

    async def _run(self, script: Script, key: Keys, *arguments: bytes | str | int) -> object:
        async with self._at_once:
            if (attempt := self._circuit.attempt()) is None:
                return None
            reply = await self._reply(script, key, *arguments)
            if isinstance(reply, Exception):
                # Old connections to a master that became a replica are closed by the cache, which shares the pool.
                self._circuit.failed(attempt, reply)
                return None
            self._circuit.succeeded()
            return reply

    async def _try_writing(self) -> Exception | None:
        reply = await self._reply(TRY_WRITING, unused_key())
        return reply if isinstance(reply, Exception) else None

    async def _reply(self, script: Script, key: Keys, *arguments: bytes | str | int) -> object:
        """Return the reply in time, or the exception that there was instead."""
        running = self._under_way.start(self._ran(script, key, *arguments))
        try:
            async with self._clock.io_timeout(REPLY_TIMEOUT):
                return await asyncio.shield(running)
        except TimeoutError as late:
            return late

    async def _ran(self, script: Script, key: Keys, *arguments: bytes | str | int) -> object:
        try:
            return await script.run(self._client, key, *arguments)
        except REDIS_FAILURES as failure:
            return failure
