"""The shape of an answer: enough to compare it, and no name, key or number."""

import re
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.recording.shape import shape_of
from service.cli.recording.words import WORDS, hidden, shown_media_type, shown_name, shown_text

OF_THE_SHAPE: Final = frozenset(
    """
    text of character characters letters digits or signs spaces others integer digit negative number null empty date
    list shapes deeper than and more true false
    """.split()  # noqa: SIM905 - as prose it can be read
)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (None, "null"),
        (True, True),
        (0, "integer of 1 digit"),
        (-29789, "negative integer of 5 digits"),
        (1.5, "number"),
        ("", "empty text"),
        ("x", "text of 1 character: letters"),
        ("Süe", "text of 3 characters: letters, others"),
        ("a b-9!", "text of 6 characters: letters, digits, _ or -, spaces, signs"),
        ([], {"list of": 0, "shapes": []}),
        ([1, 2, 30], {"list of": 3, "shapes": ["integer of 1 digit", "integer of 2 digits"]}),
        ({}, {}),
        (
            {"id": 7, "amos": 8, "nina": 9},
            {
                "id": "integer of 1 digit",
                "<4 characters>": "integer of 1 digit",
                "<4 characters> (2)": "integer of 1 digit",
            },
        ),
    ],
)
def test_shapes(value: object, shape: object) -> None:
    """Kinds and lengths."""
    assert shape_of(value) == shape


@pytest.mark.parametrize(
    ("field", "text", "shape"),
    [
        ("created_at", "2014-02-28T00:25:09.000000000Z", "date 2014-02-28T__:__:__._________Z"),
        ("expires_at", "2014-02-28 00:25:09", "date 2014-02-28 __:__:__"),
        ("created_at", "2014-02-28T00:25:09+05:45", "date 2014-02-28T__:__:__+__:__"),
        ("created_at", "yesterday", "text of 9 characters: letters"),
        ("birthday", "1990-02-28 00:25:09", "text of 19 characters: digits, _ or -, spaces, signs"),
        ("status", "complete", "complete"),
        ("status", "amos", "<4 characters>"),
        ("username", "complete", "text of 8 characters: letters"),
    ],
)
def test_texts_by_their_field(field: str, text: str, shape: str) -> None:
    """Days in fields for them, and words in fields for them; a name that is a word stays hidden."""
    assert shape_of({field: text}) == {field if field != "birthday" else "<8 characters>": shape}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invalid download key", "invalid download key"),
        ("api key does not permit `game:view:ownership`", "api key does not permit `game:view:ownership`"),
        ("header not HS256", "header not HS256"),
        ("game_id must be an integer", "game_id must be an integer"),
        ("invalid api version: 2", "invalid api version: <1 characters>"),
        ("There was a server error.", "There was a server error."),
        ("no user amos (1994)", "no user <4 characters> <6 characters>"),
        ("the key me@game.page", "the key <12 characters>"),
        ("the game on-sale is free", "the game <7 characters> is free"),
        ("at https://free.itch.io/game", "at <25 characters>"),
        ("`", "`"),
        ("\x1b[2J\x00 key", "<5 characters> key"),
        ("key " * 200, " ".join(["key"] * 100) + " … 800 characters"),
    ],
)
def test_error_strings(text: str, shown: str) -> None:
    """Word for word, with what is none of our words by its length; words joined by other marks make a name."""
    assert shown_text(text) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [("download_key", "download_key"), ("p_windows", "p_windows"), ("", "<0 characters>"), ("Amos", "<4 characters>")],
)
def test_names_of_fields(name: str, shown: str) -> None:
    """Only what is made of our words."""
    assert shown_name(name) == shown


def test_a_long_name() -> None:
    """Words enough could be a message."""
    name = "_".join(["key"] * 20)

    assert shown_name(name) == hidden(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("application/json", "application/json"),
        ("Text/HTML; charset=UTF-8", "text/html; charset=utf-8"),
        ("text/amos", "<9 characters>"),
        ("text/html; boundary=amos", "<24 characters>"),
        ("", "<0 characters>"),
    ],
)
def test_media_types(text: str, shown: str) -> None:
    """The usual ones."""
    assert shown_media_type(text) == shown


def test_what_is_too_much() -> None:
    """A record stays short enough to be read."""
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    many = {f"field{number}": 1 for number in range(300)}
    various = [{"id": 10**number} for number in range(16)]

    assert b'"deeper than 8"' in msgspec.json.encode(shape_of(deep))
    assert shape_of(many)["and more"] == 200  # type: ignore[index]  # it is an object
    assert len(shape_of(various)["shapes"]) == 8  # type: ignore[index,arg-type]  # it is an object


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.text("Amos 1994@-_.:/"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["errors", "status", "at"]), inner),
    max_leaves=20,
)


@given(JSON)
def test_no_word_of_an_answer_but_ours(value: object) -> None:
    """A record of any answer has only words of the two lists."""
    written = msgspec.json.encode(shape_of(value)).decode()

    words = {word.lower() for word in re.findall(r"[^\W\d_]+", written)}
    assert words - WORDS - OF_THE_SHAPE == set()
