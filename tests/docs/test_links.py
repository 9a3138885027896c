"""Links and paths of the pages: their targets exist, and none is that of a single machine."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import PAGES, ROOT, headings, prose_of

_LINK: Final = re.compile(r"\]\((?P<target>[^)\s]+)\)")

_KNOWN_ROOTS: Final = frozenset(
    {
        "admin",
        "api",
        "bundle",
        "console",
        "credentials",
        "docs",
        "email-challenges",
        "game",
        "games",
        "jwt",
        "key",
        "livez",
        "master",
        "me",
        "metrics",
        "passes",
        "my-games",
    }
    | {"openapi", "path", "proc", "profile", "readyz", "run", "sandbox", "verify", "version", "wharf"}
)
"""First parts of absolute paths: our endpoints, the store's, and the folders of orchestrators."""


def _anchor(title: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _relative_links(page: Path) -> list[str]:
    found = [match["target"] for match in _LINK.finditer(prose_of(page.read_text(encoding="utf-8")))]
    return [target for target in found if not target.startswith("https://")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links(page: Path) -> None:
    """Every relative link leads to a file, and to a heading in it where it names one."""
    for target in _relative_links(page):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page

        assert linked.is_relative_to(ROOT), target
        assert linked.exists(), target
        if anchor:
            assert anchor in map(_anchor, headings(linked.read_text(encoding="utf-8"))), target


def test_every_page_is_reachable() -> None:
    """The README leads to every page."""
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in _relative_links(ROOT / "README.md")}

    assert set(PAGES) - linked == {ROOT / "README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_paths_of_one_machine(page: Path) -> None:
    """No page names a directory that exists by accident on the machine where it was written."""
    paths = re.findall(r"(?<![\w./:~>)\]}…*`-])/([a-z][a-z-]*)(?=[/`\s])", page.read_text(encoding="utf-8"))

    assert set(paths) <= _KNOWN_ROOTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_do(page: Path) -> None:
    """No page is unfinished."""
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", page.read_text(encoding="utf-8").replace("No TODOs", ""))
