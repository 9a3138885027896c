"""What is no longer to be used, on every replica: observations from before somebody said so.

An invalidation is a floor under a name: what was observed before it is as good as forgotten, wherever it is still kept
and whoever still looks it up. So nothing has to be found and deleted, and nothing that arrives late can undo it.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from service.cache.kept import CLOCK_TOLERANCE, LONGEST_KEPT
from service.cache.sealing import stamp
from service.interfaces import Clock
from service.ownership import Fingerprint
from service.redis.circuit import Circuit
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.script import Script

LOOK_EVERY: Final = timedelta(milliseconds=500)
"""How often a replica looks for what others have invalidated; two seconds are promised."""

MOST_FLOORS: Final = 100_000
"""Beyond that the oldest are not forgotten but raised to one floor under everything: only slower, never wrong."""

_RAISE: Final = Script("service.cache", "raise_floors.lua")
_VERSION: Final = b"version"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Invalidations:
    """The floors that this replica knows; `run` shares them with the others through Redis.

    Without Redis, or while it is away, an invalidation holds on the replica that was told, and reaches the others once
    Redis is back.
    """

    def __init__(self, *, client: RedisClient | None, key: str, clock: Clock) -> None:
        self._client = client
        self._key = key
        self._clock = clock
        self._circuit = Circuit(clock)
        self._floors: dict[Fingerprint, datetime] = {}
        self._unsent: dict[Fingerprint, datetime] = {}
        self._everything: datetime | None = None
        self._version = 0
        self._sooner = asyncio.Event()

    def floor(self, *names: Fingerprint) -> datetime | None:
        """Return the instant before which observations under any of these names are not to be used, if there is one."""
        highest = self._everything
        if self._floors:
            for name in names:
                floor = self._floors.get(name)
                if floor is not None and (highest is None or floor > highest):
                    highest = floor
        return highest

    def invalidate(self, name: Fingerprint, *, before: datetime) -> None:
        """Use nothing any more that was observed under this name before that instant; on other replicas within 2 s."""
        self._raise(name, before)
        if self._client is not None:
            self._unsent[name] = max(before, self._unsent.get(name, before))
            self._sooner.set()

    async def run(self) -> NoReturn:
        """Exchange floors with the other replicas until cancelled."""
        while True:
            self._sooner.clear()
            if self._client is not None and self._circuit.lets_through():
                try:
                    await self._exchange(self._client)
                except REDIS_FAILURES:
                    self._circuit.failed()
                else:
                    self._circuit.succeeded()
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with self._clock.timeout(LOOK_EVERY):
                await self._sooner.wait()
        except TimeoutError:
            return

    async def _exchange(self, client: RedisClient) -> None:
        if self._unsent:
            sending = dict(self._unsent)
            arguments = [item for name, floor in sending.items() for item in (bytes(name), stamp(floor))]
            await _RAISE.run(client, self._key, LONGEST_KEPT // timedelta(milliseconds=1), *arguments)
            self._unsent = {name: floor for name, floor in self._unsent.items() if floor != sending.get(name)}
        version = int(await client.hget(self._key, _VERSION.decode()) or 0)
        if version == self._version:
            return
        floors: dict[bytes, bytes] = await client.hgetall(self._key)  # type: ignore[assignment]  # nothing is decoded
        await self._take_over(client, floors)
        self._version = version

    async def _take_over(self, client: RedisClient, floors: Mapping[bytes, bytes]) -> None:
        now = self._clock.now()
        outdated = []
        for name, text in floors.items():
            if name == _VERSION or not text.isdigit() or len(text) > 16:  # noqa: PLR2004 - microseconds of this age
                continue
            floor = _EPOCH + timedelta(microseconds=int(text))
            if floor < now - LONGEST_KEPT:
                outdated.append(name)
            elif floor <= now + CLOCK_TOLERANCE:
                self._raise(Fingerprint(name), floor)
        if outdated:
            await client.hdel(self._key, *outdated)

    def _raise(self, name: Fingerprint, floor: datetime) -> None:
        known = self._floors.pop(name, None)
        self._floors[name] = floor if known is None else max(known, floor)
        oldest_useful = self._clock.now() - LONGEST_KEPT
        while len(self._floors) > MOST_FLOORS:
            dropped = self._floors.pop(next(iter(self._floors)))
            if dropped > oldest_useful and (self._everything is None or dropped > self._everything):
                self._everything = dropped
