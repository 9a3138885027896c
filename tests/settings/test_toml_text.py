"""TOML with long lists of ids is read as `tomllib` reads it."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings.toml_text import parse_toml

IDS = ", ".join(str(number) for number in range(400))
LINES = IDS.replace(", ", ",\n")
SPACE = st.text(" \t\n", max_size=3)


def read_by(parse: Any, text: str) -> object:
    """Return the document, or the name and text of the error."""
    try:
        return parse(text)
    except ValueError as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "text",
    [
        f"[games.a]\nban_user_ids = [{IDS}]\nid = 3",
        f"[games.a]\nban_user_ids=[{IDS}, ]",
        f"[games.a]\r\nban_user_ids = [\r\n{LINES}\r\n]\r\nid = 3\r\n",
        f"[games.a]\nban_user_ids = [{IDS}] # comment\n[games.b]\ngrant_user_ids = [{IDS}]",
        f"[games.a]\nban_user_ids = [{IDS},,]",
        f"[games.a]\nban_user_ids = [,{IDS}]",
        f"[games.a]\nban_user_ids = [{IDS} 7]",
        f"[games.a]\nban_user_ids = [{IDS}, 007]",
        f"[games.a]\nban_user_ids = [{IDS}]\nban_user_ids = [1]",
        f"[games.a]\nban_user_ids = [{IDS}\nid = 3",
        f"[games.a]\nban_user_ids = [{IDS}]\nid = \n",
        f"[games.a]\nban_user_ids = [{IDS}, {'9' * 30}]",
        f"[games.a]\nban_user_ids = [{IDS}] 7",
        f"[games.a]\nban_user_ids = [\r{IDS}]",
        f'[games.a]\nname = """\nban_user_ids = [{IDS}]\n"""',
        f"[games.a]\nname = '''\nban_user_ids = [{IDS}]\n'''",
        f"# ban_user_ids = [{IDS}]\n[games.a]\nid = 3",
        f"ban_user_ids = [{IDS}]",
        f"[[callers]]\ngames = [{IDS}]",
        f"games = 3\n[other]\nban_user_ids = [{IDS}]",
        f"[games]\na = 3\nban_user_ids = [{IDS}]",
        f"[games.a]\nban_user_ids = [{' ' * 1200}]",
        f"[games.a.deeper]\nban_user_ids = [{IDS}]",
    ],
    ids=range(23),
)
def test_it_is_read_alike(text: str) -> None:
    """The document is the same, and so is the mistake with its place."""
    assert read_by(parse_toml, text) == read_by(tomllib.loads, text)


@given(st.lists(st.tuples(st.integers(0, 10**18), SPACE, SPACE), min_size=1, max_size=30), st.booleans())
def test_any_list_is_read_alike(items: list[tuple[int, str, str]], comma: bool) -> None:  # noqa: FBT001 - drawn
    """Blanks and line breaks may stand anywhere between the numbers."""
    numbers = ",".join(f"{before}{number}{after}" for number, before, after in items)
    text = f"[games.a]\nids = [{' ' * 1000}{numbers}{',' if comma else ''}]\n"

    assert parse_toml(text) == tomllib.loads(text)
