"""The limits of one caller."""

import asyncio
from datetime import timedelta
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import TooManyQuestions
from service.limits.caller_limits import CallerLimits, HeldTry, KeyTries, TokenBucket
from tests.clock import FakeClock

ROUNDING = timedelta(microseconds=2)


def asked(limits: CallerLimits, times: int) -> int:
    """Ask so many times; return how many of them were within the rate."""
    allowed = 0
    for _ in range(times):
        try:
            limits.ask()
        except TooManyQuestions:
            continue
        allowed += 1
    return allowed


def test_bursts_of_twice_the_rate_are_within_it() -> None:
    """A burst is twice the rate, and not one question more."""
    limits = CallerLimits(rate=5, failed_keys_per_minute=10, clock=FakeClock())

    assert asked(limits, 20) == 10


def test_the_rate_is_given_back_over_time() -> None:
    """The rate comes back every second, and never more than the burst."""
    clock = FakeClock()
    limits = CallerLimits(rate=5, failed_keys_per_minute=10, clock=clock)
    asked(limits, 20)

    clock.jump(timedelta(seconds=1))
    after_a_second = asked(limits, 20)
    clock.jump(timedelta(days=1))

    assert (after_a_second, asked(limits, 20)) == (5, 10)


def test_a_caller_over_its_rate_hears_when_to_come_back() -> None:
    """The refusal names the limit, and the time at which one question is allowed again."""
    limits = CallerLimits(rate=4, failed_keys_per_minute=10, clock=FakeClock())
    asked(limits, 8)

    with pytest.raises(TooManyQuestions) as raised:
        limits.ask()

    assert (raised.value.limit, raised.value.retry_after) == ("rate", timedelta(seconds=0.25))


async def test_a_tiny_rate_still_allows_one() -> None:
    """Every bucket holds at least one token."""
    clock = FakeClock()
    limits = CallerLimits(rate=0.1, failed_keys_per_minute=0.1, clock=clock)

    assert asked(limits, 3) == 1
    (await limits.tries.hold()).let_go()
    clock.jump(timedelta(seconds=10))
    assert asked(limits, 3) == 1


# --- tries at new credentials


async def spend(tries: KeyTries, number: int) -> None:
    """Find so many credentials no good, one after the other."""
    for _ in range(number):
        held = await tries.hold()
        held.spend()
        held.let_go()


async def holding(tries: KeyTries, number: int) -> list[asyncio.Task[HeldTry]]:
    """Want so many tries at once."""
    tasks = [asyncio.create_task(tries.hold()) for _ in range(number)]
    await turn()
    return tasks


