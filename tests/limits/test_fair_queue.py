"""The queue for the store: whose turn it is, how many may wait, and how many connections a game may hold."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import NoAnswer, Overloaded, SourceRateLimited
from service.limits.fair_queue import FairQueue
from service.limits.store_budget import ProcessBudget
from service.ownership import GameId
from service.verification.interfaces import Lane, Priority
from tests.clock import FakeClock
from tests.limits.buckets import Reported, make, seconds

A, B, C = Lane("a", GameId(1)), Lane("b", GameId(1)), Lane("c", GameId(1))
A_OTHER_GAME = Lane("a", GameId(2))
BACKGROUND = Lane("", GameId(1), Priority.BACKGROUND)


class Street:
    """A queue, its budget, and the requests that had their turn, in order. Requests end at once, unless `hanging`."""

    def __init__(
        self,
        *,
        rate: float = 1,
        burst: int = 1,
        longest: float = 18,
        connections: int = 1000,
    ) -> None:
        self.clock = FakeClock()
        self.reported = Reported()
        self.budget = make(self.clock, self.reported, rate=rate, burst=burst, timeout=1000)
        self.queue = FairQueue(
            budget=self.budget,
            clock=self.clock,
            longest=seconds(longest),
            connections=connections,
            queueing=self._queueing,
        )
        self.queueing = 0
        self.served: list[tuple[Lane, float]] = []
        self.hanging: set[GameId | None] = set()
        self.start = self.clock.monotonic()

    async def request(self, lane: Lane, *, begun: bool = False) -> None:
        """Wait for a turn, and ask the store."""
        await self.queue.take_turn(lane, begun=begun)
        self.served.append((lane, round(self.clock.monotonic() - self.start, 3)))
        try:
            if lane.game_id in self.hanging:
                await self.clock.sleep(seconds(10_000))
        finally:
            self.queue.end_turn(lane)

    async def ask(self, *lanes: Lane) -> list[asyncio.Task[None]]:
        """Let them ask, one after the other."""
        tasks = [asyncio.create_task(self.request(lane)) for lane in lanes]
        await self.clock.advance(timedelta())
        return tasks

    @property
    def order(self) -> list[Lane]:
        """Whose turns there were."""
        return [lane for lane, _ in self.served]

    @contextmanager
    def _queueing(self) -> Iterator[None]:
        self.queueing += 1
        try:
            yield
        finally:
            self.queueing -= 1


@pytest.fixture
async def street() -> Street:
    """A request a second, and one token, which is spent."""
    made = Street()
    await made.ask(Lane())
    made.served.clear()
    return made


async def finish(tasks: list[asyncio.Task[None]]) -> list[object]:
    """Return how they ended."""
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_callers_are_served_in_turn(street: Street) -> None:
    """A caller that comes behind a crowd of another one waits for one turn, not for the crowd."""
    tasks = await street.ask(*[A] * 5, B, B)
    await street.clock.advance(seconds(7))

    assert street.order == [A, B, A, B, A, A, A]
    assert [at for _, at in street.served] == [1, 2, 3, 4, 5, 6, 7]
    await finish(tasks)


async def test_games_of_one_caller_are_served_in_turn_and_cost_the_others_nothing(street: Street) -> None:
    """A caller that asks about two games has no more turns than one that asks about one."""
    tasks = await street.ask(*[A] * 3, *[A_OTHER_GAME] * 3, *[B] * 3)
    await street.clock.advance(seconds(9))

    assert street.order == [A, B, A_OTHER_GAME, B, A, B, A_OTHER_GAME, A, A_OTHER_GAME]
    await finish(tasks)


async def test_a_burst_is_there_for_all_at_once() -> None:
    """Tokens that are there are used without waiting."""
    street = Street(burst=6)
    tasks = await street.ask(*[A] * 5, B)

    assert Counter(street.order) == {A: 5, B: 1}
    assert {at for _, at in street.served} == {0}
    await finish(tasks)


async def test_two_turns_are_asked_for_at_one_time(street: Street) -> None:
    """However many wait, no more tokens are taken in advance; and none for which there is no request."""
    [one] = await street.ask(A)
    for_one = street.budget.tokens()
    tasks = [one, *await street.ask(*[A] * 9)]

    assert (for_one, street.budget.tokens()) == (-1, -2)
    await street.clock.advance(seconds(10))
    await finish(tasks)


async def test_the_turn_of_a_caller_that_leaves_is_the_next_ones(street: Street) -> None:
    """Leaving delays no other, and the place in the lane is free again."""
    tasks = await street.ask(A, A, B)
    tasks[0].cancel()
    await street.clock.advance(seconds(2))

    assert Counter(street.order) == {A: 1, B: 1}
    assert [at for _, at in street.served] == [1, 2]
    assert (street.queue.waiting(), street.queueing) == (0, 0)
    await finish(tasks)


async def test_a_lane_that_all_have_left_is_forgotten(street: Street) -> None:
    """The turns that come then are unused, and the next caller has one."""
    tasks = await street.ask(A, A)
    for task in tasks:
        task.cancel()
    await street.clock.advance(seconds(5))
    [late] = await street.ask(B)

    assert (street.order, street.queue.waiting()) == ([B], 0)
    await finish([*tasks, late])


class Gate(ProcessBudget):
    """A budget that gives its turns, or breaks, when the test says so, and counts how often it is asked."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(rate=1, burst=9, timeout=seconds(1), clock=clock, paused=lambda _: None, resumed=lambda: None)
        self.open = asyncio.Event()
        self.raises: Exception | None = None
        self.asked = 0

    async def acquire(self, priority: Priority) -> None:  # noqa: ARG002 - all have to wait for the gate
        """Return, or raise, once it is open."""
        self.asked += 1
        await self.open.wait()
        if self.raises is not None:
            raise self.raises


