"""The drawing, steps, states and layers on the architecture page."""

import re
import tomllib
from typing import Final

import pytest

from service.http import connection
from tests.docs.pages import ROOT, codes, section, table, tables, text_of

_PAGE: Final = "docs/architecture.md"

_FILE: Final = re.compile(r"(?<![\w/])(?:[a-z_]+/)*[a-z_]+\.py\b")


@pytest.mark.parametrize(
    ("container", "first"), [("service", "layer"), ("service.verification", "layer of verification")]
)
def test_layers_are_those_of_the_import_contract(container: str, first: str) -> None:
    """The same order, and the same modules side by side."""
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == [container])

    rows = table(_PAGE, "Layers", first=first).rows

    assert [set(codes(row[0])) for row in rows] == [set(layer.split(" | ")) for layer in layers]


def test_every_file_that_is_named_is_there() -> None:
    """Every file that the page names, in the drawing too, is in the package or is named from the root."""
    named = _FILE.findall(text_of(_PAGE))

    missing = [name for name in named if not (ROOT / "service" / name).is_file() and not (ROOT / name).is_file()]

    assert named
    assert missing == []


def test_steps_are_few_and_lead_through_files() -> None:
    """A question takes at most ten steps, and each names the files to open."""
    steps = re.split(r"^\d+\. ", section(_PAGE, "The steps of a question"), flags=re.MULTILINE)[1:]

    assert 1 < len(steps) <= 10
    assert all(_FILE.search(step) for step in steps)


def test_states_are_those_of_the_connection() -> None:
    """The table of states is the one in the docstring of the connection."""
    assert connection.__doc__ is not None
    (states,) = tables(connection.__doc__)

    assert table(_PAGE, "The connection", first="state") == states


def test_the_file_to_read_first_is_short() -> None:
    """A newcomer reads it at one sitting, so it has at most 200 lines."""
    assert len(text_of("service/verification/verify.py").splitlines()) <= 200


def test_steps_of_a_decision_stand_in_order() -> None:
    """Numbered once above, and once, with the same words, where they are taken: all in one function."""
    source = text_of("service/verification/verify.py")
    docstring, code = source.split('"""', 2)[1:]

    told = re.findall(r"^(\d)\. (.+)$", docstring, re.MULTILINE)
    taken = re.findall(r"^ {12}# (\d)\. (.+)$", code, re.MULTILINE)

    assert [number for number, _ in taken] == ["1", "2", "3", "4", "5"]
    assert [number for number, _ in told] == [number for number, _ in taken]
    assert all(above.startswith(here.removesuffix(".")) for (_, above), (_, here) in zip(told, taken, strict=True))
