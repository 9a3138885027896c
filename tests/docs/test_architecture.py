"""The layers and modules on the architecture page."""

import re
import tomllib

import pytest

from tests.docs.pages import ROOT, codes, section, table, text_of


@pytest.mark.parametrize(
    ("container", "first"), [("service", "layer"), ("service.verification", "layer of verification")]
)
def test_layers_are_those_of_the_import_contract(container: str, first: str) -> None:
    """The same order, and the same modules side by side."""
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == [container])

    rows = table("docs/architecture.md", "Layers", first=first).rows

    assert [set(codes(row[0])) for row in rows] == [set(layer.split(" | ")) for layer in layers]


def test_every_module_that_is_named_is_there() -> None:
    """Every module that the page names is a file of the package, or a folder."""
    travels = section("docs/architecture.md", "How a question travels")
    named = re.findall(r"\*\*`([a-z_/]+)`\*\*", travels)

    missing = [name for name in named if not (ROOT / "service" / name).is_dir() and not _module(name)]

    assert named
    assert missing == []


def _module(name: str) -> bool:
    return (ROOT / "service" / f"{name}.py").is_file()


def test_the_file_to_read_first_is_short() -> None:
    """A newcomer reads it at one sitting, so it has at most 200 lines."""
    assert len(text_of("service/verification/verify.py").splitlines()) <= 200


def test_steps_of_a_question_stand_in_order() -> None:
    """Numbered once above, and once, with the same words, where they are taken: all in one function."""
    source = text_of("service/verification/verify.py")
    docstring, code = source.split('"""', 2)[1:]

    told = re.findall(r"^(\d)\. (.+)$", docstring, re.MULTILINE)
    taken = re.findall(r"^ {12}# (\d)\. (.+)$", code, re.MULTILINE)

    assert [number for number, _ in taken] == ["1", "2", "3", "4", "5"]
    assert [number for number, _ in told] == [number for number, _ in taken]
    assert all(above.startswith(here.removesuffix(".")) for (_, above), (_, here) in zip(told, taken, strict=True))
