"""The store budget of all replicas together, kept in Redis; while Redis is away, this replica's own part of it."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Final

from msgspec import Struct

from service.errors import Overloaded, SourceRateLimited
from service.interfaces import Clock, Priority
from service.limits.store_budget import (
    BACKGROUND_RESERVE,
    FIRST_PAUSE,
    LONGEST_OWN_PAUSE,
    LONGEST_PAUSE,
    RECOVERY,
    SMALLEST_SHARE,
    TokenBucket,
)
from service.redis.circuit import Circuit
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.script import Script

_TAKE_TURN: Final = Script("service.limits", "take_turn.lua")
_STORE_REFUSED: Final = Script("service.limits", "store_refused.lua")
_STORE_ANSWERED: Final = Script("service.limits", "store_answered.lua")

_GRANTED: Final = 1
_PAUSED: Final = -1
_MOST_NOTES_WAITING: Final = 100


class _Turn(Struct, frozen=True):
    """What Redis said about the next turn, and how the budget stood then."""

    granted: int
    wait: timedelta
    tokens: float
    share: float


class ClusterBudget:
    """Implements `StoreBudget` for replicas that share one Redis and one seller key.

    `own` is what this replica may spend when Redis is away; it also keeps the pauses, so that losing Redis in the
    middle of one does not end it. What Redis is told about refusals and answers, nobody waits for.
    """

    def __init__(
        self,
        *,
        own: TokenBucket,
        client: RedisClient,
        key: str,
        rate: float,
        burst: int,
        patience: timedelta,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._own = own
        self._client = client
        self._key = key
        self._rate = rate
        self._burst = burst
        self._patience = patience
        self._clock = clock
        self._jitter = jitter
        self._circuit = Circuit(clock)
        self._known = _Turn(_GRANTED, timedelta(), float(burst), 1.0)
        self._known_at = clock.monotonic()
        self._notes: set[asyncio.Task[None]] = set()

    def tokens(self) -> float:
        """Return how many requests could be sent right now, as far as this replica knows."""
        if not self._circuit.closed:
            return self._own.tokens()
        gained = (self._clock.monotonic() - self._known_at) * self._rate * self._known.share
        return min(float(self._burst), self._known.tokens + gained)

    def pause_left(self) -> timedelta:
        """Return how long the store wants to be left alone."""
        return self._own.pause_left()

    def admit(self, priority: Priority, *, within: timedelta) -> None:
        """Raise if a request asked for now could not be sent within that time, as far as this replica knows."""
        if not self._circuit.closed:
            self._own.admit(priority, within=within)
            return
        if (left := self.pause_left()) > timedelta():
            raise SourceRateLimited("the store asked us to stay away", retry_after=left)
        needed = 1 + self._reserve(priority)
        wait = timedelta(seconds=max(0.0, needed - self.tokens()) / (self._rate * self._known.share))
        if wait > within:
            raise Overloaded("the store budget is spent", retry_after=wait)

    async def acquire(self, priority: Priority) -> None:
        """Return when one request may be sent; the order is that of asking, across all replicas."""
        turn = await self._take_turn(priority)
        if turn is None:
            await self._own.acquire(priority)
            return
        if turn.granted == _PAUSED:
            self._own.stay_away(turn.wait)
            raise SourceRateLimited("the store asked us to stay away", retry_after=turn.wait)
        if turn.granted != _GRANTED:
            raise Overloaded("the store budget is spent", retry_after=turn.wait)
        if turn.wait > timedelta():
            await self._clock.sleep(turn.wait)
        if (left := self.pause_left()) > timedelta():
            raise SourceRateLimited("the store asked us to stay away", retry_after=left)

    def refused(self, retry_after: timedelta | None) -> None:
        """Take note, for all replicas, that the store throttled us."""
        self._own.refused(retry_after)
        self._note(self._tell_refused(retry_after))

    def answered(self) -> None:
        """Take note, for all replicas, that the store answers normally."""
        self._own.answered()
        if self._known.share < 1:
            self._note(self._tell_answered())

    async def close(self) -> None:
        """Give up what has not reached Redis."""
        for task in tuple(self._notes):
            task.cancel()
        await asyncio.gather(*self._notes, return_exceptions=True)

    async def _take_turn(self, priority: Priority) -> _Turn | None:
        patience = self._patience if priority is Priority.FOREGROUND else timedelta()
        reply = await self._run(
            _TAKE_TURN, repr(self._rate), self._burst, repr(self._reserve(priority)), _milliseconds(patience)
        )
        if not isinstance(reply, list):
            return None
        granted, wait, tokens, share = reply
        self._known = _Turn(granted, timedelta(milliseconds=wait), tokens / 1000, share / 1000)
        self._known_at = self._clock.monotonic()
        return self._known

    async def _tell_refused(self, retry_after: timedelta | None) -> None:
        left = await self._run(
            _STORE_REFUSED,
            -1 if retry_after is None else _milliseconds(retry_after),
            repr(0.5 + self._jitter() / 2),
            repr(SMALLEST_SHARE),
            _milliseconds(FIRST_PAUSE),
            _milliseconds(LONGEST_OWN_PAUSE),
            _milliseconds(LONGEST_PAUSE),
        )
        if isinstance(left, int):
            self._own.stay_away(timedelta(milliseconds=left))

    async def _tell_answered(self) -> None:
        await self._run(_STORE_ANSWERED, repr(RECOVERY))

    async def _run(self, script: Script, *arguments: str | int) -> object:
        """Return what Redis answered, None while it is away."""
        if not self._circuit.lets_through():
            return None
        try:
            reply = await script.run(self._client, self._key, *arguments)
        except REDIS_FAILURES:
            self._circuit.failed()
            return None
        self._circuit.succeeded()
        return reply

    def _note(self, telling: Coroutine[None, None, None]) -> None:
        if len(self._notes) >= _MOST_NOTES_WAITING:
            telling.close()  # the store is refusing faster than Redis can be told; one note of many is enough
            return
        task = asyncio.get_running_loop().create_task(telling)
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def _reserve(self, priority: Priority) -> float:
        if priority is Priority.FOREGROUND:
            return 0.0
        return min(self._burst * BACKGROUND_RESERVE, self._burst - 1.0)


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
