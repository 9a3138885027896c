"""Docstrings put the noun first and say who acts, so that a tired reader need not guess."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import ROOT

_FIRST: Final = frozenset({"what", "where", "who", "how", "which", "nobody", "nothing"})
_NOWHERE: Final = re.compile(r"\b(?:whoever|whatever|nobody|somebody|anybody|everybody)\b", re.IGNORECASE)
_WORD: Final = re.compile(r"\w+")

_FOLDERS: Final = ("service", "tests")


def test_docstrings_are_plain_english() -> None:
    """A docstring of `service/` or `tests/` has its noun first, and names the one who acts."""
    paths = [path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    places = [
        f"{path.relative_to(ROOT)}:{line}: {word}"
        for path in paths
        for line, word in _words_to_replace(path.read_text(encoding="utf-8"))
    ]

    assert Path(__file__) in paths
    if places:
        pytest.fail(f"{len(places)} words to replace:\n" + "\n".join(places), pytrace=False)


@pytest.mark.parametrize("word", ["What", "Where", "who", "How", "Which", "Nobody", "Nothing"])
@pytest.mark.parametrize("opening", ["", "**", '"', "\n    "])
def test_a_first_word_is_found(word: str, opening: str) -> None:
    """A forbidden first word is found behind a mark, and below the quotes."""
    assert _words_to_replace(f"'''{opening}{word} it is.'''") == [(1 + opening.count("\n"), word)]


@pytest.mark.parametrize("word", ["what", "where", "who", "how", "which", "nothing"])
def test_a_first_word_is_allowed_further_on(word: str) -> None:
    """Only the beginning of a docstring needs its noun."""
    assert _words_to_replace(f"'''A summary.\n\n{word.capitalize()} and {word}.'''") == []


@pytest.mark.parametrize("word", ["whoever", "Whatever", "NOBODY", "Nobody", "somebody", "anybody", "everybody"])
def test_a_word_is_found_anywhere(word: str) -> None:
    """A forbidden word is found once, with its line, and not as a part of another word."""
    assert _words_to_replace(f'"""A summary.\n\n    For {word}\'s eyes.\n    """') == [(3, word)]
    assert _words_to_replace(f'"""{word}"""') == [(1, word)]
    assert _words_to_replace(f'"""A summary of {word}s."""') == []


@pytest.mark.parametrize(
    "owner", ["class A:", "def a():", "async def a():", "class A:\n    class B:", "class A:\n    def b():"]
)
def test_every_docstring_is_read(owner: str) -> None:
    """Modules, classes and functions are read, nested ones too."""
    indent = "    " * (1 + owner.count("\n"))
    line = 2 + owner.count("\n")

    assert _words_to_replace(f"{owner}\n{indent}'''What it is.'''") == [(line, "What")]


@pytest.mark.parametrize(
    "source", ["x = 'What nobody knows'", "def a():\n    return 'Who'", "# Whoever", "def a(): ..."]
)
def test_other_text_is_not_read(source: str) -> None:
    """Strings and comments that are no docstrings may have any words."""
    assert _words_to_replace(source) == []


def _words_to_replace(source: str) -> list[tuple[int, str]]:
    return sorted({found for line, text in _docstrings(source) for found in _words_of(line, text)})


def _words_of(line: int, text: str) -> Iterator[tuple[int, str]]:
    first = _WORD.search(text)
    found = [] if first is None or first[0].lower() not in _FIRST else [first]
    for word in [*found, *_NOWHERE.finditer(text)]:
        yield line + text.count("\n", 0, word.start()), word[0]


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                yield node.body[0].lineno, text
