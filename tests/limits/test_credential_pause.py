"""Pauses of single credentials."""

from datetime import timedelta

import pytest

from service.limits.credential_pause import CredentialPause
from tests.clock import FakeClock
from tests.limits.buckets import seconds

ONE, OTHER, THIRD = b"one", b"other", b"third"


@pytest.fixture
def pause(clock: FakeClock) -> CredentialPause:
    """Room for two credentials."""
    return CredentialPause(clock=clock, most=2)


def test_a_refusal_pauses_its_credential_alone(pause: CredentialPause, clock: FakeClock) -> None:
    """For as long as the store said."""
    everybody = pause.refused(ONE, seconds(30))
    left = (pause.left(ONE), pause.left(OTHER))
    clock.jump(seconds(30))

    assert (everybody, left, pause.left(ONE)) == (False, (seconds(30), timedelta()), timedelta())


@pytest.mark.parametrize(
    ("said", "pause_of"),
    [(seconds(600), 600), (seconds(601), 600), (timedelta.max, 600), (seconds(-3), 0), (timedelta.min, 0)],
)
def test_the_store_says_how_long_up_to_ten_minutes(pause: CredentialPause, said: timedelta, pause_of: float) -> None:
    """A slip of the store's pen must not shut a player out for years."""
    pause.refused(ONE, said)

    assert pause.left(ONE) == seconds(pause_of)


def test_without_a_word_pauses_double_until_there_is_an_answer(pause: CredentialPause, clock: FakeClock) -> None:
    """One second to sixteen, as itch.io's own client waits."""
    pauses = []
    for _ in range(6):
        pause.refused(ONE, None)
        pauses.append(pause.left(ONE))
        clock.jump(pauses[-1])
    pause.answered(ONE)
    pause.refused(ONE, None)

    assert [*pauses, pause.left(ONE)] == [seconds(number) for number in (1, 2, 4, 8, 16, 16, 1)]


def test_three_different_ones_in_a_row_are_about_all(pause: CredentialPause) -> None:
    """The same one again counts once; then the count begins anew."""
    assert [pause.refused(name, seconds(1)) for name in (ONE, ONE, OTHER, THIRD, ONE)] == [
        False,
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("answered", [ONE, None])
def test_a_good_answer_ends_the_row(pause: CredentialPause, answered: bytes | None) -> None:
    """To any request: the store takes ours."""
    pause.refused(ONE, seconds(1))
    pause.refused(OTHER, seconds(1))
    pause.answered(answered)

    assert not pause.refused(THIRD, seconds(1))


def test_the_oldest_is_forgotten_for_a_new_one(pause: CredentialPause) -> None:
    """A credential that is forgotten costs the store one request."""
    for name in (ONE, OTHER, ONE, THIRD):
        pause.refused(name, seconds(9))

    assert [pause.left(name) for name in (ONE, OTHER, THIRD)] == [seconds(9), timedelta(), seconds(9)]
