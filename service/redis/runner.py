"""Scripts for those who can do without Redis: what it does wrong ends here."""

import asyncio
from typing import Final

from service.interfaces import Clock
from service.redis.circuit import Circuit
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.script import Script

AT_ONCE: Final = 8
"""A quarter of the connections for each purpose. A burst that took them all would look like Redis failing."""


class ScriptRunner:
    """Runs the scripts of one purpose. Nothing that Redis does makes it raise."""

    def __init__(self, client: RedisClient, *, clock: Clock) -> None:
        self._client = client
        self._circuit = Circuit(clock)
        self._at_once = asyncio.Semaphore(AT_ONCE)

    @property
    def well(self) -> bool:
        """Whether Redis has answered lately, or was not asked yet."""
        return self._circuit.closed

    async def run(self, script: Script, key: str, *arguments: str | int) -> object:
        """Return what Redis answered, None where it failed or is left alone."""
        async with self._at_once:
            if not self._circuit.lets_through():
                return None
            try:
                reply = await script.run(self._client, key, *arguments)
            except REDIS_FAILURES:
                # Old connections to a master that became a replica are closed by the cache, which shares the pool.
                self._circuit.failed()
                return None
            self._circuit.succeeded()
            return reply
