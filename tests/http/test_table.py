"""The table in the docstring of the connection: every state, with every event."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import Final

import pytest

from service.http import connection as module
from service.http.connection import Bounds, Connection, HttpRefusal, State, Whole

WHOLE: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF: Final = WHOLE[:-2]
LETTER: Final = b"G"
"""The beginning of a method or of a field name."""
BREAKS: Final = b"\r\n\r\n"
BOUNDS: Final = Bounds()


def in_state(state: State, *, held: bytes = b"") -> Connection:
    """Return a connection in this state; ANSWERING holds these bytes."""
    connection = Connection(BOUNDS)
    if state is State.READING:
        connection.received(HALF)
    if state is State.ANSWERING:
        connection.received(WHOLE + held)
    if state is State.LINGERING:
        connection.received(WHOLE + WHOLE)
        connection.answered(last=True)
    if state is State.CLOSED:
        connection.close()
    assert connection.state is state
    return connection


# --- the table ---


def _rows(docstring: str) -> Iterable[dict[str, str]]:
    lines = [line for line in docstring.splitlines() if line.startswith("|")]
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(names, row, strict=True)) for row in rows]


TABLE: Final = {State[row["state"]]: row for row in _rows(module.__doc__ or "")}


def _states_in(cell: str, *, of: State) -> set[State]:
    """Return the states that a cell names; one without any changes nothing."""
    return {State[name] for name in re.findall(r"[A-Z]{4,}", cell)} or {of}


# --- the events, each with all that may make a difference ---

EVENTS: Final[dict[str, list[Callable[[Connection], Whole | None]]]] = {
    "received": [partial(Connection.received, data=data) for data in (BREAKS, LETTER, HALF, WHOLE)],
    "answered": [lambda it: it.answered()],
    "answered, last": [lambda it: it.answered(last=True)],
    "end of input": [lambda it: it.ended()],
    "then": [lambda it: it.deadline_passed()],
}
HELD: Final = (b"", BREAKS, HALF, WHOLE)


def test_the_table_has_every_state_and_event() -> None:
    assert set(TABLE) == set(State)
    assert all(row.keys() == {"state", "deadline", *EVENTS} for row in TABLE.values())


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
@pytest.mark.parametrize("event", EVENTS)
def test_cell(state: State, event: str) -> None:
    """A cell names exactly the states that the event can lead to, and only ANSWERING comes with something to answer."""
    cell = TABLE[state][event]
    seen = set()

    for happens, held in product(EVENTS[event], HELD if state is State.ANSWERING else [b""]):
        connection = in_state(state, held=held)
        whole = happens(connection)
        seen.add(connection.state)
        assert (whole is not None) == (connection.state is State.ANSWERING and cell not in {"", "held"})

    assert seen == _states_in(cell, of=state)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_deadline(state: State) -> None:
    word = TABLE[state]["deadline"]
    seconds = None if word == "none" else getattr(BOUNDS, f"{word}_seconds")

    assert in_state(state).deadline_seconds == seconds


def test_each_deadline_has_its_own_time() -> None:
    bounds = Bounds(idle_seconds=1, arrival_seconds=2, linger_seconds=3, sending_seconds=4)
    connection = Connection(bounds)

    assert connection.deadline_seconds == 1
    connection.received(HALF)
    assert connection.deadline_seconds == 2
    connection.received(BREAKS)
    connection.answered(last=True)
    assert connection.deadline_seconds == 3
    connection.ended()
    assert connection.deadline_seconds == 4


# --- the words in the cells ---


def test_half_a_request_that_is_late_is_answered_408() -> None:
    assert in_state(State.READING).deadline_passed() == HttpRefusal(408)


def test_held_bytes_are_read_after_the_answer() -> None:
    connection = in_state(State.ANSWERING)

    assert connection.received(WHOLE) is None

    assert connection.answered() is not None
    assert connection.answered() is None


@pytest.mark.parametrize("state", [State.LINGERING, State.CLOSED], ids=lambda state: state.name)
def test_dropped_bytes_are_not_kept(state: State) -> None:
    connection = in_state(state)

    connection.received(WHOLE * 10_000)

    assert connection.wants_bytes
    assert connection.answered() is None
