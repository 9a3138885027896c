"""The way of the replicated table through Redis: each replica tells what it knows, and reads what others have told."""

import asyncio
from datetime import timedelta
from typing import Annotated, Final, NoReturn

import msgspec
from msgspec import Meta, Struct

from service.cache.cluster_clock import ClusterClock
from service.cache.entry import CLOCK_TOLERANCE
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.table_entry import LONGEST_LIFE, PLACE_BYTES, TableEntry, TablePlace, TableSealer, instant_of
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.script import Script

LOOK_EVERY: Final = timedelta(milliseconds=500)
"""The time between a replica's looks at what others have told; two seconds are promised."""

MOST_AT_ONCE: Final = 500
"""The most entries told, and the most read, in one step, during which Redis serves no other client."""

TELL_AGAIN_AFTER: Final = 60
"""The steps after which entries are told again that Redis should have: half a minute, each time as many as fit."""

CATCHING_UP: Final = timedelta(seconds=2)
"""The longest that a gateway which starts waits for what others have told; then it reads on while it answers."""

_EXCHANGE: Final = Script("service.cache", "exchange_table.lua", own_hash=True)
_LIFETIME: Final = LONGEST_LIFE // timedelta(milliseconds=1)
"""The TTL of the table, which begins anew with each entry."""

_MICROSECONDS: Final = 1_000_000
_LATEST: Final = 2**53

_Number = Annotated[int, Meta(ge=0, le=_LATEST)]


class _Answer(Struct, frozen=True, array_like=True):
    """The reply of the script, which explains it."""

    seconds: Annotated[int, Meta(ge=0, le=2**33)]
    microseconds: Annotated[int, Meta(ge=0, lt=_MICROSECONDS)]
    upto: _Number
    seal: bytes
    last: _Number
    lost: int
    in_place: list[bytes]
    unknown: list[bytes]


class TableExchange:
    """Shares a `ReplicatedTable` through a hash in Redis, whose time it has the `clock` learn.

    While Redis is away, entries hold on the replica that made them, and reach the others once it is back. If it has
    lost entries, those who know them tell them again. What no gateway with our secret has sealed is ignored and
    replaced: other programs with access to Redis can make no gateway believe anything.
    """

    def __init__(
        self, *, table: ReplicatedTable, client: RedisClient, key: str, sealer: TableSealer, clock: ClusterClock
    ) -> None:
        self._table = table
        self._client = client
        self._key = key
        self._sealer = sealer
        self._clock = clock
        self._seen = 0
        self._steps = 0
        self._seal = b""
        self._no_entries: dict[bytes, bytes] = {}
        self._news = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._waiting: list[tuple[TablePlace, asyncio.Future[bool]]] = []
        table.on_news = self._news.set

    async def run(self) -> NoReturn:
        """Exchange entries with the other replicas until cancelled."""
        while True:
            self._news.clear()
            await self._exchange()
            await self._pause()

    async def catch_up(self) -> None:
        """Return once all that others have told is known, or Redis does not answer, or `CATCHING_UP` has passed."""
        try:
            async with self._clock.io_timeout(CATCHING_UP):
                await self._caught_up.wait()
        except TimeoutError:
            return

    async def told(self, place: TablePlace) -> bool:
        """Return whether the other replicas can have the entry of that place, once Redis has taken it or failed to."""
        reached: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((place, reached))
        self._news.set()
        try:
            async with self._clock.io_timeout(CATCHING_UP):
                return await reached
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Tell what the other replicas do not have yet, if Redis takes it at once."""
        for _ in range(2):  # the first of all tells nothing, but learns the time
            if self._table.untold(1):
                await self._exchange()

    async def _pause(self) -> None:
        try:
            async with self._clock.timeout(LOOK_EVERY):
                await self._news.wait()
        except TimeoutError:
            return

    def _report(self, *, answered: bool) -> None:
        """Say to those who wait for it what has become of their entries; some may have to wait for the next try."""
        waiting, self._waiting = self._waiting, []
        for place, reached in ((place, reached) for place, reached in waiting if not reached.done()):
            if answered and self._table.has_to_tell(place):
                self._waiting.append((place, reached))
            else:
                reached.set_result(answered)

    async def _exchange(self) -> None:
        # Before Redis has said the time, versions would be those of a clock that may be wrong.
        entries: list[TableEntry] = []
        if self._clock.learned:
            entries = self._table.untold(MOST_AT_ONCE)
            self._steps += 1
            if self._steps % TELL_AGAIN_AFTER == 0:
                # That costs Redis a look at each, and puts right what another program has changed.
                entries += self._table.next_known(MOST_AT_ONCE - len(entries))
        telling = [(entry, self._sealer.seal(entry)) for entry in entries]
        arguments = [
            part for _, sealed in telling for part in (sealed, self._no_entries.get(sealed[:PLACE_BYTES], b""))
        ]
        now, began = self._clock.now(), self._clock.monotonic()
        try:
            # No circuit breaker: no question waits for this, and asking every half second is what finds Redis again.
            reply = await _EXCHANGE.run(
                self._client,
                self._key,
                _LIFETIME,
                self._seen,
                self._seal,
                MOST_AT_ONCE,
                stamp(now),
                stamp(now + CLOCK_TOLERANCE),
                *arguments,
            )
            answer = msgspec.convert(reply, _Answer)
        except (*REDIS_FAILURES, msgspec.ValidationError):
            self._caught_up.set()
            self._report(answered=False)
            return
        self._clock.learn(
            instant_of(answer.seconds * _MICROSECONDS + answer.microseconds),
            took=timedelta(seconds=self._clock.monotonic() - began),
        )
        self._take_over(answer, telling)
        self._report(answered=True)

    def _take_over(self, answer: _Answer, telling: list[tuple[TableEntry, bytes]]) -> None:
        self._no_entries = {}
        for sealed in answer.in_place:
            if (entry := self._sealer.unseal(sealed)) is None:
                self._no_entries[sealed[:PLACE_BYTES]] = sealed
            else:
                self._table.merge(entry)
        self._table.told(entry for entry, sealed in telling if sealed[:PLACE_BYTES] not in self._no_entries)
        if answer.lost:
            self._table.tell_all()
        for sealed in answer.unknown:
            if (entry := self._sealer.unseal(sealed)) is not None:
                self._table.merge(entry)
        self._seen, self._seal = answer.upto, answer.seal
        if answer.upto >= answer.last:
            self._caught_up.set()
        if answer.upto < answer.last or (not self._no_entries and self._table.untold(1)):
            self._news.set()
