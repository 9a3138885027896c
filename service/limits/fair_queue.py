"""The queue for the store: callers are served in turn, each with its games in turn, and no game takes every connection.

The budget says when a request may be sent, this queue says whose it is. So a caller with a thousand new players delays
another one's by one turn each, and a game for which the store hangs leaves connections to the others.
"""

import asyncio
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from itertools import chain, islice
from typing import Final, Protocol

from service.errors import Overloaded
from service.ownership import GameId
from service.verification.interfaces import Clock, Lane, Priority

CONNECTIONS: Final = 48
"""Requests under way to the store: as many as a rate of six a second begins in eight seconds, the longest of each."""

_TURNS_ASKED_FOR: Final = 2
"""Turns that are asked of the budget at one time: one would leave the time that Redis needs unused between two."""

_ASK_AGAIN: Final = timedelta(seconds=1)
_SHORTEST_RETRY: Final = timedelta(seconds=1)
_LONGEST_RETRY: Final = timedelta(seconds=60)


class Budget(Protocol):
    """The requests that may still be sent to the store, without regard to whose they are."""

    def rate(self) -> float:
        """Return the requests a second that the store bears at the moment."""

    def tokens(self) -> float:
        """Return the number of requests that could be sent right now."""

    def admit(self, priority: Priority, *, within: timedelta) -> None:
        """Raise `SourceRateLimited` or `Overloaded` if a request asked for now could not be sent within that time."""

    async def acquire(self, priority: Priority) -> None:
        """Return when one request may be sent. Raises `SourceRateLimited` or `Overloaded` when none may be soon."""