def gated() -> tuple[Street, Gate]:
    """Return a street whose turns come when the test says so."""
    street = Street()
    gate = Gate(street.clock)
    street.queue = FairQueue(budget=gate, clock=street.clock, longest=seconds(9), connections=4)
    return street, gate


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("raises", [None, SourceRateLimited()])
async def test_leaving_in_the_moment_of_a_turn_loses_nothing(turns: int, raises: Exception | None) -> None:
    """A turn is passed on, and connections are as many as before, when a caller leaves in any turn of the event loop.

    The same holds when those who wait are sent away in that moment.
    """
    street, gate = gated()
    tasks = await street.ask(*[A] * 5, B)
    gate.raises = raises
    gate.open.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks[:5]:
        task.cancel()
    await street.clock.advance(timedelta())
    gate.raises = None
    late = await street.ask(*[C] * 5)
    await street.clock.advance(timedelta())

    assert street.order.count(B) == (raises is None)
    assert (street.order.count(C), street.queue.waiting(), street.queueing) == (5, 0, 0)
    await finish([*tasks, *late])


async def test_who_waits_is_queueing_until_the_turn(street: Street) -> None:
    """A look-up that is not wanted any more is cancelled there."""
    tasks = await street.ask(A, B)
    both = street.queueing
    await street.clock.advance(seconds(1))

    assert (both, street.queueing) == (2, 1)
    await street.clock.advance(seconds(1))
    await finish(tasks)


# --- how many may wait


@pytest.mark.parametrize(("rate", "longest", "most"), [(1, 18, 18), (6, 3, 18), (6, 0.5, 3), (2, 0.6, 2)])
async def test_of_one_caller_so_many_wait_as_the_rate_serves_in_time(rate: float, longest: float, most: int) -> None:
    """Rate times deadline, rounded up; the rest is told at once when its own crowd will have been served."""
    street = Street(rate=rate, longest=longest)
    first = await street.ask(Lane())
    tasks = await street.ask(*[A] * (most + 5))

    turned_away = [task.exception() for task in tasks if task.done()]

    assert [type(error) for error in turned_away] == [Overloaded] * 5
    assert street.queue.waiting() == most
    assert {error.retry_after for error in turned_away if isinstance(error, Overloaded)} == {
        max(seconds(1), seconds(most / rate))
    }
    for task in tasks:
        task.cancel()
    await finish([*first, *tasks])


async def test_a_crowd_of_one_caller_turns_no_other_away(street: Street) -> None:
    """The other one's lane is empty."""
    tasks = await street.ask(*[A] * 30)
    [other] = await street.ask(B)
    await street.clock.advance(seconds(2))

    assert B in street.order
    for task in tasks:
        task.cancel()
    await finish([*tasks, other])


async def test_the_second_request_of_a_look_up_is_next_and_never_turned_away(street: Street) -> None:
    """However many of its caller wait: else a crowd would have all its look-ups broken off in the middle."""
    tasks = await street.ask(*[A] * 25, B)
    second = asyncio.create_task(street.request(A, begun=True))
    await street.clock.advance(seconds(2))

    assert (second.done(), Counter(street.order)) == (True, {A: 1, B: 1})
    for task in tasks:
        task.cancel()
    await finish([*tasks, second])


