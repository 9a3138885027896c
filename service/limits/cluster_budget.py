"""The store budget of all replicas together, in Redis; while they cannot share it, this replica's own part of it."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from service.errors import Overloaded, SourceRateLimited
from service.limits.store_budget import (
    BACKGROUND_RESERVE,
    FIRST_PAUSE,
    LONGEST_OWN_PAUSE,
    LONGEST_PAUSE,
    RECOVERY,
    SMALLEST_SHARE,
    ProcessBudget,
)
from service.redis.background_tasks import BackgroundTasks
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock, Priority

_TAKE_TURN: Final = Script("service.limits", "budget.lua", "take_turn.lua", own_hash=True)
_STORE_REFUSED: Final = Script("service.limits", "budget.lua", "store_refused.lua", own_hash=True)
_STORE_ANSWERED: Final = Script("service.limits", "budget.lua", "store_answered.lua", own_hash=True)

_GRANTED: Final = 1
_PAUSED: Final = -1
_MOST_NOTES_WAITING: Final = 100

_FAILURES_TO_LEAVE: Final = 1
"""The failures in a row after which this replica spends its own part: two ledgers must not answer in turn."""

_ANSWERS_TO_RETURN: Final = 5
"""The tries, a second apart, that Redis answers before its ledger is used again: five seconds after the last failure.

