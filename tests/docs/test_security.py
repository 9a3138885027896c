"""Every threat on the security page has a defence that a test holds, or is named as a risk that stays."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import ROOT, codes, tables, text_of

PAGE: Final = "docs/security.md"

_LINK: Final = re.compile(r"\]\(\.\./(tests/[\w/]+\.py)\)")


def _threats() -> list[dict[str, str]]:
    listed = [found for found in tables(text_of(PAGE)) if found.header[0] == "threat"]
    return [dict(zip(found.header, row, strict=True)) for found in listed for row in found.rows]


@cache
def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions}


def test_there_are_threats() -> None:
    """The page has threats for the other tests to look at."""
    assert _threats()


@pytest.mark.parametrize("row", _threats(), ids=lambda row: row["threat"][:40])
def test_tests_exist(row: dict[str, str]) -> None:
    """Each test that is named is in the file that is named before it."""
    for named in row["tests"].split("; "):
        if named != "none":
            (path,) = _LINK.findall(named)
            assert codes(named), named
            assert set(codes(named)) <= _tests_in(ROOT / path), named


@pytest.mark.parametrize("row", _threats(), ids=lambda row: row["threat"][:40])
def test_what_no_test_holds_is_a_named_risk(row: dict[str, str]) -> None:
    """Every threat has a test, or is among the residual risks."""
    assert row["tests"] != "none" or "(#residual-risks)" in row["defence"]
