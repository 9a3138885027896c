"""How often the store may be asked."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import NoAnswer, Overloaded, SourceRateLimited
from service.interfaces import Priority
from service.limits.store_budget import TokenBucket
from tests.clock import FakeClock

FOREGROUND: Final = Priority.FOREGROUND
BACKGROUND: Final = Priority.BACKGROUND


def seconds(number: float) -> timedelta:
    """Return a duration."""
    return timedelta(seconds=number)


class Told:
    """What a bucket told of its pauses."""

    def __init__(self) -> None:
        self.pauses: list[timedelta] = []
        self.resumed = 0

    def resume(self) -> None:
        """A pause ended."""
        self.resumed += 1


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until told to move."""
    return FakeClock()


@pytest.fixture
def told() -> Told:
    """What the bucket of the test told of."""
    return Told()


@pytest.fixture
def bucket(clock: FakeClock, told: Told) -> TokenBucket:
    """Two requests a second, bursts of four, patience for three seconds, and pauses of their full length."""
    return make(clock, told)


def make(
    clock: FakeClock, told: Told, *, rate: float = 2, burst: int = 4, patience: float = 3, jitter: float = 1.0
) -> TokenBucket:
    """Return a bucket."""
    return TokenBucket(
        rate=rate,
        burst=burst,
        patience=seconds(patience),
        clock=clock,
        paused=told.pauses.append,
        resumed=told.resume,
        jitter=lambda: jitter,
    )


async def spend(bucket: TokenBucket, number: int) -> None:
    """Ask so many times, without waiting."""
    for _ in range(number):
        await bucket.acquire(FOREGROUND)


def ask(bucket: TokenBucket, number: int) -> list[asyncio.Task[None]]:
    """Let so many callers ask at once."""
    return [asyncio.create_task(bucket.acquire(FOREGROUND)) for _ in range(number)]


def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    """Say which of them have had their turn."""
    return [task.done() for task in tasks]


async def test_a_burst_goes_at_once(bucket: TokenBucket) -> None:
    """As long as there is something left of it."""
    assert bucket.tokens() == 4

    await spend(bucket, 4)

    assert bucket.tokens() == 0


async def test_time_gives_back_up_to_the_burst(bucket: TokenBucket, clock: FakeClock) -> None:
    """At the rate."""
    await spend(bucket, 4)

    clock.jump(seconds(1))
    after_a_second = bucket.tokens()
    clock.jump(seconds(100))

    assert (after_a_second, bucket.tokens()) == (2, 4)


async def test_callers_wait_their_turn_in_the_order_of_asking(bucket: TokenBucket, clock: FakeClock) -> None:
    """One every half second, first come first served."""
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


async def test_nobody_waits_longer_than_patience_allows(bucket: TokenBucket) -> None:
    """Six in the queue take three seconds; the seventh is told so at once, and spends nothing."""
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


async def test_the_background_leaves_half_of_the_burst(bucket: TokenBucket) -> None:
    """To callers, who wait."""
    await bucket.acquire(BACKGROUND)
    await bucket.acquire(BACKGROUND)

    with pytest.raises(Overloaded):
        await bucket.acquire(BACKGROUND)

    assert bucket.tokens() == 2
    await spend(bucket, 2)


async def test_the_background_never_waits(bucket: TokenBucket, clock: FakeClock) -> None:
    """It is told when there would be enough."""
    await spend(bucket, 2)

    with pytest.raises(Overloaded) as raised:
        await bucket.acquire(BACKGROUND)
    clock.jump(seconds(0.5))
    await bucket.acquire(BACKGROUND)

    assert raised.value.retry_after == seconds(0.5)


async def test_a_burst_of_one_has_a_background_too(clock: FakeClock, told: Told) -> None:
    """When nobody else wants it; a share of a small budget must not mean that nothing is ever refreshed."""
    bucket = make(clock, told, burst=1)

    await bucket.acquire(BACKGROUND)

    with pytest.raises(Overloaded):
        await bucket.acquire(BACKGROUND)


