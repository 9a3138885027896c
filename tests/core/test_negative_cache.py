"""A question without an answer is left alone for a moment."""

from datetime import timedelta

import pytest

from service.causes import Cause
from service.errors import GameNotAccessible, NoAnswer, SourceRateLimited, SourceUnavailable
from service.ownership import Fingerprint
from service.verification.negative_cache import NegativeCache
from tests.clock import FakeClock

SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
NAME = Fingerprint(b"a question")
OTHER = Fingerprint(b"another question")


@pytest.fixture
def failures(clock: FakeClock) -> NegativeCache:
    """A cache with room for two."""
    return NegativeCache(clock=clock, most=2)


def recalled(failures: NegativeCache, name: Fingerprint = NAME) -> NoAnswer:
    """Return what is recalled; something must be."""
    failure = failures.get(name)
    assert failure is not None
    return failure


def test_nothing_is_recalled_at_first(failures: NegativeCache) -> None:
    """Every question may be asked once."""
    assert failures.get(NAME) is None


def test_each_failure_in_a_row_is_remembered_longer(clock: FakeClock, failures: NegativeCache) -> None:
    """One, two, four and then five seconds, to the instant."""
    lengths = []
    for _ in range(6):
        failures.put(NAME, SourceUnavailable())
        length = recalled(failures).retry_after
        assert length is not None
        lengths.append(length / SECOND)
        clock.jump(length - INSTANT)
        assert failures.get(NAME) is not None
        clock.jump(INSTANT)
        assert failures.get(NAME) is None

    assert lengths == [1, 2, 4, 5, 5, 5]


def test_an_answer_ends_the_row(failures: NegativeCache) -> None:
    """After an answer no failure is remembered, and the next one is a first one."""
    failures.put(NAME, SourceUnavailable())
    failures.put(NAME, SourceUnavailable())
    failures.remove(NAME)
    forgotten = failures.get(NAME)
    failures.put(NAME, SourceUnavailable())

    assert (forgotten, recalled(failures).retry_after) == (None, SECOND)


def test_an_answer_to_what_never_failed_changes_nothing(failures: NegativeCache) -> None:
    """Most answers are such."""
    failures.remove(NAME)

    assert failures.get(NAME) is None


@pytest.mark.parametrize("kind", [SourceUnavailable, SourceRateLimited, GameNotAccessible])
def test_the_same_failure_is_recalled(failures: NegativeCache, kind: type[NoAnswer]) -> None:
    """In kind and in words."""
    failures.put(NAME, kind("the store said so"))

    failure = recalled(failures)

    assert (type(failure), failure.detail) == (kind, "the store said so")


def test_the_cause_is_recalled(failures: NegativeCache) -> None:
    """Of a kind that has many."""
    failures.put(NAME, SourceUnavailable(cause=Cause.DNS))

    assert recalled(failures).cause is Cause.DNS


def test_the_time_left_is_told(clock: FakeClock, failures: NegativeCache) -> None:
    """The exception says when the next try makes sense."""
    failures.put(NAME, SourceUnavailable())
    clock.jump(SECOND / 4)

    assert recalled(failures).retry_after == 0.75 * SECOND


def test_a_longer_time_that_the_store_named_is_kept(failures: NegativeCache) -> None:
    """Asking earlier makes no sense."""
    failures.put(NAME, SourceRateLimited(retry_after=9 * SECOND))

    assert recalled(failures).retry_after == 9 * SECOND


def test_the_time_that_the_store_named_passes_too(clock: FakeClock, failures: NegativeCache) -> None:
    """A caller that comes later waits until the same instant, not longer."""
    failures.put(NAME, SourceRateLimited(retry_after=9 * SECOND))
    clock.jump(SECOND / 4)

    assert recalled(failures).retry_after == 8.75 * SECOND


def test_a_shorter_time_that_the_store_named_is_not(failures: NegativeCache) -> None:
    """Before, the failures would only repeat itself."""
    failures.put(NAME, SourceRateLimited(retry_after=SECOND / 2))

    assert recalled(failures).retry_after == SECOND


def test_each_recall_is_a_new_exception_without_a_past(failures: NegativeCache) -> None:
    """Raising one object again and again would grow its traceback without end, and keep alive all that it refers to."""
    with pytest.raises(SourceUnavailable) as failure:
        raise SourceUnavailable
    failures.put(NAME, failure.value)

    first, second = recalled(failures), recalled(failures)

    assert len({id(failure) for failure in (failure.value, first, second)}) == 3
    assert (first.__traceback__, first.__context__, first.__cause__) == (None, None, None)


def test_setting_the_wall_clock_back_changes_nothing(clock: FakeClock, failures: NegativeCache) -> None:
    """A question would be left alone for hours."""
    failures.put(NAME, SourceUnavailable())
    clock.jump(SECOND)
    clock.set_back(3600 * SECOND)

    assert failures.get(NAME) is None


def test_questions_do_not_touch_each_other(failures: NegativeCache) -> None:
    """Each has its own row."""
    failures.put(NAME, SourceUnavailable())
    failures.put(NAME, SourceUnavailable())
    failures.put(OTHER, SourceUnavailable())

    assert (recalled(failures, NAME).retry_after, recalled(failures, OTHER).retry_after) == (2 * SECOND, SECOND)


def test_it_holds_no_more_than_it_may(failures: NegativeCache) -> None:
    """The one that failed longest ago makes room."""
    failures.put(NAME, SourceUnavailable())
    failures.put(OTHER, SourceUnavailable())
    failures.put(NAME, SourceUnavailable())
    failures.put(Fingerprint(b"a third"), SourceUnavailable())

    assert (failures.get(NAME) is None, failures.get(OTHER) is None) == (False, True)
