"""The budget after the store has refused requests, and after it answers again."""

from datetime import timedelta

import pytest

from service.errors import SourceRateLimited
from service.limits.store_budget import ProcessBudget
from service.verification.interfaces import Priority
from tests.clock import FakeClock
from tests.limits.buckets import Reported, ask, make, seconds, spend


@pytest.mark.parametrize("priority", Priority)
async def test_while_paused_nobody_asks(bucket: ProcessBudget, clock: FakeClock, priority: Priority) -> None:
    """No request is sent for as long as the store said."""
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
    bucket: ProcessBudget, reported: Reported, retry_after: timedelta, pause: float
) -> None:
    """A slip of the store's pen must not shut us out for years."""
    bucket.refused(retry_after)

    assert reported.pauses == [bucket.pause_left()] == [seconds(pause)]


@pytest.mark.parametrize("retry_after", [seconds(0), seconds(-5)])
async def test_now_is_no_pause(
    bucket: ProcessBudget, reported: Reported, clock: FakeClock, retry_after: timedelta
) -> None:
    """The store takes more at once, but less than before."""
    bucket.refused(retry_after)
    await spend(bucket, 4)
    clock.jump(seconds(1))

    assert reported.pauses == []
    assert bucket.tokens() == 1


async def test_without_a_word_pauses_double_up_to_sixteen_seconds(
    bucket: ProcessBudget, reported: Reported, clock: FakeClock
) -> None:
    """Pauses double as in itch.io's own client."""
    for _ in range(7):
        bucket.refused(None)
        clock.jump(bucket.pause_left())

    assert reported.pauses == [seconds(pause) for pause in (1, 2, 4, 8, 16, 16, 16)]


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
async def test_a_pause_of_our_own_is_between_half_and_all_of_it(
    clock: FakeClock, reported: Reported, jitter: float, pause: float
) -> None:
    """Replicas must not all come back at the same moment."""
    make(clock, reported, jitter=jitter).refused(None)

    assert reported.pauses == [seconds(pause)]


async def test_an_answer_ends_the_doubling(bucket: ProcessBudget, reported: Reported, clock: FakeClock) -> None:
    """The next refusal is a first one."""
    for _ in range(3):
        bucket.refused(None)
        clock.jump(bucket.pause_left())
    bucket.answered()

    bucket.refused(None)

    assert reported.pauses[-1] == seconds(1)


async def test_refusals_of_one_burst_count_once(bucket: ProcessBudget, reported: Reported, clock: FakeClock) -> None:
    """Twelve requests that were under way together are one refusal, not a twelvefold one."""
    for _ in range(12):
        bucket.refused(None)
    pause = bucket.pause_left()
    clock.jump(pause)
    await spend(bucket, 4)
    clock.jump(seconds(1))

    assert reported.pauses == [pause] == [seconds(1)]
    assert bucket.tokens() == 1


async def test_a_longer_wish_extends_a_pause(bucket: ProcessBudget, reported: Reported) -> None:
    """A shorter wish does not cut the pause; it is one pause, reported once."""
    bucket.refused(seconds(5))
    bucket.refused(seconds(9))
    bucket.refused(seconds(2))

    assert bucket.pause_left() == seconds(9)
    assert reported.pauses == [seconds(5)]


async def test_the_first_answer_after_a_pause_ends_it(
    bucket: ProcessBudget, reported: Reported, clock: FakeClock
) -> None:
    """The end of a pause is reported once."""
    bucket.refused(seconds(5))
    clock.jump(seconds(5))
    before = reported.resumed

    bucket.answered()
    bucket.answered()

    assert (before, reported.resumed) == (0, 1)


async def test_a_late_answer_does_not_end_a_pause(bucket: ProcessBudget, reported: Reported) -> None:
    """The answer was sent before the store asked for the pause."""
    bucket.refused(seconds(5))

    bucket.answered()

    assert reported.resumed == 0
    assert bucket.pause_left() == seconds(5)


async def test_without_a_pause_there_is_nothing_to_resume(bucket: ProcessBudget, reported: Reported) -> None:
    """Normal answers are no news."""
    bucket.answered()

    assert (reported.resumed, bucket.pause_left()) == (0, timedelta())


async def test_refusals_halve_the_rate_down_to_an_eighth(bucket: ProcessBudget, clock: FakeClock) -> None:
    """The rate never falls below an eighth."""
    gains = []
    for _ in range(5):
        bucket.refused(seconds(0))
        await spend(bucket, int(bucket.tokens()))
        before = bucket.tokens()
        clock.jump(seconds(1))
        gains.append(bucket.tokens() - before)

    assert gains == [1, 0.5, 0.25, 0.25, 0.25]


async def test_answers_give_the_rate_back_slowly(bucket: ProcessBudget, clock: FakeClock) -> None:
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


async def test_who_waits_when_a_pause_begins_does_not_ask(bucket: ProcessBudget, clock: FakeClock) -> None:
    """The caller's turn comes during the pause."""
    await spend(bucket, 4)
    tasks = ask(bucket, 2)
    await clock.advance(seconds(0))
    bucket.refused(seconds(0.7))

    await clock.advance(seconds(1))

    with pytest.raises(SourceRateLimited) as raised:
        await tasks[0]
    assert raised.value.retry_after == seconds(0.2)
    await tasks[1]
