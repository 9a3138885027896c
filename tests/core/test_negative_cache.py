"""A question without an answer is left alone for a moment."""

from datetime import timedelta

import pytest

from service.errors import GameNotAccessible, NoAnswer, SourceRateLimited, SourceUnavailable
from service.ownership import Fingerprint
from service.verification.negative_cache import NegativeCache
from tests.clock import FakeClock

SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
NAME = Fingerprint(b"a question")
OTHER = Fingerprint(b"another question")


@pytest.fixture
def clock() -> FakeClock:
    """The time."""
    return FakeClock()


@pytest.fixture
def memo(clock: FakeClock) -> NegativeCache:
    """A memo with room for two."""
    return NegativeCache(clock=clock, most=2)


def recalled(memo: NegativeCache, name: Fingerprint = NAME) -> NoAnswer:
    """Return what is recalled; something must be."""
    silence = memo.recall(name)
    assert silence is not None
    return silence


def test_nothing_is_recalled_at_first(memo: NegativeCache) -> None:
    """Every question may be asked once."""
    assert memo.recall(NAME) is None


def test_each_failure_in_a_row_is_remembered_longer(clock: FakeClock, memo: NegativeCache) -> None:
    """One, two, four and then five seconds, to the instant."""
    lengths = []
    for _ in range(6):
        memo.remember(NAME, SourceUnavailable())
        length = recalled(memo).retry_after
        assert length is not None
        lengths.append(length / SECOND)
        clock.jump(length - INSTANT)
        assert memo.recall(NAME) is not None
        clock.jump(INSTANT)
        assert memo.recall(NAME) is None

    assert lengths == [1, 2, 4, 5, 5, 5]


def test_an_answer_ends_the_row(memo: NegativeCache) -> None:
    """Nothing is recalled, and the next failure is a first one."""
    memo.remember(NAME, SourceUnavailable())
    memo.remember(NAME, SourceUnavailable())
    memo.forget(NAME)
    forgotten = memo.recall(NAME)
    memo.remember(NAME, SourceUnavailable())

    assert (forgotten, recalled(memo).retry_after) == (None, SECOND)


def test_an_answer_to_what_never_failed_changes_nothing(memo: NegativeCache) -> None:
    """Most answers are such."""
    memo.forget(NAME)

    assert memo.recall(NAME) is None


@pytest.mark.parametrize("kind", [SourceUnavailable, SourceRateLimited, GameNotAccessible])
def test_the_same_silence_is_recalled(memo: NegativeCache, kind: type[NoAnswer]) -> None:
    """In kind and in words."""
    memo.remember(NAME, kind("the store said so"))

    silence = recalled(memo)

    assert (type(silence), silence.detail) == (kind, "the store said so")


def test_the_time_left_is_told(clock: FakeClock, memo: NegativeCache) -> None:
    """It is when the next try makes sense."""
    memo.remember(NAME, SourceUnavailable())
    clock.jump(SECOND / 4)

    assert recalled(memo).retry_after == 0.75 * SECOND


def test_a_longer_time_that_the_store_named_is_kept(memo: NegativeCache) -> None:
    """Asking earlier makes no sense."""
    memo.remember(NAME, SourceRateLimited(retry_after=9 * SECOND))

    assert recalled(memo).retry_after == 9 * SECOND


def test_the_time_that_the_store_named_passes_too(clock: FakeClock, memo: NegativeCache) -> None:
    """Whoever hears of it later waits until the same moment, not longer."""
    memo.remember(NAME, SourceRateLimited(retry_after=9 * SECOND))
    clock.jump(SECOND / 4)

    assert recalled(memo).retry_after == 8.75 * SECOND


def test_a_shorter_time_that_the_store_named_is_not(memo: NegativeCache) -> None:
    """Before, the memo would only repeat itself."""
    memo.remember(NAME, SourceRateLimited(retry_after=SECOND / 2))

    assert recalled(memo).retry_after == SECOND


def test_each_recall_is_a_new_exception_without_a_past(memo: NegativeCache) -> None:
    """Raising one object again and again would grow its traceback without end, and keep alive all that it refers to."""
    with pytest.raises(SourceUnavailable) as failure:
        raise SourceUnavailable
    memo.remember(NAME, failure.value)

    first, second = recalled(memo), recalled(memo)

    assert len({id(silence) for silence in (failure.value, first, second)}) == 3
    assert (first.__traceback__, first.__context__, first.__cause__) == (None, None, None)


def test_setting_the_wall_clock_back_changes_nothing(clock: FakeClock, memo: NegativeCache) -> None:
    """A question would be left alone for hours."""
    memo.remember(NAME, SourceUnavailable())
    clock.jump(SECOND)
    clock.set_back(3600 * SECOND)

    assert memo.recall(NAME) is None


def test_questions_do_not_touch_each_other(memo: NegativeCache) -> None:
    """Each has its own row."""
    memo.remember(NAME, SourceUnavailable())
    memo.remember(NAME, SourceUnavailable())
    memo.remember(OTHER, SourceUnavailable())

    assert (recalled(memo, NAME).retry_after, recalled(memo, OTHER).retry_after) == (2 * SECOND, SECOND)


def test_it_holds_no_more_than_it_may(memo: NegativeCache) -> None:
    """The one that failed longest ago makes room."""
    memo.remember(NAME, SourceUnavailable())
    memo.remember(OTHER, SourceUnavailable())
    memo.remember(NAME, SourceUnavailable())
    memo.remember(Fingerprint(b"a third"), SourceUnavailable())

    assert (memo.recall(NAME) is None, memo.recall(OTHER) is None) == (False, True)