class _Waiting:
    """A request that waits for its turn."""

    __slots__ = ("lane", "turn")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class FairQueue:
    """Implements `StoreQueue`: one line for each caller and game.

    The caller that was served longest ago is next, with the game of its own that was. A game takes another connection
    only while it holds fewer than are free: at most half of them alone, and no number of games takes all. Of one caller
    so many wait as the whole rate serves within `longest`, the deadline that callers have by default; more would wait
    in vain. The turn of a caller that leaves is the next one's. Look-ups in the background do not wait to begin.

    `queueing` is entered by each request that waits: being cancelled there costs nothing.
    """

    def __init__(
        self,
        *,
        budget: Budget,
        clock: Clock,
        longest: timedelta,
        connections: int = CONNECTIONS,
        queueing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._budget = budget
        self._clock = clock
        self._longest = longest
        self._free = connections
        self._queueing = queueing
        self._held: Counter[GameId | None] = Counter()
        self._callers: OrderedDict[str, OrderedDict[GameId | None, deque[_Waiting]]] = OrderedDict()
        self._asking: set[asyncio.Task[None]] = set()

    def waiting(self) -> int:
        """Return the number of requests that wait for their turn."""
        return sum(map(self._waiting_of, self._callers))

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Raise if a request asked for now could not be sent within that time, as far as is known; spends nothing.

        `Overloaded` has the time in which the requests of that caller which wait already will have been served.
        """
        if lane.priority is Priority.BACKGROUND and (self._callers or not self._has_connection(lane.game_id)):
            raise Overloaded("callers wait for the store", retry_after=_SHORTEST_RETRY)
        self._budget.admit(lane.priority, within=within)
        if lane.priority is Priority.BACKGROUND:
            return
        before, rate = self._waiting_of(lane.caller), self._budget.rate()
        room = max(0, math.floor(self._budget.tokens())) + math.ceil(rate * within.total_seconds())
        if before >= max(1, room):
            share = rate / len(self._callers)
            wait = timedelta(seconds=before / share)
            raise Overloaded("too many wait already", retry_after=min(max(wait, _SHORTEST_RETRY), _LONGEST_RETRY))

    async def take_turn(self, lane: Lane, *, begun: bool = False) -> None:
        """Return when a request may be sent, whose connection is held until `end_turn`.

        One of a look-up that has `begun` is the next in its lane, however many wait there: to turn it away would waste
        the request before it.
        """
        if not begun:
            self.admit(lane, within=self._longest)
        if begun or lane.priority is Priority.FOREGROUND:
            await self._wait(lane, first=begun)
            return
        self._take_connection(lane.game_id)
        try:
            await self._budget.acquire(Priority.BACKGROUND)
        except BaseException:
            self.end_turn(lane)
            raise

    def end_turn(self, lane: Lane) -> None:
        """Give back the connection of a request that has ended."""
        self._free += 1
        self._held[lane.game_id] -= 1
        if not self._held[lane.game_id]:
            del self._held[lane.game_id]
        self._ask_for_turns()

    async def close(self) -> None:
        """Ask for no more turns."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    # --- waiting ---

    async def _wait(self, lane: Lane, *, first: bool) -> None:
        waiting = _Waiting(lane)
        line = self._callers.setdefault(lane.caller, OrderedDict()).setdefault(lane.game_id, deque())
        if first:
            line.appendleft(waiting)
        else:
            line.append(waiting)
        self._ask_for_turns()
        try:
            with self._queueing():
                await asyncio.wait((waiting.turn,))  # unlike the future alone, it is not cancelled with its caller
        except asyncio.CancelledError:
            if not waiting.turn.done():
                self._callers[lane.caller][lane.game_id].remove(waiting)
                self._forget_empty(lane)
            elif waiting.turn.exception() is None:
                self.end_turn(lane)
                self._give_turn()
            raise
        waiting.turn.result()

    def _forget_empty(self, lane: Lane) -> None:
        games = self._callers[lane.caller]
        if not games[lane.game_id]:
            del games[lane.game_id]
        if not games:
            del self._callers[lane.caller]

    def _waiting_of(self, caller: str) -> int:
        return sum(map(len, self._callers.get(caller, {}).values()))

    # --- turns ---

    def _ask_for_turns(self) -> None:
        """Ask the budget for the turns of those who can be served next."""
        servable = list(islice(chain.from_iterable(self._servable()), _TURNS_ASKED_FOR))  # no matter how many wait
        while len(self._asking) < len(servable):
            task = asyncio.get_running_loop().create_task(self._fetch_turn())
            self._asking.add(task)
            task.add_done_callback(self._fetched)

    async def _fetch_turn(self) -> None:
        try:
            await self._budget.acquire(Priority.FOREGROUND)
        except Overloaded:
            await self._clock.sleep(_ASK_AGAIN)  # other replicas have the turns of the next seconds
        except Exception as reason:  # noqa: BLE001 - it is raised again, by each who waits
            self._send_all_away(reason)
        else:
            self._give_turn()

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            self._ask_for_turns()

    def _give_turn(self) -> None:
        """Give a turn to the next one in line, if one has a connection. Else it stays unused."""
        line = next(self._servable(), None)
        if line is None:
            return
        waiting = line.popleft()
        lane = waiting.lane
        self._callers.move_to_end(lane.caller)
        self._callers[lane.caller].move_to_end(lane.game_id)
        self._forget_empty(lane)
        self._take_connection(lane.game_id)
        waiting.turn.set_result(None)

    def _servable(self) -> Iterator[deque[_Waiting]]:
        """The lines whose games have a connection, the next one first."""
        for games in self._callers.values():
            for game_id, line in games.items():
                if self._has_connection(game_id):
                    yield line

    def _send_all_away(self, reason: Exception) -> None:
        for games in self._callers.values():
            for line in games.values():
                for waiting in line:
                    waiting.turn.set_exception(reason)
        self._callers.clear()

    # --- connections ---

    def _has_connection(self, game_id: GameId | None) -> bool:
        return self._held[game_id] < self._free

    def _take_connection(self, game_id: GameId | None) -> None:
        self._free -= 1
        self._held[game_id] += 1
