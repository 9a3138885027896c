"""The layers and modules on the architecture page."""

import re
import tomllib

from tests.docs.pages import ROOT, codes, section, table, text_of


def test_the_layers_are_those_of_the_import_contract() -> None:
    """The page lists the layers in their order, each with the same modules side by side."""
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")

    rows = table("docs/architecture.md", "Layers", first="layer").rows

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
