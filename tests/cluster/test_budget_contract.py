"""The contract of every store budget, of one process or of a cluster.

Both are slow here, a token takes fifty seconds: the milliseconds that Redis needs are then next to nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

import pytest
from redis.asyncio import Redis

from service.errors import Overloaded, SourceRateLimited
from service.verification.interfaces import Priority
from tests.cluster.budgets import Bench, ClusterBench, ProcessBench, drain
from tests.gateways import until
from tests.limits.buckets import BACKGROUND, FOREGROUND, seconds

TOKEN: Final = 50.0
"""Seconds."""
BURST: Final = 4
TIMEOUT: Final = 3 * TOKEN
NEXT_TO_NOTHING: Final = 2.0
"""Seconds, and a twenty-fifth of a token."""


MakeBench: TypeAlias = Callable[[int, float], Bench]


@pytest.fixture(params=["of a process", "of a cluster"])
def make_bench(request: pytest.FixtureRequest) -> MakeBench:
    """Make budgets of a token every fifty seconds and pauses of their full length, with this burst and time-out."""
    if request.param == "of a process":
        return lambda burst, timeout: ProcessBench(rate=1 / TOKEN, burst=burst, timeout=timeout)
    client: Redis = request.getfixturevalue("patient_redis")
    return lambda burst, timeout: ClusterBench(client, client, rate=1 / TOKEN, burst=burst, timeout=timeout)


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    """Bursts of four, and a time-out of three tokens."""
    return make_bench(BURST, TIMEOUT)


def near(number: float) -> object:
    """Return what is equal to the number but for next to nothing: of seconds, or of tokens."""
    return pytest.approx(number, abs=NEXT_TO_NOTHING)


def tokens(number: float) -> object:
    """Return what is equal to so many tokens but for next to nothing."""
    return pytest.approx(number, abs=NEXT_TO_NOTHING / TOKEN)


async def spend(bench: Bench, number: int) -> None:
    """Ask so many times, without waiting."""
    for _ in range(number):
        await bench.budget.acquire(FOREGROUND)


async def queue(bench: Bench, number: int) -> list[asyncio.Task[None]]:
    """Let so many callers queue, one after the other."""
    tasks = []
    for length in range(1, number + 1):
        tasks.append(asyncio.create_task(bench.budget.acquire(FOREGROUND)))
        await until(partial(_asleep, bench, length))
    return tasks


def _asleep(bench: Bench, number: int) -> bool:
    return bench.clock.sleepers == number


def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    """Return, for each of them, whether it has had its turn."""
    return [task.done() for task in tasks]


async def cancel(tasks: list[asyncio.Task[None]]) -> None:
    """Give them up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_burst_goes_at_once(bench: Bench) -> None:
    """Requests are sent at once until the burst is spent."""
    before = bench.budget.tokens()

    await spend(bench, BURST)

    assert (before, bench.budget.tokens()) == (BURST, tokens(0))


async def test_time_gives_back_up_to_the_burst(bench: Bench) -> None:
    """Tokens come back at the rate, and never more than the burst."""
    await spend(bench, BURST)

    await bench.pass_time(2 * TOKEN)
    after_a_while = bench.budget.tokens()
    await bench.pass_time(100 * TOKEN)

    assert (after_a_while, bench.budget.tokens()) == (tokens(2), BURST)
    await spend(bench, BURST)


async def test_callers_wait_their_turn_in_the_order_of_asking(bench: Bench) -> None:
    """Callers get one turn every fifty seconds, in the order of asking."""
    await spend(bench, BURST)
    tasks = await queue(bench, 3)

    turns = []
    for _ in range(4):
        turns.append(done(tasks))
        await bench.pass_time(TOKEN + NEXT_TO_NOTHING)

    assert turns == [[False] * 3, [True, False, False], [True, True, False], [True] * 3]
    await asyncio.gather(*tasks)


async def test_nobody_waits_longer_than_the_time_out(bench: Bench) -> None:
    """The fourth in the queue is refused at once, and spends nothing."""
    await spend(bench, BURST)
    tasks = await queue(bench, 3)

    with pytest.raises(Overloaded) as raised:
        await bench.budget.acquire(FOREGROUND)

    assert raised.value.retry_after is not None
    assert raised.value.retry_after.total_seconds() == near(4 * TOKEN)
    assert bench.budget.tokens() == tokens(-3)
    await cancel(tasks)


async def test_the_background_leaves_half_of_the_burst(bench: Bench) -> None:
    """Half of the burst is reserved for callers, who wait for their turn."""
    await bench.budget.acquire(BACKGROUND)
    await bench.budget.acquire(BACKGROUND)

    with pytest.raises(Overloaded):
        await bench.budget.acquire(BACKGROUND)

    await spend(bench, 2)
    assert bench.budget.tokens() == tokens(0)


