"""The corpus of HTTP cases, whole and in pieces, against a connection without sockets."""

from typing import Final

import pytest

from service.http.connection import Bounds, Connection
from tests.http.corpus import Case, cases, head
from tests.http.feeding import Outcome, fed, got, in_pieces

_CASES: Final = [pytest.param(case, id=case.name) for case in cases()]
_SHORT: Final = [param for param in _CASES if len(param.values[0].sent) <= 300]  # type: ignore[union-attr]


def test_names_are_unique_and_the_corpus_is_large() -> None:
    names = [case.name for case in cases()]

    assert len(set(names)) == len(names) > 150


@pytest.mark.parametrize("case", _CASES)
def test_whole(case: Case) -> None:
    outcome = fed([case.sent])

    assert outcome.seen_as(case.outcome) == case.outcome


@pytest.mark.parametrize("case", _CASES)
def test_byte_by_byte(case: Case) -> None:
    assert fed(in_pieces(case.sent)) == fed([case.sent])


@pytest.mark.parametrize("case", _SHORT)
def test_cut_in_two_at_every_byte(case: Case) -> None:
    whole = fed([case.sent])

    for at in range(1, len(case.sent)):
        assert fed([case.sent[:at], case.sent[at:]]) == whole, f"cut at byte {at}"


@pytest.mark.parametrize("case", _CASES)
def test_held_behind_a_slow_answer(case: Case) -> None:
    connection = Connection(Bounds())
    assert connection.received(head()) is not None

    assert connection.received(case.sent) is None

    whole, wholes = connection.answered(), []
    while whole is not None:
        wholes.append(got(whole))
        whole = connection.answered()
    assert Outcome(tuple(wholes), connection.state) == fed([case.sent])


def test_only_a_refusal_or_a_last_request_ends_a_connection() -> None:
    for case in cases():
        last = case.outcome.wholes[-1] if case.outcome.wholes else None
        ends = isinstance(last, int) or (last is not None and last.last)

        assert case.closes == ends, case.name