@pytest.mark.parametrize(("priority", "spent"), [(FOREGROUND, 5), (BACKGROUND, 2)])
async def test_admission_spends_nothing(bucket: TokenBucket, priority: Priority, spent: int) -> None:
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


async def test_a_caller_is_admitted_if_its_turn_comes_in_time(bucket: TokenBucket) -> None:
    """To the moment."""
    await spend(bucket, 4)

    bucket.admit(FOREGROUND, within=seconds(0.5))
    with pytest.raises(Overloaded) as raised:
        bucket.admit(FOREGROUND, within=seconds(0.49))

    assert raised.value.retry_after == seconds(0.5)


async def test_no_time_of_the_callers_admits_the_background(bucket: TokenBucket) -> None:
    """It does not wait, however long it could."""
    await spend(bucket, 3)

    with pytest.raises(Overloaded):
        bucket.admit(BACKGROUND, within=seconds(1000))


@pytest.mark.parametrize("priority", Priority)
async def test_while_paused_nobody_asks(bucket: TokenBucket, clock: FakeClock, priority: Priority) -> None:
    """For as long as the store said."""
    bucket.refused(seconds(7))
    clock.jump(seconds(6))

    for attempt in (lambda: bucket.admit(priority, within=seconds(1000)), None):
        with pytest.raises(SourceRateLimited) as raised:
            attempt() if attempt is not None else await bucket.acquire(priority)
        assert raised.value.retry_after == bucket.pause_left() == seconds(1)

    clock.jump(seconds(1))
    assert bucket.pause_left() == timedelta()
    await bucket.acquire(priority)


@pytest.mark.parametrize(
    ("retry_after", "pause"), [(seconds(60), 60), (seconds(61), 60), (timedelta(days=9999), 60), (seconds(0.5), 0.5)]
)
async def test_the_store_says_how_long_up_to_a_minute(
    bucket: TokenBucket, told: Told, retry_after: timedelta, pause: float
) -> None:
    """A slip of the store's pen must not shut us out for years."""
    bucket.refused(retry_after)

    assert told.pauses == [bucket.pause_left()] == [seconds(pause)]


@pytest.mark.parametrize("retry_after", [seconds(0), seconds(-5)])
async def test_now_is_no_pause(bucket: TokenBucket, told: Told, clock: FakeClock, retry_after: timedelta) -> None:
    """The store takes more at once, but less than before."""
    bucket.refused(retry_after)
    await spend(bucket, 4)
    clock.jump(seconds(1))

    assert told.pauses == []
    assert bucket.tokens() == 1


async def test_without_a_word_pauses_double_up_to_sixteen_seconds(
    bucket: TokenBucket, told: Told, clock: FakeClock
) -> None:
    """As in itch.io's own client."""
    for _ in range(7):
        bucket.refused(None)
        clock.jump(bucket.pause_left())

    assert told.pauses == [seconds(pause) for pause in (1, 2, 4, 8, 16, 16, 16)]


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
async def test_a_pause_of_our_own_is_between_half_and_all_of_it(
    clock: FakeClock, told: Told, jitter: float, pause: float
) -> None:
    """So that not every replica comes back at the same moment."""
    make(clock, told, jitter=jitter).refused(None)

    assert told.pauses == [seconds(pause)]


async def test_an_answer_ends_the_doubling(bucket: TokenBucket, told: Told, clock: FakeClock) -> None:
    """The next refusal is a first one."""
    for _ in range(3):
        bucket.refused(None)
        clock.jump(bucket.pause_left())
    bucket.answered()

    bucket.refused(None)

    assert told.pauses[-1] == seconds(1)


async def test_refusals_of_one_burst_count_once(bucket: TokenBucket, told: Told, clock: FakeClock) -> None:
    """Twelve requests that were under way together are one refusal, not a twelvefold one."""
    for _ in range(12):
        bucket.refused(None)
    pause = bucket.pause_left()
    clock.jump(pause)
    await spend(bucket, 4)
    clock.jump(seconds(1))

    assert told.pauses == [pause] == [seconds(1)]
    assert bucket.tokens() == 1