async def test_the_time_to_come_back_is_by_the_share_of_the_caller(street: Street) -> None:
    """Between two callers each is served at half the rate; a minute at most, a second at least."""
    tasks = await street.ask(*[A] * 18, B)

    with pytest.raises(Overloaded) as raised:
        street.queue.admit(A, within=seconds(18))
    with pytest.raises(Overloaded) as hasty:
        street.queue.admit(B, within=seconds(0.5))

    assert raised.value.retry_after == seconds(36)
    assert hasty.value.retry_after is not None
    assert hasty.value.retry_after >= seconds(1)
    for task in tasks:
        task.cancel()
    await finish(tasks)


async def test_no_caller_is_sent_away_for_longer_than_a_minute() -> None:
    """A store that bears a request in ten seconds."""
    street = Street(rate=0.1, longest=180)
    tasks = await street.ask(Lane(), *[A] * 20)

    assert {task.exception().retry_after for task in tasks if task.done() and task.exception()} == {  # type: ignore[union-attr]
        seconds(60)
    }
    for task in tasks:
        task.cancel()
    await finish(tasks)


async def test_tokens_that_are_there_are_counted_in() -> None:
    """Eight at once, and eighteen who wait for them."""
    street = Street(rate=6, burst=8, longest=3)
    tasks = await street.ask(*[A] * 100)
    await street.clock.advance(seconds(3.01))

    assert len(street.order) == 26
    assert sum(isinstance(end, Overloaded) for end in await finish(tasks)) == 74


# --- the background


async def test_the_background_is_served_at_once_or_not_at_all() -> None:
    """It leaves half of the burst to callers."""
    street = Street(burst=4)
    tasks = await street.ask(*[BACKGROUND] * 4)

    assert street.order == [BACKGROUND] * 2
    assert sum(isinstance(end, Overloaded) for end in await finish(tasks)) == 2


async def test_the_background_gives_way_to_whoever_waits(street: Street) -> None:
    """Even while there are tokens, as for a game without a free connection."""
    street.hanging.add(GameId(1))
    queue = FairQueue(budget=street.budget, clock=street.clock, longest=seconds(5), connections=2)
    await street.clock.advance(seconds(10))
    await queue.take_turn(A)
    waiting = asyncio.create_task(queue.take_turn(A))
    await street.clock.advance(timedelta())

    for lane in (BACKGROUND, Lane("", GameId(2), Priority.BACKGROUND)):
        with pytest.raises(Overloaded):
            await queue.take_turn(lane)

    waiting.cancel()
    await finish([waiting])


async def test_a_refused_background_holds_no_connection() -> None:
    """The budget may refuse it after all: another replica was faster."""
    street, gate = gated()
    gate.raises = Overloaded("another replica was faster", retry_after=seconds(1))
    gate.open.set()
    for _ in range(10):
        with pytest.raises(Overloaded, match="another replica"):
            await street.queue.take_turn(BACKGROUND)


# --- connections


async def test_a_game_holds_at_most_half_of_the_connections() -> None:
    """However long the store hangs for it, another game is served at once."""
    street = Street(rate=1000, burst=1000, connections=16)
    street.hanging.add(GameId(1))
    hanging = await street.ask(*[A] * 40)
    held = len(street.order)
    served = await street.ask(*[A_OTHER_GAME] * 20)
    await street.clock.advance(seconds(0.01))

    assert held == 8
    assert all(task.done() for task in served)
    for task in hanging:
        task.cancel()
    await finish(hanging)


async def test_games_that_hang_leave_something_to_every_other() -> None:
    """Each takes only while it holds fewer than are free."""
    street = Street(rate=1000, burst=1000, connections=16)
    lanes = [Lane("a", GameId(number)) for number in range(1, 5)]
    street.hanging = {lane.game_id for lane in lanes}
    tasks = []
    for lane in lanes:
        tasks += await street.ask(*[lane] * 20)

    assert Counter(street.order) == dict(zip(lanes, (8, 4, 2, 1), strict=True))
    for task in tasks:
        task.cancel()
    await finish(tasks)


async def test_a_connection_that_is_free_again_is_used() -> None:
    """A request of the game that waited for it has the next turn."""
    street = Street(rate=1000, burst=1000, connections=2)
    street.hanging.add(GameId(1))
    first, second = await street.ask(A, B)
    street.hanging.clear()
    first.cancel()
    await street.clock.advance(seconds(0.01))

    assert (street.order, second.done()) == ([A, B], True)
    await finish([first, second])