async def test_the_background_never_waits(bench: Bench) -> None:
    """The refusal has the time at which there will be enough tokens."""
    await spend(bench, 2)

    with pytest.raises(Overloaded) as raised:
        await bench.budget.acquire(BACKGROUND)
    await bench.pass_time(TOKEN)
    await bench.budget.acquire(BACKGROUND)

    assert raised.value.retry_after is not None
    assert raised.value.retry_after.total_seconds() == near(TOKEN)


@pytest.mark.parametrize(("priority", "spent"), [(FOREGROUND, 4), (BACKGROUND, 2)])
async def test_admission_spends_nothing(bench: Bench, priority: Priority, spent: int) -> None:
    """Neither when it is given, nor when it is not, and then it says when there would be enough."""
    for _ in range(10):
        bench.budget.admit(priority, within=timedelta())
    await spend(bench, spent)
    before = bench.budget.tokens()

    with pytest.raises(Overloaded) as raised:
        bench.budget.admit(priority, within=seconds(0.5 * TOKEN))

    assert raised.value.retry_after is not None
    assert raised.value.retry_after.total_seconds() == near(TOKEN)
    assert (before, bench.budget.tokens()) == (tokens(BURST - spent), tokens(BURST - spent))


async def test_a_caller_is_admitted_if_its_turn_comes_in_time(bench: Bench) -> None:
    """The caller's own time decides, not the time-out of the budget."""
    await spend(bench, BURST)

    bench.budget.admit(FOREGROUND, within=seconds(TOKEN + NEXT_TO_NOTHING))
    with pytest.raises(Overloaded):
        bench.budget.admit(FOREGROUND, within=seconds(TOKEN - NEXT_TO_NOTHING))


async def test_no_time_of_the_callers_admits_the_background(bench: Bench) -> None:
    """A background request never waits, however much time it has."""
    await spend(bench, 3)

    with pytest.raises(Overloaded):
        bench.budget.admit(BACKGROUND, within=timedelta(days=1))


@pytest.mark.parametrize("priority", Priority)
async def test_while_paused_nobody_asks(bench: Bench, priority: Priority) -> None:
    """The pause lasts as long as the store said, which callers get as the time to come back."""
    bench.budget.refused(seconds(7))
    await bench.settle()
    await bench.pass_time(6)

    for attempt in (lambda: bench.budget.admit(priority, within=timedelta(days=1)), None):
        with pytest.raises(SourceRateLimited) as raised:
            attempt() if attempt is not None else await bench.budget.acquire(priority)
        assert raised.value.retry_after == bench.budget.pause_left()
    assert timedelta() < bench.budget.pause_left() <= seconds(1 + 0.1)

    await bench.pass_time(1.1)
    assert bench.budget.pause_left() == timedelta()
    await bench.budget.acquire(priority)


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [(seconds(0.5), 0.5), (seconds(60), 60), (seconds(61), 60), (timedelta(days=9999), 60), (timedelta.max, 60)],
)
async def test_the_store_says_how_long_up_to_a_minute(bench: Bench, retry_after: timedelta, pause: float) -> None:
    """A slip of the store's pen must not shut us out for years."""
    bench.budget.refused(retry_after)
    await bench.settle()

    assert bench.budget.pause_left() == seconds(pause)
    assert bench.reported.pauses == [seconds(pause)]


@pytest.mark.parametrize("retry_after", [timedelta(), seconds(-5), timedelta.min])
async def test_now_is_no_pause(bench: Bench, retry_after: timedelta) -> None:
    """The store takes more at once, but less than before."""
    bench.budget.refused(retry_after)
    await bench.settle()
    await spend(bench, BURST)
    await bench.pass_time(TOKEN)

    assert bench.reported.pauses == []
    assert bench.budget.tokens() == tokens(0.5)


async def test_without_a_word_pauses_double_up_to_sixteen_seconds(bench: Bench) -> None:
    """Pauses double as in itch.io's own client."""
    for _ in range(7):
        bench.budget.refused(None)
        await bench.settle()
        await bench.pass_time(bench.budget.pause_left().total_seconds())

    assert bench.reported.pauses == [seconds(pause) for pause in (1, 2, 4, 8, 16, 16, 16)]


async def test_refusals_of_one_burst_count_once(bench: Bench) -> None:
    """Twelve requests that were under way together are one refusal, not a twelvefold one."""
    for _ in range(12):
        bench.budget.refused(seconds(20))
    await bench.settle()
    await bench.pass_time(20)
    await spend(bench, BURST)
    await bench.pass_time(TOKEN)

    assert len(bench.reported.pauses) == 1
    assert bench.budget.tokens() == tokens(0.5)