async def test_a_longer_wish_extends_a_pause(bucket: TokenBucket, told: Told) -> None:
    """And a shorter one does not cut it; it is one pause, told of once."""
    bucket.refused(seconds(5))
    bucket.refused(seconds(9))
    bucket.refused(seconds(2))

    assert bucket.pause_left() == seconds(9)
    assert told.pauses == [seconds(5)]


async def test_the_first_answer_after_a_pause_ends_it(bucket: TokenBucket, told: Told, clock: FakeClock) -> None:
    """Told of once."""
    bucket.refused(seconds(5))
    clock.jump(seconds(5))
    before = told.resumed

    bucket.answered()
    bucket.answered()

    assert (before, told.resumed) == (0, 1)


async def test_a_late_answer_does_not_end_a_pause(bucket: TokenBucket, told: Told) -> None:
    """It was sent before the store asked to be left alone."""
    bucket.refused(seconds(5))

    bucket.answered()

    assert told.resumed == 0
    assert bucket.pause_left() == seconds(5)


async def test_without_a_pause_there_is_nothing_to_resume(bucket: TokenBucket, told: Told) -> None:
    """Normal answers are no news."""
    bucket.answered()

    assert (told.resumed, bucket.pause_left()) == (0, timedelta())


async def test_refusals_halve_the_rate_down_to_an_eighth(bucket: TokenBucket, clock: FakeClock) -> None:
    """Nothing shrinks to nothing."""
    gains = []
    for _ in range(5):
        bucket.refused(seconds(0))
        await spend(bucket, int(bucket.tokens()))
        before = bucket.tokens()
        clock.jump(seconds(1))
        gains.append(bucket.tokens() - before)

    assert gains == [1, 0.5, 0.25, 0.25, 0.25]


async def test_answers_give_the_rate_back_slowly(bucket: TokenBucket, clock: FakeClock) -> None:
    """A twentieth each, up to all of it."""
    bucket.refused(seconds(0))
    await spend(bucket, 4)

    gains = []
    for answers in (0, 2, 8, 50):
        for _ in range(answers):
            bucket.answered()
        before = bucket.tokens()
        clock.jump(seconds(0.5))
        gains.append(round(bucket.tokens() - before, 6))

    assert gains == [0.5, 0.6, 1, 1]


async def test_who_waits_when_a_pause_begins_does_not_ask(bucket: TokenBucket, clock: FakeClock) -> None:
    """Its turn comes while the store wants to be left alone."""
    await spend(bucket, 4)
    tasks = ask(bucket, 2)
    await clock.advance(seconds(0))
    bucket.refused(seconds(0.7))

    await clock.advance(seconds(1))

    with pytest.raises(SourceRateLimited) as raised:
        await tasks[0]
    assert raised.value.retry_after == seconds(0.2)
    await tasks[1]


async def leave(task: asyncio.Task[None]) -> None:
    """Let a caller hang up."""
    task.cancel()
    await asyncio.wait((task,))


async def test_the_place_of_the_last_who_leaves_is_there_for_the_next(bucket: TokenBucket, clock: FakeClock) -> None:
    """Who comes then has the turn that the other would have had."""
    await spend(bucket, 4)
    tasks = ask(bucket, 2)
    await clock.advance(seconds(0.25))
    await leave(tasks[1])
    tasks += ask(bucket, 1)

    await clock.advance(seconds(0.75))

    assert done(tasks) == [True, True, True]
    assert [task.cancelled() for task in tasks] == [False, True, False]


async def test_who_leaves_the_middle_of_the_queue_moves_nobody(bucket: TokenBucket, clock: FakeClock) -> None:
    """Two would be sent at the time of the last: its place stays empty, and the next goes behind."""
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
    bucket: TokenBucket, clock: FakeClock, order: tuple[int, ...]
) -> None:
    """In whatever order they left."""
    await spend(bucket, 4)
    tasks = ask(bucket, 3)
    await clock.advance(seconds(0))

    for number in order:
        await leave(tasks[number])

    assert bucket.tokens() == 0


async def test_an_empty_place_is_there_once_nobody_waits_behind_it(bucket: TokenBucket, clock: FakeClock) -> None:
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


