"""The limits of one caller."""

from datetime import timedelta
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import TooManyQuestions
from service.limits.caller_limits import CallerLimits, TokenBucket
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


def test_a_tiny_rate_still_allows_one() -> None:
    """Every bucket holds at least one token."""
    clock = FakeClock()
    limits = CallerLimits(rate=0.1, failed_keys_per_minute=0.1, clock=clock)

    assert asked(limits, 3) == 1
    assert limits.try_key() is None
    assert limits.try_key() == timedelta(minutes=10)
    clock.jump(timedelta(seconds=10))
    assert asked(limits, 3) == 1


def test_failed_keys_have_a_budget_of_their_own() -> None:
    """Failed keys are counted by the minute, apart from the rate."""
    clock = FakeClock()
    limits = CallerLimits(rate=1000, failed_keys_per_minute=3, clock=clock)

    tries = [limits.try_key() for _ in range(4)]
    clock.jump(timedelta(seconds=20))

    assert tries == [None, None, None, timedelta(seconds=20)]
    assert limits.try_key() is None
    assert asked(limits, 10) == 10


def test_keys_that_exist_cost_nothing() -> None:
    """Any number of keys that exist leaves the budget for failed keys as it is."""
    limits = CallerLimits(rate=1, failed_keys_per_minute=1, clock=FakeClock())

    for _ in range(50):
        assert limits.try_key() is None
        limits.key_was_fine()


def test_nothing_is_given_back_past_the_burst() -> None:
    """A try that was never spent can be given back without exceeding the burst."""
    bucket = TokenBucket(rate=1, burst=2, clock=FakeClock())
    bucket.give_back()

    assert [bucket.spend() is None for _ in range(3)] == [True, True, False]


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