async def test_whose_game_has_no_connection_takes_no_turn(street: Street) -> None:
    """Its turn is another game's, and no token is spent for it."""
    queue = FairQueue(budget=street.budget, clock=street.clock, longest=seconds(9), connections=2)
    await street.clock.advance(seconds(1))
    await queue.take_turn(A)
    waiting = asyncio.create_task(queue.take_turn(A))
    await street.clock.advance(seconds(5))

    assert street.budget.tokens() == 1
    waiting.cancel()
    await finish([waiting])
    assert queue.waiting() == 0


# --- what the budget says


async def test_a_pause_sends_all_away_who_wait(street: Street) -> None:
    """With the time that the store said."""
    tasks = await street.ask(A, B)
    street.budget.refused(seconds(30))
    await street.clock.advance(seconds(1))

    assert [type(end) for end in await finish(tasks)] == [SourceRateLimited] * 2
    assert street.queue.waiting() == 0
    with pytest.raises(SourceRateLimited):
        street.queue.admit(A, within=seconds(3))


async def test_turns_that_are_other_replicas_are_asked_for_again() -> None:
    """Once a second: those who wait have time, and are told at their own deadline."""
    street, gate = gated()
    gate.raises = Overloaded("the store budget is spent", retry_after=seconds(9))
    gate.open.set()
    [task] = await street.ask(A)
    await street.clock.advance(seconds(2.5))
    asked, gate.raises = gate.asked, None
    await street.clock.advance(seconds(1))

    assert (asked, task.done(), street.order) == (3, True, [A])


async def test_a_bug_in_the_budget_is_told_to_who_waits() -> None:
    """It is raised where it is seen, and no caller waits for ever."""
    street, gate = gated()
    gate.raises = ZeroDivisionError()
    tasks = await street.ask(A, B)
    gate.open.set()

    assert [type(end) for end in await finish(tasks)] == [ZeroDivisionError] * 2


async def test_closing_asks_for_no_more_turns(street: Street) -> None:
    """A gateway that closes leaves no task behind."""
    tasks = await street.ask(A)
    await street.queue.close()

    assert street.clock.sleepers == 0
    tasks[0].cancel()
    await finish(tasks)


# --- whatever happens

_LANES = [Lane(caller, GameId(game)) for caller in "abc" for game in (1, 2)]


@settings(max_examples=100)
@given(
    st.floats(0.5, 20),
    st.integers(1, 8),
    st.lists(
        st.tuples(st.sampled_from(_LANES), st.floats(0, 0.5), st.floats(0, 3), st.booleans()), min_size=1, max_size=60
    ),
)
async def test_whatever_happens_turns_are_within_the_budget_and_nothing_is_left(
    rate: float, burst: int, questions: list[tuple[Lane, float, float, bool]]
) -> None:
    """No window holds more requests than burst and rate allow, bounds hold, and in the end all is given back."""
    street = Street(rate=rate, burst=burst, longest=3, connections=8)
    most = 0

    async def request(lane: Lane, takes: float) -> None:
        nonlocal most
        await street.queue.take_turn(lane)
        street.served.append((lane, street.clock.monotonic()))
        most = max(most, sum(task_count.values()) + 1)
        task_count[lane.game_id] += 1
        assert task_count[lane.game_id] <= 4
        try:
            await street.clock.sleep(seconds(takes))
        finally:
            task_count[lane.game_id] -= 1
            street.queue.end_turn(lane)

    task_count: Counter[GameId | None] = Counter()
    tasks = []
    for lane, pause, takes, leaves in questions:
        tasks.append(asyncio.create_task(request(lane, takes)))
        await street.clock.advance(seconds(pause))
        if leaves:
            tasks[-1].cancel()
    await street.clock.advance(seconds(200))

    ends = await finish(tasks)
    assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError, Overloaded}
    assert not any(isinstance(end, NoAnswer) and not isinstance(end, Overloaded) for end in ends)
    assert most <= 8
    assert (street.queue.waiting(), street.queueing, sum(task_count.values())) == (0, 0, 0)
    at = [when for _, when in street.served]
    assert all(one <= other for one, other in pairwise(at))
    for first in range(len(at)):
        for last in range(first, len(at)):
            assert last - first + 1 <= burst + rate * (at[last] - at[first]) + 1e-3
    again = await street.ask(*_LANES[:4])
    await street.clock.advance(seconds(20))
    assert await finish(again) == [None] * 4
