"""The budget for requests to the store."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import NoAnswer, Overloaded
from service.limits.store_budget import ProcessBudget
from service.verification.interfaces import Priority
from tests.clock import FakeClock
from tests.limits.buckets import BACKGROUND, FOREGROUND, Reported, ask, done, make, seconds, spend


async def test_a_burst_goes_at_once(bucket: ProcessBudget) -> None:
    """Requests are sent at once until the burst is spent."""
    assert bucket.tokens() == 4

    await spend(bucket, 4)

    assert bucket.tokens() == 0


async def test_time_gives_back_up_to_the_burst(bucket: ProcessBudget, clock: FakeClock) -> None:
    """Tokens come back at the rate, and never more than the burst."""
    await spend(bucket, 4)

    clock.jump(seconds(1))
    after_a_second = bucket.tokens()
    clock.jump(seconds(100))

    assert (after_a_second, bucket.tokens()) == (2, 4)


async def test_callers_wait_their_turn_in_the_order_of_asking(bucket: ProcessBudget, clock: FakeClock) -> None:
    """Callers get one turn every half second, in the order of asking."""
    await spend(bucket, 4)
    tasks = ask(bucket, 3)
    await clock.advance(seconds(0))
    queue = bucket.tokens()

    turns = []
    for _ in range(4):
        turns.append(done(tasks))
        await clock.advance(seconds(0.5))

    assert queue == -3
    assert turns == [[False] * 3, [True, False, False], [True, True, False], [True] * 3]
    await asyncio.gather(*tasks)


async def test_nobody_waits_longer_than_the_time_out(bucket: ProcessBudget) -> None:
    """Six in the queue take three seconds; the seventh is refused at once, and spends nothing."""
    await spend(bucket, 4)
    tasks = ask(bucket, 6)
    await asyncio.sleep(0)
    before = bucket.tokens()

    with pytest.raises(Overloaded) as raised:
        await bucket.acquire(FOREGROUND)

    assert raised.value.retry_after == seconds(3.5)
    assert bucket.tokens() == before == -6
    for task in tasks:
        task.cancel()


async def test_the_background_leaves_half_of_the_burst(bucket: ProcessBudget) -> None:
    """Half of the burst is reserved for callers, who wait for their turn."""
    await bucket.acquire(BACKGROUND)
    await bucket.acquire(BACKGROUND)

    with pytest.raises(Overloaded):
        await bucket.acquire(BACKGROUND)

    assert bucket.tokens() == 2
    await spend(bucket, 2)


async def test_the_background_never_waits(bucket: ProcessBudget, clock: FakeClock) -> None:
    """The refusal has the time at which there will be enough tokens."""
    await spend(bucket, 2)

    with pytest.raises(Overloaded) as raised:
        await bucket.acquire(BACKGROUND)
    clock.jump(seconds(0.5))
    await bucket.acquire(BACKGROUND)

    assert raised.value.retry_after == seconds(0.5)


async def test_a_burst_of_one_has_a_background_too(clock: FakeClock, reported: Reported) -> None:
    """A burst of one serves the background while no caller wants it; else a small budget would mean no refresh."""
    bucket = make(clock, reported, burst=1)

    await bucket.acquire(BACKGROUND)

    with pytest.raises(Overloaded):
        await bucket.acquire(BACKGROUND)


@pytest.mark.parametrize(("priority", "spent"), [(FOREGROUND, 5), (BACKGROUND, 2)])
async def test_admission_spends_nothing(bucket: ProcessBudget, priority: Priority, spent: int) -> None:
    """Neither when it is given, nor when it is not."""
    bucket.admit(priority, within=seconds(0))
    assert bucket.tokens() == 4
    tasks = ask(bucket, spent)
    await asyncio.sleep(0)
    before = bucket.tokens()

    with pytest.raises(Overloaded):
        bucket.admit(priority, within=seconds(0.9))

    assert bucket.tokens() == before
    for task in tasks:
        task.cancel()


async def test_a_caller_is_admitted_if_its_turn_comes_in_time(bucket: ProcessBudget) -> None:
    """A caller is admitted if its turn comes exactly at the end of its time, and not a moment later."""
    await spend(bucket, 4)

    bucket.admit(FOREGROUND, within=seconds(0.5))
    with pytest.raises(Overloaded) as raised:
        bucket.admit(FOREGROUND, within=seconds(0.49))

    assert raised.value.retry_after == seconds(0.5)


async def test_no_time_of_the_callers_admits_the_background(bucket: ProcessBudget) -> None:
    """A background request never waits, however much time it has."""
    await spend(bucket, 3)

    with pytest.raises(Overloaded):
        bucket.admit(BACKGROUND, within=seconds(1000))


async def test_what_somebody_else_permitted_shrinks_the_burst(bucket: ProcessBudget) -> None:
    """Requests that another replica permitted empty the bucket, and lengthen no wait here."""
    left = []
    for _ in range(6):
        bucket.spent(timedelta())
        left.append(bucket.tokens())

    assert left == [3, 2, 1, 0, 0, 0]


async def test_what_somebody_else_permitted_lengthens_no_queue(bucket: ProcessBudget, clock: FakeClock) -> None:
    """A caller that waits here waits no longer for a request that another replica permitted."""
    await spend(bucket, 4)
    tasks = ask(bucket, 1)
    await clock.advance(seconds(0))

    bucket.spent(timedelta())

    assert bucket.tokens() == -1
    await clock.advance(seconds(0.5))
    assert done(tasks) == [True]


async def test_staying_away_is_a_pause_without_a_refusal(
    bucket: ProcessBudget, clock: FakeClock, reported: Reported
) -> None:
    """The pause of another replica: a minute at most, reported once, never cut short, and the rate stays."""
    bucket.stay_away(seconds(5))
    bucket.stay_away(seconds(2))
    bucket.stay_away(timedelta(days=1))
    left = bucket.pause_left()
    clock.jump(left)
    await spend(bucket, 4)
    bucket.answered()
    clock.jump(seconds(1))

    assert (reported.pauses, left, reported.resumed, bucket.tokens()) == ([seconds(5)], seconds(60), 1, 2)


async def test_a_hundred_callers_at_once_keep_to_the_rate(clock: FakeClock, reported: Reported) -> None:
    """A hundred callers at once all get a turn, none of them too early."""
    bucket = make(clock, reported, rate=6, burst=12, timeout=60)
    turns: list[float] = []
    start = clock.monotonic()

    async def call() -> None:
        await bucket.acquire(FOREGROUND)
        turns.append(clock.monotonic() - start)

    async with asyncio.TaskGroup() as callers:
        for _ in range(100):
            callers.create_task(call())
        await clock.advance(seconds(60))

    due = [max(0, number - 12) / 6 for number in range(1, 101)]
    assert turns == pytest.approx(due, abs=1e-3)


def most_above(rate: float, sent: list[float]) -> float:
    """Return by how much the requests of any window exceed what the rate alone allows in it."""
    windows = ((first, last) for first in range(len(sent)) for last in range(first, len(sent)))
    return max((last - first + 1 - rate * (sent[last] - sent[first]) for first, last in windows), default=0.0)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 3)),
        st.tuples(st.just("foreground"), st.integers(1, 8)),
        st.tuples(st.just("background"), st.integers(1, 4)),
        st.tuples(st.just("refused"), st.none() | st.floats(-1, 90)),
        st.tuples(st.just("answered"), st.integers(1, 4)),
        st.tuples(st.just("leave"), st.integers(0, 20)),
    ),
    max_size=25,
)


@settings(max_examples=200)
@given(st.floats(0.5, 20), st.integers(1, 15), st.floats(0, 5), _steps)
async def test_whatever_happens_the_budget_is_kept(
    rate: float, burst: int, longest_wait: float, steps: list[tuple[str, float | None]]
) -> None:
    """No window holds more requests than burst and rate allow, none is sent in a pause, the background never waits."""
    clock, reported = FakeClock(), Reported()
    bucket = make(clock, reported, rate=rate, burst=burst, timeout=longest_wait, jitter=0.5)
    sent: list[float] = []
    told_to_wait: list[timedelta | None] = []
    tasks: list[asyncio.Task[None]] = []

    async def call(priority: Priority) -> None:
        asked_at, left = clock.monotonic(), bucket.tokens()
        try:
            await bucket.acquire(priority)
        except NoAnswer as error:
            told_to_wait.append(error.retry_after)
            return
        assert bucket.pause_left() == timedelta()
        assert clock.monotonic() - asked_at <= longest_wait + 1e-5
        if priority is BACKGROUND:
            assert clock.monotonic() == asked_at
            assert left >= min(1 + burst / 2, burst)
        sent.append(clock.monotonic())

    for act, value in steps:
        match act:
            case "wait":
                await clock.advance(seconds(value or 0))
            case "foreground" | "background":
                tasks += [asyncio.create_task(call(Priority(act))) for _ in range(int(value or 0))]
                await clock.advance(seconds(0))
            case "refused":
                bucket.refused(None if value is None else seconds(value))
                assert bucket.pause_left() <= seconds(60)
            case "leave":
                for task in tasks[int(value or 0) :: 3]:
                    task.cancel()
                await clock.advance(seconds(0))
            case _:
                bucket.answered()
    await clock.advance(seconds(longest_wait + 1))
    await asyncio.gather(*tasks, return_exceptions=True)

    assert all(task.cancelled() or task.exception() is None for task in tasks)
    assert bucket.tokens() <= burst
    assert all(wait is not None and wait > timedelta() for wait in told_to_wait)
    assert most_above(rate, sent) <= burst + 1e-3


async def test_what_somebody_else_permitted_for_later_is_waited_for(bucket: ProcessBudget) -> None:
    """No longer than it waits itself, and each of them no longer than its own share of the rate."""
    await spend(bucket, 4)
    rate = 2

    left = []
    for wait in (0.25, 0.75, 1000, 1000):
        bucket.spent(seconds(wait))
        left.append(bucket.tokens())

    assert left == [-0.25 * rate, -0.75 * rate, -0.75 * rate - 1, -0.75 * rate - 2]