async def test_refusals_halve_the_rate_down_to_an_eighth(bench: Bench) -> None:
    """The rate never falls below an eighth."""
    await spend(bench, BURST)
    for _ in range(5):
        bench.budget.refused(timedelta())
        await bench.settle()
    before = bench.budget.tokens()

    await bench.pass_time(8 * TOKEN)
    await bench.budget.acquire(FOREGROUND)

    assert before < 1
    assert bench.budget.tokens() == tokens(before + 8 / 8 - 1)


async def test_answers_give_the_rate_back_slowly(bench: Bench) -> None:
    """A twentieth each, up to all of it."""
    bench.budget.refused(timedelta())
    await bench.settle()

    gains = []
    for answers in (0, 2, 8, 50):
        await drain_now(bench)
        for _ in range(answers):
            bench.budget.answered()
            await bench.settle()
        await drain_now(bench)
        before = bench.budget.tokens()
        await bench.pass_time(TOKEN)
        gains.append(bench.budget.tokens() - before)

    assert gains == [tokens(0.5), tokens(0.6), tokens(1), tokens(1)]


async def test_an_answer_ends_the_doubling(bench: Bench) -> None:
    """The next refusal is a first one."""
    for _ in range(3):
        bench.budget.refused(None)
        await bench.settle()
        await bench.pass_time(bench.budget.pause_left().total_seconds())
    await bench.budget.acquire(FOREGROUND)
    bench.budget.answered()
    await bench.settle()

    bench.budget.refused(None)
    await bench.settle()

    assert bench.reported.pauses[-1] == seconds(1)


async def test_an_answer_from_before_the_pause_counts_for_nothing(bench: Bench) -> None:
    """The rate stays halved, the pause as long as it is, and the next one longer."""
    bench.budget.refused(None)
    await bench.settle()
    for _ in range(20):
        bench.budget.answered()
    await bench.settle()
    left, resumed = bench.budget.pause_left(), bench.reported.resumed
    await bench.pass_time(1)
    await spend(bench, BURST)
    await bench.pass_time(TOKEN)

    assert (left, resumed) == (seconds(1), 0)
    assert bench.budget.tokens() == tokens(0.5)
    bench.budget.refused(None)
    await bench.settle()
    assert bench.reported.pauses == [seconds(1), seconds(2)]


async def test_the_first_answer_after_a_pause_ends_it(bench: Bench) -> None:
    """The end of a pause is reported once."""
    bench.budget.refused(seconds(5))
    await bench.settle()
    await bench.pass_time(5)
    before = bench.reported.resumed

    bench.budget.answered()
    bench.budget.answered()

    assert (before, bench.reported.resumed) == (0, 1)


async def test_who_waits_when_a_pause_begins_does_not_ask(bench: Bench) -> None:
    """The caller's turn comes during the pause."""
    await spend(bench, BURST)
    tasks = await queue(bench, 1)
    bench.budget.refused(seconds(60))
    await bench.settle()

    await bench.pass_time(TOKEN)

    with pytest.raises(SourceRateLimited) as raised:
        await tasks[0]
    assert raised.value.retry_after is not None
    assert raised.value.retry_after.total_seconds() == near(10)


async def test_a_rate_that_comes_back_lets_nobody_jump_the_queue(bench: Bench) -> None:
    """Turns that were given out stay when they are, and the next one follows them at a distance."""
    bench.budget.refused(timedelta())
    await bench.settle()
    await spend(bench, BURST)
    tasks = await queue(bench, 1)
    for _ in range(10):
        bench.budget.answered()
    await bench.settle()
    tasks += [asyncio.create_task(bench.budget.acquire(FOREGROUND))]
    await until(lambda: bench.clock.sleepers == 2)

    turns = []
    for _ in range(4):
        turns.append(done(tasks))
        await bench.pass_time(TOKEN + NEXT_TO_NOTHING / 2)

    assert turns == [[False, False], [False, False], [True, False], [True, True]]
    await asyncio.gather(*tasks)


async def drain_now(bench: Bench) -> None:
    """Spend what can be had without waiting."""
    while bench.budget.tokens() >= 1:
        await bench.budget.acquire(FOREGROUND)


async def test_small_budgets_refresh_in_the_background_too(make_bench: MakeBench) -> None:
    """A burst of one has nothing to spare for the background, which is served while no caller wants the token."""
    small = make_bench(1, 0)

    await small.budget.acquire(BACKGROUND)

    assert await drain(small.budget) == 0
