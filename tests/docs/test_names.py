"""One word means one thing: in `service/` no class and no file has the name of another."""

import ast
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import pytest

from tests.docs.pages import ROOT

_FILES: Final = sorted(ROOT.glob("service/**/*.py"))


def test_each_class_has_a_name_of_its_own() -> None:
    """A reader who meets the name of a class need not ask for its module."""
    classes = [
        (node.name, f"{path.relative_to(ROOT)}:{node.lineno}")
        for path in _FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]

    assert classes
    _fail_for(_shared(classes), "names stand for more than one class")


def test_each_file_has_a_name_of_its_own() -> None:
    """A search for the name of a file finds one; every package has its `__init__.py`, and commands their own names."""
    files = [
        (path.name, str(path.relative_to(ROOT)))
        for path in _FILES
        if path.name != "__init__.py" and path.parent.name != "cli"
    ]

    assert files
    _fail_for(_shared(files), "names stand for more than one file")


def test_shared_names_are_found() -> None:
    """A control: a name that stands twice or more is listed once, with all its places."""
    assert _shared([("A", "1"), ("B", "2"), ("A", "3"), ("A", "4"), ("b", "5")]) == ["A: 1, 3, 4"]


def _shared(named: Iterable[tuple[str, str]]) -> list[str]:
    places = defaultdict(list)
    for name, place in named:
        places[name].append(place)
    return [f"{name}: {', '.join(found)}" for name, found in sorted(places.items()) if len(found) > 1]


def _fail_for(shared: list[str], said: str) -> None:
    if shared:
        pytest.fail(f"{len(shared)} {said}:\n" + "\n".join(shared), pytrace=False)
