"""Docstrings put the noun first and say who acts, so that a tired reader need not guess."""

import ast
import re
from collections.abc import Callable, Iterable
from io import StringIO
from itertools import pairwise
from pathlib import Path
from tokenize import COMMENT, generate_tokens
from typing import Final, TypeAlias

import pytest

from tests.docs.pages import ROOT

_FIRST: Final = frozenset({"what", "where", "who", "how", "which", "nobody", "nothing"})
_NOWHERE: Final = re.compile(r"\b(?:whoever|whatever|nobody|somebody|anybody|everybody)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")

_Words: TypeAlias = list[tuple[int, str]]
"""Lines, and the words there that are to be replaced."""


def test_docstrings_are_plain_english() -> None:
    """A docstring of `service/` or `tests/` has its noun first, and names the one who acts."""
    assert Path(__file__) in _paths("tests")
    _expect_none("service", _in_docstrings)
    _expect_none("tests", _in_docstrings)


def test_descriptions_of_constants_and_fields_are_plain_english() -> None:
    """A string under an assignment of `service/` obeys the rules for docstrings."""
    _expect_none("service", _in_descriptions)


def test_comments_name_the_one_who_acts() -> None:
    """A comment of `service/` may begin with any word, but says who acts."""
    _expect_none("service", _in_comments)


@pytest.mark.parametrize("word", ["What", "Where", "who", "How", "Which", "Nobody", "Nothing"])
@pytest.mark.parametrize("opening", ["", "**", '"', "\n    "])
def test_a_first_word_is_found(word: str, opening: str) -> None:
    """A forbidden first word is found behind a mark, and below the quotes."""
    assert _in_docstrings(f"'''{opening}{word} it is.'''") == [(1 + opening.count("\n"), word)]


@pytest.mark.parametrize("word", ["what", "where", "who", "how", "which", "nothing"])
def test_a_first_word_is_allowed_further_on(word: str) -> None:
    """Only the beginning of a docstring needs its noun."""
    assert _in_docstrings(f"'''A summary.\n\n{word.capitalize()} and {word}.'''") == []


@pytest.mark.parametrize("word", ["whoever", "Whatever", "NOBODY", "Nobody", "somebody", "anybody", "everybody"])
def test_a_word_is_found_anywhere(word: str) -> None:
    """A forbidden word is found once, with its line, and not as a part of another word."""
    assert _in_docstrings(f'"""A summary.\n\n    For {word}\'s eyes.\n    """') == [(3, word)]
    assert _in_docstrings(f'"""{word}"""') == [(1, word)]
    assert _in_docstrings(f'"""A summary of {word}s."""') == []


@pytest.mark.parametrize(
    "owner", ["class A:", "def a():", "async def a():", "class A:\n    class B:", "class A:\n    def b():"]
)
def test_every_docstring_is_read(owner: str) -> None:
    """Modules, classes and functions are read, nested ones too."""
    indent = "    " * (1 + owner.count("\n"))
    line = 2 + owner.count("\n")

    assert _in_docstrings(f"{owner}\n{indent}'''What it is.'''") == [(line, "What")]


@pytest.mark.parametrize(
    "source", ["x = 'What nobody knows'", "def a():\n    return 'Who'", "# Whoever", "def a(): ...", "x = 1\n'Who'"]
)
def test_other_text_is_no_docstring(source: str) -> None:
    """The rules for docstrings are for docstrings alone."""
    assert _in_docstrings(source) == []


@pytest.mark.parametrize("assignment", ["x = 1", "x: int = 1", "x: int", "self.x = 1"])
@pytest.mark.parametrize(
    ("text", "line", "word"), [("What it is.", 0, "What"), ("It is for\n    nobody.", 1, "nobody")]
)
def test_a_description_is_found_below_an_assignment(assignment: str, text: str, line: int, word: str) -> None:
    """Constants, fields and attributes are read, on every level."""
    assert _in_descriptions(f"{assignment}\n'''{text}'''") == [(2 + line, word)]
    assert _in_descriptions(f"def a():\n    {assignment}\n    '''{text}'''") == [(3 + line, word)]


@pytest.mark.parametrize("source", ["'What.'", "x = 1\ny('What.')", "x = 'What'", "x()\n'What.'", "x = 1  # What"])
def test_other_text_is_no_description(source: str) -> None:
    """A description is a string that directly follows an assignment."""
    assert _in_descriptions(source) == []


def test_a_word_is_found_in_comments() -> None:
    """A comment may begin with any word; strings are no comments."""
    assert _in_comments("x = 1  # Where anybody looks\n# Nobody\n'# nobody'\n") == [(1, "anybody"), (2, "Nobody")]


def _paths(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _expect_none(folder: str, words_in: Callable[[str], _Words]) -> None:
    places = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in _paths(folder)
        for line, word in words_in(path.read_text(encoding="utf-8"))
    ]
    if places:
        pytest.fail(f"{len(places)} words to replace:\n" + "\n".join(places), pytrace=False)


def _in_docstrings(source: str) -> _Words:
    return _in_texts(
        node.body[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
    )


def _in_descriptions(source: str) -> _Words:
    blocks = [block for node in ast.walk(ast.parse(source)) if isinstance(block := getattr(node, "body", None), list)]
    return _in_texts(
        below for block in blocks for above, below in pairwise(block) if isinstance(above, ast.Assign | ast.AnnAssign)
    )


def _in_texts(statements: Iterable[ast.stmt]) -> _Words:
    found: set[tuple[int, str]] = set()
    for statement in statements:
        match statement:
            case ast.Expr(value=ast.Constant(value=str(text)), lineno=line):
                first = _WORD.search(text)
                words = [] if first is None or first[0].lower() not in _FIRST else [first]
                words += _NOWHERE.finditer(text)
                found |= {(line + text.count("\n", 0, word.start()), word[0]) for word in words}
            case _:
                pass
    return sorted(found)


def _in_comments(source: str) -> _Words:
    comments = [token for token in generate_tokens(StringIO(source).readline) if token.type == COMMENT]
    return [(comment.start[0], word[0]) for comment in comments for word in _NOWHERE.finditer(comment.string)]
