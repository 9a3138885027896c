"""The drawing of the dashboard: the parts that it takes from the panels. A command makes the picture, of a real run."""

import json
import math
from typing import Any, Final

import pytest

from tests.deploy.dashboard_drawing import as_asked, as_shown, colour_of, named, with_unit
from tests.deploy.monitoring import ROOT

_PANELS: Final[dict[str, dict[str, Any]]] = {
    panel["title"]: panel
    for panel in json.loads((ROOT / "deploy/grafana/ownership-gateway.json").read_text())["panels"]
}


@pytest.mark.parametrize(
    ("title", "value", "shown"),
    [
        ("Seller key", 1.0, ("accepted", "#73bf69")),
        ("Seller key", 0.0, ("refused", "#f2495c")),
        ("Seller key", math.nan, ("not said yet", "#ccccdc")),
        ("Gateways", math.nan, ("no data", "#ccccdc")),
        ("No answer", 0.1, ("10.0%", "#ff9830")),
    ],
)
def test_a_value_is_shown_as_the_panel_says(title: str, value: float, shown: tuple[str, str]) -> None:
    """By its words, and else by its thresholds."""
    assert as_shown(_PANELS[title], value) == shown


def test_a_line_has_the_colour_of_its_outcome() -> None:
    """No answer is red in each game, and what no panel names has none."""
    assert colour_of(_PANELS["Outcomes by game"], "x-moon unknown") == "#f2495c"
    assert colour_of(_PANELS["Outcomes by game"], "x-moon") is None


def test_legends_and_units_are_read() -> None:
    """As Grafana would have them."""
    assert named("{{game}} {{outcome}}", {"game": "x-moon"}) == "x-moon "
    assert [with_unit(0.01, "s"), with_unit(2, "s"), with_unit(3.5, "reqps")] == ["10 ms", "2 s", "3.5/s"]
    assert "$" not in as_asked('rate(up{cluster=~"$cluster", job=~"$job", instance=~"$instance"}[$__rate_interval])')