async def turn() -> None:
    """Let every task run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def done(tasks: list[asyncio.Task[HeldTry]]) -> list[bool]:
    """Return, for each of them, whether it has ended."""
    return [task.done() for task in tasks]


async def test_noes_are_counted_by_the_minute() -> None:
    """Three a minute: three at once, and one every twenty seconds; the rate of questions is another matter."""
    clock = FakeClock()
    limits = CallerLimits(rate=1000, failed_keys_per_minute=3, clock=clock)
    await spend(limits.tries, 3)

    for attempt in (limits.tries.hold, None):
        with pytest.raises(TooManyQuestions) as raised:
            limits.tries.check() if attempt is None else await attempt()
        assert (raised.value.limit, raised.value.retry_after) == ("failed_keys", timedelta(seconds=20))
    clock.jump(timedelta(seconds=20))

    limits.tries.check()
    await spend(limits.tries, 1)
    assert asked(limits, 10) == 10


async def test_credentials_that_are_good_cost_nothing() -> None:
    """Any number of them leaves the tries as they are."""
    tries = KeyTries(per_minute=1, clock=FakeClock())

    for _ in range(50):
        tries.check()
        (await tries.hold()).let_go()

    await spend(tries, 1)


async def test_no_more_are_held_than_there_are() -> None:
    """The next one waits, in the order of asking, and has the first that is given back."""
    tries = KeyTries(per_minute=2, clock=FakeClock())
    tasks = await holding(tries, 4)
    before = done(tasks)
    (await tasks[1]).let_go()
    await turn()

    assert (before, done(tasks)) == ([True, True, False, False], [True, True, True, False])
    tries.check()  # all are held, none is spent
    for task in (tasks[0], tasks[2]):
        task.result().let_go()
    await turn()
    tasks[3].result().let_go()


async def test_who_waits_is_refused_when_all_are_spent_and_no_sooner() -> None:
    """As long as one of those that are held may be given back, there is hope."""
    tries = KeyTries(per_minute=2, clock=FakeClock())
    tasks = await holding(tries, 4)
    ends = []
    for task in tasks[:2]:
        held = await task
        held.spend()
        held.let_go()
        await turn()
        ends.append(done(tasks))

    assert ends == [[True, True, False, False], [True] * 4]
    assert [type(task.exception()) for task in tasks[2:]] == [TooManyQuestions] * 2


async def test_a_try_that_has_come_back_by_time_is_used() -> None:
    """The next look-up finds it, and those who wait before it have it first."""
    clock = FakeClock()
    tries = KeyTries(per_minute=2, clock=clock)
    [one, _] = await holding(tries, 2)
    (await one).spend()
    one.result().let_go()
    waiting = await holding(tries, 1)
    before = done(waiting)
    clock.jump(timedelta(seconds=30))
    later = await holding(tries, 1)

    assert (before, done([*waiting, *later])) == ([False], [True, False])
    later[0].cancel()
    await asyncio.wait(later)


@pytest.mark.parametrize("number", [0, 1])
async def test_who_leaves_holds_nothing(number: int) -> None:
    """Neither while waiting, nor in the moment of being served."""
    tries = KeyTries(per_minute=1, clock=FakeClock())
    [first, *waiting] = await holding(tries, 3)
    if number:
        first.result().let_go()
        waiting[0].cancel()
    else:
        waiting[0].cancel()
        await turn()
        first.result().let_go()
    await turn()

    assert [waiting[0].cancelled(), waiting[1].done()] == [True, True]
    waiting[1].result().let_go()
    await spend(tries, 1)


async def test_who_leaves_in_the_moment_of_being_refused_leaves_nothing_behind() -> None:
    """The tries are as many as before."""
    clock = FakeClock()
    tries = KeyTries(per_minute=1, clock=clock)
    [first, waiting] = await holding(tries, 2)
    first.result().spend()
    first.result().let_go()
    waiting.cancel()
    await turn()
    clock.jump(timedelta(minutes=1))

    assert waiting.cancelled()
    await spend(tries, 1)
    with pytest.raises(TooManyQuestions):
        tries.check()


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=40))
async def test_never_more_noes_than_tries(tries_at_once: int, steps: list[tuple[int, bool, bool]]) -> None:
    """In any order of asking, answers and leaving, with no time passing."""
    tries = KeyTries(per_minute=tries_at_once, clock=FakeClock())
    tasks: list[asyncio.Task[HeldTry]] = []
    noes = 0
    for new, is_no, leaves in steps:
        tasks += [asyncio.create_task(tries.hold()) for _ in range(new)]
        await turn()
        if leaves and tasks and not tasks[-1].done():
            tasks[-1].cancel()
        held = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is None]
        assert len(held) + noes <= tries_at_once
        if held:
            tasks.remove(held[0])
            if is_no:
                noes += 1
                held[0].result().spend()
            held[0].result().let_go()
        await turn()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_rates = st.floats(0.01, 1000)


@given(_rates, st.floats(1, 100), st.lists(st.floats(0, 50), max_size=60))
def test_no_window_holds_more_than_burst_and_rate_allow(rate: float, burst: float, pauses: list[float]) -> None:
    """Questions and waits in any order stay within burst and rate."""
    clock = FakeClock()
    bucket = TokenBucket(rate=rate, burst=burst, clock=clock)
    taken: list[float] = []
    for pause in pauses:
        clock.jump(timedelta(seconds=pause / rate))
        while bucket.spend() is None:
            taken.append(clock.monotonic())

    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - start) + 1e-3


@given(_rates, st.floats(1, 100), st.floats(0, 200))
def test_who_comes_back_when_told_is_let_in(rate: float, burst: float, taken: float) -> None:
    """The wait is long enough, and never longer than it takes to earn one."""
    clock = FakeClock()
    bucket = TokenBucket(rate=rate, burst=burst, clock=clock)
    wait = None
    for _ in range(int(taken)):
        wait = bucket.spend() or wait
    wait = bucket.spend() or wait
    if wait is None:
        return

    clock.jump(wait + ROUNDING)

    assert timedelta() < wait <= timedelta(seconds=min(1 / rate, inf)) + ROUNDING
    assert bucket.spend() is None
