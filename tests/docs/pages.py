"""The written documentation as data: pages, headings, tables and code blocks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

_HEADING: Final = re.compile(r"^#{1,6} +(?P<title>.+)$", re.MULTILINE)
_BLOCK: Final = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`([^`\n]+)`")


class Table(Struct, frozen=True):
    """A table: the words above its columns, and its rows."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def text_of(page: str) -> str:
    """Return a page, named from the root of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def all_text() -> str:
    """Return every page there is."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def prose_of(text: str) -> str:
    """Return a page without its code blocks, whose lines may begin with a #."""
    return _BLOCK.sub("", text)


def headings(text: str) -> list[str]:
    """Return the headings of a page."""
    return [match["title"] for match in _HEADING.finditer(prose_of(text))]


def section(page: str, title: str) -> str:
    """Return what stands between a heading and the next one."""
    _, found, rest = text_of(page).partition(f" {title}\n")
    assert found, f"{page} has no heading {title!r}"
    following = re.search(r"^#{1,6} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def tables(text: str) -> Iterator[Table]:
    """Return the tables in a text."""
    for lines in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE):
        header, _, *rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines.splitlines()]
        assert all(len(row) == len(header) for row in rows), f"a table is ragged: {header}"
        yield Table(header, tuple(rows))


def table(page: str, title: str, *, first: str) -> Table:
    """Return the table below a heading of which the first column is called so."""
    return next(table for table in tables(section(page, title)) if table.header[0] == first)


def codes(text: str) -> list[str]:
    """Return what stands between backticks."""
    return _CODE.findall(text)


def code(cell: str) -> str:
    """Return the one thing between backticks."""
    (only,) = codes(cell)
    return only


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return [match["text"] for match in _BLOCK.finditer(text_of(page)) if match["language"] == language]


def source_trees() -> Iterator[ast.Module]:
    """Return every module of the package, parsed."""
    for path in sorted((ROOT / "service").rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def calls(name: str) -> Iterator[ast.Call]:
    """Return every call of a function or method of that name in the package."""
    for tree in source_trees():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=called)) | ast.Call(func=ast.Attribute(attr=called)) if called == name:
                    yield node
