"""A launch in virtual time: many players join, and the store may be asked six times a second.

The budget is the gateway's own, on a clock that this module turns. A player whom Redis knows is answered at once.
Everybody else needs one look-up, waits for it as long as the budget lets them, and is otherwise told to come back;
game servers come back after twice as long each time, up to a minute, spread over the second half of that time.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from benchmarks.plot import lines
from service.errors import NoAnswer
from service.interfaces import Priority
from service.limits.store_budget import TokenBucket

_PLAYERS: Final = (10_000, 100_000, 1_000_000)
_KNOWN: Final = (0.0, 0.5, 0.95, 0.99)
"""Shares of the players whom Redis knows already: after a restart, after an update, on an ordinary evening."""
_JOIN_WITHIN_SECONDS: Final = 600
_RATE: Final = 6.0
_BURST: Final = 12
_PATIENCE: Final = timedelta(seconds=2.5)
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

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, duration: timedelta) -> None:
        """Return at once: the budget has counted the request already, and nothing else happens to it."""

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:  # noqa: ARG002 - as `Clock` has it
        return nullcontext()

    io_timeout = timeout


class _Crowd:
    """The players who have no answer yet: how many come at which second, after how many refusals."""

    def __init__(self) -> None:
        self._due: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self._random = random.Random(_SEED)

    def arrive(self, count: int, *, within: int) -> None:
        for second, share in enumerate(_spread(count, within)):
            self._due[second][0] += share

    def take(self, second: int) -> Counter[int]:
        return self._due.pop(second, Counter())

    def send_away(self, waiting: Counter[int], second: int) -> None:
        for refusals, count in waiting.items():
            longest = _BACK_OFF_SECONDS[min(refusals, len(_BACK_OFF_SECONDS) - 1)]
            shortest = longest // 2
            width = longest - shortest + 1
            if count >= width:
                for delay, share in enumerate(_spread(count, width), shortest):
                    self._due[second + delay][refusals + 1] += share
                continue
            for _ in range(count):
                self._due[second + self._random.randint(shortest, longest)][refusals + 1] += 1

    def pick(self, waiting: Counter[int], number: int) -> Counter[int]:
        """Return some of them: whoever happens to ask first."""
        if number >= waiting.total():
            return waiting.copy()
        return Counter(self._random.sample(list(waiting), number, counts=list(waiting.values())))


def simulate_launches() -> tuple[Launch, ...]:
    """Return what becomes of every number of players with every share of them known."""
    return tuple(asyncio.run(_simulate(players, known)) for players in _PLAYERS for known in _KNOWN)


async def _simulate(players: int, known: float) -> Launch:
    clock = _TurnedClock()
    budget = TokenBucket(
        rate=_RATE,
        burst=_BURST,
        patience=_PATIENCE,
        clock=clock,
        paused=lambda _: None,
        resumed=lambda: None,
    )
    strangers = round(players * (1 - known))
    at_once = players - strangers
    crowd = _Crowd()
    crowd.arrive(strangers, within=_JOIN_WITHIN_SECONDS)
    questions, answered, second, last = at_once, 0, 0, 0.0
    half = _JOIN_WITHIN_SECONDS / 2 if at_once * 2 >= players else 0.0
    while answered < strangers:
        waiting = crowd.take(second)
        clock.seconds = float(second)
        questions += waiting.total()
        admitted = crowd.pick(waiting, await _admitted(budget, waiting.total()))
        answered += admitted.total()
        at_once += admitted[0]
        crowd.send_away(waiting - admitted, second)
        if admitted:
            last = second
        if not half and (players - strangers) * min(1.0, second / _JOIN_WITHIN_SECONDS) + answered >= players / 2:
            half = float(second)
        second += 1
    return Launch(
        players=players,
        known=known,
        at_once=at_once / players,
        half_seconds=half,
        all_seconds=max(float(last), _JOIN_WITHIN_SECONDS),
        floor_seconds=max(_JOIN_WITHIN_SECONDS, (strangers - _BURST) / _RATE),
        questions=questions,
    )


async def _admitted(budget: TokenBucket, wanted: int) -> int:
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
    return lines("minutes until everybody has an answer", "players who join within ten minutes", "minutes", drawn)


def _spread(count: int, places: int) -> list[int]:
    each, rest = divmod(count, places)
    return [each + (place < rest) for place in range(places)]


def _time(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
