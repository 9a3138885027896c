"""The rule for how many noes are too many."""

from datetime import timedelta
from typing import Final

import pytest

from service.ownership import Fingerprint
from service.verification.rechecks import CALM, WINDOW, Recheck, hold_until
from tests.clock import START

SECOND: Final = timedelta(seconds=1)


def rechecks(
    noes: int, yeses: int, *, ago: timedelta = timedelta(), yeses_ago: timedelta = timedelta()
) -> list[Recheck]:
    """Return so many answers, the noes first, each about another owner."""
    names = iter(range(1000))
    return [
        *(Recheck(Fingerprint(bytes([next(names)]) * 16), START - ago, owned=False) for _ in range(noes)),
        *(Recheck(Fingerprint(bytes([next(names)]) * 16), START, owned=True) for _ in range(yeses)),
    ]


@pytest.mark.parametrize(
    ("noes", "yeses", "held"),
    [(19, 0, False), (20, 0, True), (19, 100, False), (20, 60, True), (80, 0, True), (0, 80, False)],
)
def test_twenty_of_eighty_are_too_many(noes: int, yeses: int, *, held: bool) -> None:
    """One less is not."""
    assert (hold_until(rechecks(noes, yeses), START) is not None) is held


def test_only_the_last_eighty_count() -> None:
    """Of older ones the store has said enough since."""
    assert hold_until(rechecks(20, 60, ago=SECOND), START) is not None
    assert hold_until(rechecks(20, 61, ago=SECOND), START) is None


def test_it_lasts_until_there_were_fewer_for_ten_minutes() -> None:
    """The twentieth no from the end counts for ten minutes, and then it is calm for ten more."""
    some = [*rechecks(30, 0, ago=60 * SECOND)[10:], *rechecks(0, 30)]

    assert hold_until(some, START) == START - 60 * SECOND + WINDOW + CALM
    assert hold_until(some, START - 60 * SECOND + WINDOW) is None