async def test_turns_of_one_moment_may_come_in_any_order(told: Told) -> None:
    """As timers of one moment ring; who waits behind them may still leave, and that costs nothing."""
    clock = Alarms()
    bucket = make(clock, told)
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


async def test_a_place_from_before_the_rate_changed_is_not_given_back(bucket: TokenBucket, clock: FakeClock) -> None:
    """It cost another share of the time; better one request too few than one too many."""
    await spend(bucket, 4)
    [task] = ask(bucket, 1)
    await clock.advance(seconds(0))
    bucket.refused(seconds(0))
    before = bucket.tokens()
    await leave(task)

    assert bucket.tokens() == before == -0.5


async def test_turns_that_were_given_out_stay_when_the_rate_changes(bucket: TokenBucket, clock: FakeClock) -> None:
    """Who comes later waits at the new pace, behind them."""
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


async def test_only_who_waits_is_queueing(clock: FakeClock, told: Told) -> None:
    """From the moment of asking to the turn."""
    inside: list[int] = [0]

    @contextmanager
    def queueing() -> Iterator[None]:
        inside.append(inside[-1] + 1)
        yield
        inside.append(inside[-1] - 1)

    bucket = TokenBucket(
        rate=2,
        burst=1,
        patience=seconds(3),
        clock=clock,
        paused=told.pauses.append,
        resumed=told.resume,
        queueing=queueing,
    )
    await bucket.acquire(FOREGROUND)
    before = list(inside)
    [task] = ask(bucket, 1)
    await clock.advance(seconds(0.4))
    waiting = inside[-1]
    await clock.advance(seconds(0.1))

    assert (before, waiting, inside[-1], task.done()) == ([0], 1, 0, True)


async def test_what_somebody_else_permitted_shrinks_the_burst(bucket: TokenBucket) -> None:
    """Down to nothing, and no further: nobody has to wait for it."""
    left = []
    for _ in range(6):
        bucket.spent()
        left.append(bucket.tokens())

    assert left == [3, 2, 1, 0, 0, 0]


async def test_what_somebody_else_permitted_lengthens_no_queue(bucket: TokenBucket, clock: FakeClock) -> None:
    """Who waits here waits as long as before."""
    await spend(bucket, 4)
    tasks = ask(bucket, 1)
    await clock.advance(seconds(0))

    bucket.spent()

    assert bucket.tokens() == -1
    await clock.advance(seconds(0.5))
    assert done(tasks) == [True]


async def test_staying_away_is_a_pause_without_a_refusal(bucket: TokenBucket, clock: FakeClock, told: Told) -> None:
    """As another replica was told: a minute at most, told of once, never cut short, and the rate stays."""
    bucket.stay_away(seconds(5))
    bucket.stay_away(seconds(2))
    bucket.stay_away(timedelta(days=1))
    left = bucket.pause_left()
    clock.jump(left)
    await spend(bucket, 4)
    bucket.answered()
    clock.jump(seconds(1))

    assert (told.pauses, left, told.resumed, bucket.tokens()) == ([seconds(5)], seconds(60), 1, 2)


async def test_a_hundred_callers_at_once_keep_to_the_rate(clock: FakeClock, told: Told) -> None:
    """Each has its turn, none before it is due."""
    bucket = make(clock, told, rate=6, burst=12, patience=60)
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
    rate: float, burst: int, patience: float, steps: list[tuple[str, float | None]]
) -> None:
    """No window holds more requests than burst and rate allow, none is sent in a pause, the background never waits."""
    clock, told = FakeClock(), Told()
    bucket = make(clock, told, rate=rate, burst=burst, patience=patience, jitter=0.5)
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
        assert clock.monotonic() - asked_at <= patience + 1e-5
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
    await clock.advance(seconds(patience + 1))
    await asyncio.gather(*tasks, return_exceptions=True)

    assert all(task.cancelled() or task.exception() is None for task in tasks)
    assert bucket.tokens() <= burst
    assert all(wait is not None and wait > timedelta() for wait in told_to_wait)
    assert most_above(rate, sent) <= burst + 1e-3
