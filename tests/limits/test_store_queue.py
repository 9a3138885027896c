"""The queue for the store, and callers that leave it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from service.limits.store_budget import ProcessBudget
from tests.clock import FakeClock
from tests.limits.buckets import FOREGROUND, Reported, ask, done, make, seconds, spend


async def leave(task: asyncio.Task[None]) -> None:
    """Let a caller hang up."""
    task.cancel()
    await asyncio.wait((task,))


async def test_the_place_of_the_last_who_leaves_is_there_for_the_next(bucket: ProcessBudget, clock: FakeClock) -> None:
    """The next caller gets the turn of the last one in the queue, which left."""
    await spend(bucket, 4)
    tasks = ask(bucket, 2)
    await clock.advance(seconds(0.25))
    await leave(tasks[1])
    tasks += ask(bucket, 1)

    await clock.advance(seconds(0.75))

    assert done(tasks) == [True, True, True]
    assert [task.cancelled() for task in tasks] == [False, True, False]


async def test_who_leaves_the_middle_of_the_queue_moves_nobody(bucket: ProcessBudget, clock: FakeClock) -> None:
    """A place left in the middle stays empty, lest two requests be sent at one time; the next caller goes behind."""
    await spend(bucket, 4)
    tasks = ask(bucket, 3)
    await clock.advance(seconds(0))
    await leave(tasks[1])
    [late] = ask(bucket, 1)

    turns = []
    for _ in range(4):
        await clock.advance(seconds(0.5))
        turns.append([tasks[0].done(), tasks[2].done(), late.done()])

    assert turns == [[True, False, False], [True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
async def test_a_queue_that_all_have_left_has_cost_nothing(
    bucket: ProcessBudget, clock: FakeClock, order: tuple[int, ...]
) -> None:
    """Callers that leave, in any order, cost nothing."""
    await spend(bucket, 4)
    tasks = ask(bucket, 3)
    await clock.advance(seconds(0))

    for number in order:
        await leave(tasks[number])

    assert bucket.tokens() == 0


async def test_an_empty_place_is_there_once_nobody_waits_behind_it(bucket: ProcessBudget, clock: FakeClock) -> None:
    """The first has had its turn meanwhile, and that is all that was spent."""
    await spend(bucket, 4)
    tasks = ask(bucket, 3)
    await clock.advance(seconds(0))
    await leave(tasks[1])
    await clock.advance(seconds(0.5))
    await leave(tasks[2])

    assert done(tasks) == [True, True, True]
    assert bucket.tokens() == 0


class Alarms(FakeClock):
    """A clock whose sleepers wake when they are called."""

    def __init__(self) -> None:
        super().__init__()
        self.alarms: list[asyncio.Event] = []

    async def sleep(self, duration: timedelta) -> None:  # noqa: ARG002 - it lasts until the call
        """Return once called."""
        self.alarms.append(asyncio.Event())
        await self.alarms[-1].wait()


async def test_turns_of_one_moment_may_come_in_any_order(reported: Reported) -> None:
    """As timers of one moment ring; who waits behind them may still leave, and that costs nothing."""
    clock = Alarms()
    bucket = make(clock, reported)
    await spend(bucket, 4)
    tasks = ask(bucket, 3)
    await asyncio.sleep(0)

    turns = []
    for number in (1, 0):
        clock.alarms[number].set()
        await asyncio.wait((tasks[number],))
        turns.append(done(tasks))
    await leave(tasks[2])

    assert turns == [[False, True, False], [True, True, False]]
    assert bucket.tokens() == -2


async def test_a_place_from_before_the_rate_changed_is_not_given_back(bucket: ProcessBudget, clock: FakeClock) -> None:
    """The place cost another share of the time; one request too few is better than one too many."""
    await spend(bucket, 4)
    [task] = ask(bucket, 1)
    await clock.advance(seconds(0))
    bucket.refused(seconds(0))
    before = bucket.tokens()
    await leave(task)

    assert bucket.tokens() == before == -0.5


async def test_turns_that_were_given_out_stay_when_the_rate_changes(bucket: ProcessBudget, clock: FakeClock) -> None:
    """A caller that comes after a change of the rate waits at the new pace, behind the turns given out before."""
    await spend(bucket, 4)
    tasks = ask(bucket, 2)
    await clock.advance(seconds(0))
    bucket.refused(seconds(0))
    tasks += ask(bucket, 1)

    turns = []
    for _ in range(4):
        await clock.advance(seconds(0.5))
        turns.append(done(tasks))

    assert turns == [[True, False, False], [True, True, False], [True, True, False], [True, True, True]]


async def test_only_who_waits_is_queueing(clock: FakeClock, reported: Reported) -> None:
    """A caller is queueing from its question to its turn."""
    inside: list[int] = [0]

    @contextmanager
    def queueing() -> Iterator[None]:
        inside.append(inside[-1] + 1)
        yield
        inside.append(inside[-1] - 1)

    bucket = ProcessBudget(
        rate=2,
        burst=1,
        timeout=seconds(3),
        clock=clock,
        paused=reported.pauses.append,
        resumed=reported.resume,
        queueing=queueing,
    )
    await bucket.acquire(FOREGROUND)
    before = list(inside)
    [task] = ask(bucket, 1)
    await clock.advance(seconds(0.4))
    waiting = inside[-1]
    await clock.advance(seconds(0.1))

    assert (before, waiting, inside[-1], task.done()) == ([0], 1, 0, True)