In that time all replicas have seen the failure, and none still spends its own part beside the shared one.
"""

_Thousandths = Annotated[int, Meta(ge=int(SMALLEST_SHARE * 1000), le=1000)]
_Milliseconds = Annotated[int, Meta(ge=0, le=10**12)]


class _Reply(Struct, frozen=True, array_like=True):
    """A reply of Redis, with the state of the budget at that time."""

    said: Literal[-1, 0, 1]
    wait_ms: _Milliseconds
    tokens_thousandths: int
    share_thousandths: _Thousandths

    @property
    def wait(self) -> timedelta:
        return timedelta(milliseconds=self.wait_ms)


class ClusterBudget:
    """Implements `StoreBudget` for replicas that share one Redis and one seller key.

    `own` is the part that this replica may spend while Redis is away, or while `spend_own_part` says so. Each change
    between the two begins with an empty bucket: what is left in the one may be spent from the other already. `own` also
    remembers the pauses that this replica knows of, so that losing Redis in the middle of one does not end it. Refusals
    and answers are written to Redis in the background.
    """

    def __init__(
        self,
        *,
        own: ProcessBudget,
        client: RedisClient,
        key: str,
        rate: float,
        burst: int,
        timeout: timedelta,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._own = own
        self._key = key
        self._rate = rate
        self._burst = float(burst)
        self._timeout = timeout
        self._clock = clock
        self._jitter = jitter
        self._scripts = ScriptRunner(
            client,
            clock=clock,
            failures_to_open=_FAILURES_TO_LEAVE,
            answers_to_close=_ANSWERS_TO_RETURN,
            on_change=self._changed,
        )
        self._notes = BackgroundTasks()
        self._must_spend_own = False
        self._shares = True
        self._has_shared = False
        self._begins_empty = False
        self._tokens = self._burst
        self._share = 1.0
        self._known_at = clock.monotonic()

    # --- the budget as this replica knows it ---

    def rate(self) -> float:
        """Return the requests a second that the store bears at the moment, of all replicas together."""
        return self._rate * self._share if self._shares else self._own.rate()

    def tokens(self) -> float:
        """Return the number of requests that could be sent right now, as far as this replica knows."""
        return self._shared_tokens() if self._shares else self._own.tokens()

    def pause_left(self) -> timedelta:
        """Return the time for which the store still wants no requests."""
        return self._own.pause_left()

    def admit(self, priority: Priority, *, within: timedelta) -> None:
        """Raise if a request asked for now could not be sent within that time, as far as this replica knows."""
        if not self._shares:
            self._own.admit(priority, within=within)
            return
        self._respect_pause()
        missing = 1 + self._reserve(priority) - self.tokens()
        wait = timedelta(seconds=max(0.0, missing) / (self._rate * self._share))
        if wait > _longest_wait(priority, within):
            raise Overloaded("the store budget is spent", retry_after=wait)

    # --- turns and notes, in Redis ---

    async def acquire(self, priority: Priority) -> None:
        """Return when one request may be sent; the order is that of asking, across all replicas."""
        self._respect_pause()
        turn = await self._take_turn(priority)
        if turn is None:
            await self._own.acquire(priority)
            return
        if turn.said == _PAUSED:
            self._own.stay_away(turn.wait)
            raise SourceRateLimited("the store asked us to stay away", retry_after=turn.wait)
        if turn.said != _GRANTED:
            raise Overloaded("the store budget is spent", retry_after=turn.wait)
        self._own.spent(turn.wait)
        if turn.wait > timedelta():
            await self._clock.sleep(turn.wait)
        self._respect_pause()

    def refused(self, retry_after: timedelta | None) -> None:
        """Take note, for all replicas, that the store throttled us."""
        self._own.refused(retry_after)
        if len(self._notes) < _MOST_NOTES_WAITING:  # one note of many is enough to begin a pause
            self._notes.start(self._write_refused(retry_after))

    def answered(self) -> None:
        """Take note, for all replicas, that the store answers normally."""
        self._own.answered()
        if self._share < 1 and len(self._notes) < _MOST_NOTES_WAITING:
            self._notes.start(self._write_answered())

    def spend_own_part(self, *, must: bool) -> None:
        """Spend this replica's own part alone, as long as others spend from a ledger that this one does not see."""
        self._must_spend_own = must
        self._changed()

    async def close(self) -> None:
        """Wait until all notes have reached Redis, for a second at most."""
        await self._notes.close()
        await self._scripts.close()

    def _changed(self) -> None:
        """Change to the other ledger if it is time to, and begin there with an empty bucket."""
        shares = self._scripts.healthy and not self._must_spend_own
        if shares is self._shares:
            return
        self._shares = shares
        if shares:
            self._tokens, self._known_at, self._begins_empty = 0.0, self._clock.monotonic(), True
        elif self._has_shared:  # else the others cannot have spent this replica's part either
            self._own.empty()

    def _shared_tokens(self) -> float:
        gained = (self._clock.monotonic() - self._known_at) * self._rate * self._share
        return min(self._burst, self._tokens + gained)

    # --- the scripts ---

    async def _take_turn(self, priority: Priority) -> _Reply | None:
        if not self._shares:
            return None
        timeout = _longest_wait(priority, self._timeout)
        return await self._run(_TAKE_TURN, repr(self._reserve(priority)), _milliseconds(timeout))

    async def _write_refused(self, retry_after: timedelta | None) -> None:
        reply = await self._run(
            _STORE_REFUSED,
            -1 if retry_after is None else _milliseconds(retry_after),
            _milliseconds(FIRST_PAUSE),
            _milliseconds(LONGEST_OWN_PAUSE),
            repr(0.5 + self._jitter() / 2),
        )
        if reply is not None:
            # Other replicas may have been refused more often in a row: then their pause is the longer one.
            self._own.stay_away(reply.wait)

    async def _write_answered(self) -> None:
        await self._run(_STORE_ANSWERED, repr(RECOVERY))

    async def _run(self, script: Script, *arguments: str | int) -> _Reply | None:
        """Return the reply of Redis; None while it is away, or where something else than our script answers."""
        reply = await self._scripts.run(
            script,
            self._key,
            repr(self._rate),
            repr(self._burst),
            _milliseconds(self._timeout),
            repr(SMALLEST_SHARE),
            _milliseconds(LONGEST_PAUSE),
            repr(self._shared_tokens()),
            repr(0.0 if self._begins_empty else self._burst),
            *arguments,
        )
        try:
            said = msgspec.convert(reply, _Reply)
        except msgspec.ValidationError:
            return None
        self._has_shared, self._begins_empty = True, False
        self._tokens, self._share = said.tokens_thousandths / 1000, said.share_thousandths / 1000
        self._known_at = self._clock.monotonic()
        return said

    # --- bounds ---

    def _respect_pause(self) -> None:
        if (left := self.pause_left()) > timedelta():
            raise SourceRateLimited("the store asked us to stay away", retry_after=left)

    def _reserve(self, priority: Priority) -> float:
        if priority is Priority.FOREGROUND:
            return 0.0
        return min(self._burst * BACKGROUND_RESERVE, self._burst - 1)


def _longest_wait(priority: Priority, timeout: timedelta) -> timedelta:
    return timeout if priority is Priority.FOREGROUND else timedelta()


def _milliseconds(duration: timedelta) -> int:
    return max(0, duration // timedelta(milliseconds=1))
