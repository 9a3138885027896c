"""A launch in virtual time: many players join, and the store may be asked six times a second.

The budget is the gateway's own, on a clock that this module turns. A player whom Redis knows is answered at once.
Everybody else needs one look-up, waits for it as long as the budget lets them, and is otherwise told to come back;
game servers come back after twice as long each time, up to a minute, spread over the second half of that time.

Those who wait are counted, not kept one by one: a million of them ask a thousand million times. Whoever comes in one
second finds the budget as the one before left it, so that nobody behind the first refusal need be asked about.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from benchmarks.plot import lines
from service.errors import NoAnswer
from service.limits.store_budget import ProcessBudget
from service.verification.interfaces import Priority

_PLAYERS: Final = (10_000, 100_000, 1_000_000)
_KNOWN: Final = (0.0, 0.5, 0.95, 0.99)
"""Shares of the players whom Redis knows already: after a restart, after an update, on an ordinary evening."""
_JOIN_WITHIN_SECONDS: Final = 600
_RATE: Final = 6.0
_BURST: Final = 12
_STORE_TIMEOUT: Final = timedelta(seconds=2.5)
_DEADLINE: Final = timedelta(seconds=3)
_BACK_OFF_SECONDS: Final = (2, 4, 8, 16, 32, 60)
_SEED: Final = 3


class Launch(Struct, frozen=True):
    """What became of the players. Times in seconds from the first one's arrival."""

    players: int
    known: float
    at_once: float
    """Share of the players whose first question was answered."""
    half_seconds: float
    """Until half of them had their answer."""
    all_seconds: float
    """Until the last of them had it."""
    floor_seconds: float
    """What the budget alone takes, were everybody to queue perfectly."""
    questions: int
    """Asked in all, those included that were told to come back."""


class _TurnedClock:
    """Implements `Clock`; its time is what it is set to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept_seconds = 0.0
        """How long the last one waited for their turn; nobody waits less than who came before in that second."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, duration: timedelta) -> None:
        """Return at once: the budget has counted the request already, and nothing else happens to it."""
        self.slept_seconds = duration.total_seconds()

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:  # noqa: ARG002 - as `Clock` has it
        return nullcontext()

    io_timeout = timeout


class _Crowd:
    """The players who have no answer yet: how many come at which second, after how many refusals.

    Who was refused so often that it waits the longest is not counted any further: a player more or less often refused
    behaves the same, and the work of a second stays the same however long the launch lasts.
    """

    def __init__(self) -> None:
        self._due: defaultdict[int, list[int]] = defaultdict(_nobody)
        self._random = random.Random(_SEED)

    def arrive(self, count: int, *, within: int) -> None:
        for second in range(within):
            self._due[second][0] += count * (second + 1) // within - count * second // within

    def take(self, second: int) -> list[int]:
        return self._due.pop(second, _nobody())

    def send_away(self, waiting: Sequence[int], second: int) -> None:
        for refusals, count in enumerate(waiting):
            longest = _BACK_OFF_SECONDS[refusals]
            shortest = longest // 2
            next_time = min(refusals + 1, len(_BACK_OFF_SECONDS) - 1)
            seconds = range(second + shortest, second + longest + 1)
            each, rest = divmod(count, len(seconds))
            if each:
                for due in seconds:
                    self._due[due][next_time] += each
            for due in self._random.sample(seconds, rest):
                self._due[due][next_time] += 1

    def pick(self, waiting: Sequence[int], number: int) -> list[int]:
        """Return some of them: whoever happens to ask first."""
        picked = _nobody()
        if not number:
            return picked
        for refusals in self._random.sample(range(len(waiting)), number, counts=waiting):
            picked[refusals] += 1
        return picked


def _nobody() -> list[int]:
    return [0] * len(_BACK_OFF_SECONDS)


def simulate_launches() -> tuple[Launch, ...]:
    """Return what becomes of every number of players with every share of them known."""
    return tuple(asyncio.run(simulate_launch(players, known)) for players in _PLAYERS for known in _KNOWN)


async def simulate_launch(players: int, known: float) -> Launch:
    """Return what becomes of that number of players with that share of them known."""
    clock = _TurnedClock()
    budget = ProcessBudget(
        rate=_RATE,
        burst=_BURST,
        timeout=_STORE_TIMEOUT,
        clock=clock,
        paused=lambda _: None,
        resumed=lambda: None,
    )
    strangers = round(players * (1 - known))
    at_once = players - strangers
    crowd = _Crowd()
    crowd.arrive(strangers, within=_JOIN_WITHIN_SECONDS)
    questions, answered, second = at_once, 0, 0
    half = last = 0.0
    while answered < strangers or not half:
        waiting = crowd.take(second)
        clock.seconds = float(second)
        questions += sum(waiting)
        admitted = crowd.pick(waiting, await _admitted(budget, sum(waiting)))
        answered += sum(admitted)
        at_once += admitted[0]
        crowd.send_away([count - picked for count, picked in zip(waiting, admitted, strict=True)], second)
        if any(admitted):
            last = second + clock.slept_seconds
        second += 1
        known_and_here = (players - strangers) * min(1.0, second / _JOIN_WITHIN_SECONDS)
        if not half and known_and_here + answered >= players / 2:
            half = float(second)
    return Launch(
        players=players,
        known=known,
        at_once=at_once / players,
        half_seconds=half,
        all_seconds=max(last, _JOIN_WITHIN_SECONDS),
        floor_seconds=max(_JOIN_WITHIN_SECONDS, (strangers - _BURST) / _RATE),
        questions=questions,
    )


async def _admitted(budget: ProcessBudget, wanted: int) -> int:
    """Return how many of the look-ups wanted now the budget lets through, or lets wait their turn."""
    for count in range(wanted):
        try:
            budget.admit(Priority.FOREGROUND, within=_DEADLINE)
            await budget.acquire(Priority.FOREGROUND)
        except NoAnswer:
            return count
    return wanted


def table(launches: Sequence[Launch]) -> str:
    """Return the figures as lines of text."""
    head = (
        f"{'players':>10} {'known':>6} {'at once':>8} {'half of them':>13} {'all of them':>12} {'budget alone':>13} "
        f"{'questions':>12}"
    )
    return "\n".join(
        [
            head,
            *(
                f"{one.players:>10,} {one.known:>6.0%} {one.at_once:>8.1%} {_time(one.half_seconds):>13} "
                f"{_time(one.all_seconds):>12} {_time(one.floor_seconds):>13} {one.questions:>12,}"
                for one in launches
            ),
        ]
    )


def plot(launches: Sequence[Launch]) -> str:
    """Return the time until everybody has an answer as a plot."""
    drawn = [
        (f"{known:.0%} known", [(one.players, one.all_seconds / 60) for one in launches if one.known == known])
        for known in _KNOWN
    ]
    title = "minutes until everybody has an answer"
    return lines(title, "players who join within ten minutes", "minutes", drawn, logarithmic=True)


def _time(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
