"""The tree of errors is as drawn, and none of them repeats what was sent."""

import re
from datetime import timedelta

import pytest

from service import errors
from service.errors import (
    BadQuestion,
    GatewayError,
    NoAnswer,
    NotPermitted,
    SettingsError,
    SourceUnavailable,
    TooManyQuestions,
)
from service.ownership import Outcome, Reason

_LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)")


def _children(parent: type[Exception]) -> list[type[Exception]]:
    return [child for child in parent.__subclasses__() if child.__module__ == errors.__name__]


def _tree(parent: type[Exception], depth: int = 0) -> list[tuple[int, str]]:
    below = [line for child in _children(parent) for line in _tree(child, depth + 1)]
    return [(depth, parent.__name__), *below]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__ is not None
    drawn = [match for line in errors.__doc__.splitlines()[2:] if (match := _LINE.match(line))]

    assert [(len(match["indent"]) // 4, match["name"]) for match in drawn] == _tree(GatewayError)


def test_every_no_answer_has_its_own_reason() -> None:
    """Every reason of the outcome `unknown` also belongs to one kind of no answer."""
    reasons = [no_answer.reason for no_answer in NoAnswer.__subclasses__() if no_answer.__module__ == errors.__name__]

    assert sorted(reasons) == sorted(reason for reason in Reason if reason.outcome is Outcome.UNKNOWN)


def test_no_answer_says_its_reason_when_nothing_better_is_known() -> None:
    """A log line is never empty."""
    assert (str(SourceUnavailable()), SourceUnavailable().detail) == ("source_unavailable", "")


def test_no_answer_says_what_is_known() -> None:
    """The exception also carries the time to ask again."""
    no_answer = SourceUnavailable("the store took too long", retry_after=timedelta(seconds=3))

    assert (str(no_answer), no_answer.detail) == ("the store took too long", "the store took too long")
    assert no_answer.retry_after == timedelta(seconds=3)


def test_mistakes_are_one_line_each() -> None:
    """All of them at once."""
    error = SettingsError(["PORT: expected a number", "HOST: missing"])

    assert (str(error).splitlines(), error.mistakes) == (error.mistakes, ["PORT: expected a number", "HOST: missing"])


@pytest.mark.parametrize(("pointer", "shown"), [("/email", "/email: malformed_email"), ("", "/: malformed_email")])
def test_a_bad_question_is_named_by_where_and_what(pointer: str, shown: str) -> None:
    """In logs; the sentence for the caller is apart."""
    error = BadQuestion(pointer, "malformed_email", "expected one address")

    assert (str(error), error.pointer, error.code, error.detail) == (
        shown,
        pointer,
        "malformed_email",
        "expected one address",
    )


def test_who_is_not_permitted_learns_what_is_lacking() -> None:
    """The right, or the game."""
    error = NotPermitted("assert:email")

    assert (str(error), error.lacking) == ("the caller lacks assert:email", "assert:email")


def test_who_asks_too_much_learns_which_limit_and_how_long() -> None:
    """There are several."""
    error = TooManyQuestions("rate", retry_after=timedelta(seconds=1))

    assert (str(error), error.limit, error.retry_after) == (
        "the caller is over its limit: rate",
        "rate",
        timedelta(seconds=1),
    )
