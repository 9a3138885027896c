"""Text of other people, made harmless for a terminal."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.cli.terminal import printable


@given(st.text())
def test_nothing_is_left_that_a_terminal_acts_upon(text: str) -> None:
    """No text keeps a character that a terminal acts upon."""
    assert printable(text).isprintable()


@settings(max_examples=30)
@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_means_the_same_afterwards(value: object) -> None:
    """The JSON can still be copied from the terminal."""
    assert json.loads(printable(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize("text", ["Süe", "月", "X-Moon / 2"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Names are names in any script."""
    assert printable(text) == text
