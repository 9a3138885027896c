"""A drawing of the dashboard, without Grafana: a real Prometheus is asked, and the panels are where they are laid out.

python -m tests.deploy.dashboard_drawing docs/operations/dashboard.png    writes it, after two minutes of load

It shows the layout, the numbers and the colours. Grafana itself draws more finely.
"""

import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from tests.deploy.monitoring import ROOT, Scene, scene
from tests.integrations.screenshots import photograph

_Panel: TypeAlias = Mapping[str, Any]
_Series: TypeAlias = tuple[str, list[tuple[float, float]]]

COLUMN: Final = 60
"""Pixels of one of the 24 columns of Grafana's grid."""
LINE: Final = 32
"""Pixels of one of its lines."""
LAST_LINE: Final = 47
"""The rows above it are drawn: those that an operator looks at first."""

_SECONDS: Final = 110
_CHOSEN: Final = {
    "$__rate_interval": "20s", "$cluster": ".*", "$namespace": ".*", "$job": "ownership-gateway", "$instance": ".*",
}  # fmt: skip
_PALETTE: Final = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#37872d", "#fade2a")
_NAMED: Final = {
    "green": "#73bf69", "red": "#f2495c", "orange": "#ff9830", "yellow": "#fade2a", "blue": "#5794f2",
    "purple": "#b877d9", "dark-red": "#c4162a", "dark-orange": "#fa6400", "text": "#ccccdc",
}  # fmt: skip
_STYLE: Final = "font-family:sans-serif;fill:#ccccdc"


def drawn(panels: Sequence[_Panel], ask: "_Ask") -> str:
    """Return the panels as one SVG."""
    height = LAST_LINE * LINE
    inside = "".join(_panel(panel, ask) for panel in panels if panel["gridPos"]["y"] < LAST_LINE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{24 * COLUMN}" height="{height}">'
        f'<rect width="100%" height="100%" fill="#111217"/>{inside}</svg>'
    )


class _Ask:
    """Asks the Prometheus of a scene what Grafana would."""

    def __init__(self, watched: Scene) -> None:
        self._watched = watched

    def series(self, panel: _Panel) -> Iterator[_Series]:
        """Yield each line of a panel: its name, and its points."""
        for target in panel["targets"]:
            for one in self._watched.history(as_asked(target["expr"]), seconds=_SECONDS):
                points = [(at, float(value)) for at, value in one["values"] if math.isfinite(float(value))]
                yield named(target["legendFormat"], one["metric"]), points


def as_asked(expression: str) -> str:
    """Return what Grafana would send, with every gateway chosen."""
    for name, value in _CHOSEN.items():
        expression = expression.replace(name, value)
    return expression


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Return the name of a line, as the legend has it."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def _panel(panel: _Panel, ask: _Ask) -> str:
    place = panel["gridPos"]
    x, y, width, height = place["x"] * COLUMN, place["y"] * LINE, place["w"] * COLUMN, place["h"] * LINE
    title = f'<text x="10" y="20" style="{_STYLE};font-size:12px;font-weight:bold">{escape(panel["title"])}</text>'
    if panel["type"] == "row":
        return f'<g transform="translate({x},{y})">{title}</g>'
    inside = _stat if panel["type"] == "stat" else _graph
    return (
        f'<g transform="translate({x},{y})"><rect x="2" y="2" width="{width - 4}" height="{height - 4}" rx="3"'
        f' fill="#181b1f" stroke="#2c3235"/>{title}{inside(panel, list(ask.series(panel)), width, height)}</g>'
    )


def _stat(panel: _Panel, series: list[_Series], width: int, height: int) -> str:
    points = [points for _, points in series if points]
    value = points[0][-1][1] if points else math.nan
    text, colour = as_shown(panel, value)
    size = min(34, 1.5 * width / max(4, len(text)))
    return (
        f'<text x="{width / 2}" y="{height / 2 + 18}" text-anchor="middle"'
        f' style="font-family:sans-serif;font-size:{size:.0f}px;fill:{colour}">{escape(text)}</text>'
    )


def as_shown(panel: _Panel, value: float) -> tuple[str, str]:
    """Return the text and the colour of a single value, by the panel's mappings and thresholds."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", ()):
        if mapping["type"] == "special" and math.isnan(value):
            return mapping["options"]["result"]["text"], _NAMED["text"]
        if mapping["type"] == "value" and (result := mapping["options"].get(f"{value:g}")) is not None:
            return result["text"], _NAMED[result["color"]]
    if math.isnan(value):
        return "no data", _NAMED["text"]
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    return with_unit(value, defaults["unit"]), _NAMED[steps[-1]["color"]]


def with_unit(value: float, unit: str) -> str:
    """Return the value as a person reads it."""
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "s" and 0 < value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g}" + {"s": " s", "reqps": "/s"}.get(unit, "")


def _graph(panel: _Panel, series: list[_Series], width: int, height: int) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    logarithmic = defaults.get("custom", {}).get("scaleDistribution", {}).get("type") == "log"
    series = [(name, points) for name, points in series if points]
    values = [value for _, points in series for _, value in points if value > 0 or not logarithmic]
    if not values:
        return f'<text x="{width / 2}" y="{height / 2}" text-anchor="middle" style="{_STYLE}">No data</text>'
    low, high = (min(values), max(values)) if logarithmic else (0.0, max(values) or 1.0)
    times = [at for _, points in series for at, _ in points]
    left, top, right, bottom = 62, 34, width - 12, height - 50

    def across(at: float) -> float:
        return left + (right - left) * (at - min(times)) / max(1.0, max(times) - min(times))

    def down(value: float) -> float:
        decades = max(1e-9, math.log(high / low)) if logarithmic else 1
        share = math.log(max(value, low) / low) / decades if logarithmic else value / high
        return bottom - (bottom - top) * share

    ticks = [low * (high / low) ** (step / 3) if logarithmic else high * step / 3 for step in range(4)]
    parts = [
        f'<line x1="{left}" x2="{right}" y1="{down(tick):.1f}" y2="{down(tick):.1f}" stroke="#2c3235"/>'
        f'<text x="{left - 6}" y="{down(tick) + 4:.1f}" text-anchor="end" style="{_STYLE};font-size:10px">'
        f"{with_unit(tick, defaults['unit'])}</text>"
        for tick in ticks
    ]
    at, row = 10.0, 0
    for number, (name, points) in enumerate(series):
        colour = colour_of(panel, name) or _PALETTE[number % len(_PALETTE)]
        line = " ".join(f"{across(when):.1f},{down(value):.1f}" for when, value in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        needed = 26 + 6.4 * len(name)
        if at + needed > width:
            at, row = 10.0, row + 1
        x = at
        if row <= 1:
            parts.append(
                f'<rect x="{x:.0f}" y="{height - 34 + 15 * row}" width="10" height="4" fill="{colour}"/>'
                f'<text x="{x + 14:.0f}" y="{height - 28 + 15 * row}" style="{_STYLE};font-size:11px">'
                f"{escape(name)}</text>"
            )
        at += needed
    return "".join(parts)


def colour_of(panel: _Panel, name: str) -> str | None:
    """Return the colour that the panel gives to a line of that name, None if it gives none."""
    for override in panel["fieldConfig"].get("overrides", ()):
        matcher, colours = override["matcher"], [one for one in override["properties"] if one["id"] == "color"]
        if not colours:
            continue
        pattern = matcher["options"].strip("/") if matcher["id"] == "byRegexp" else re.escape(matcher["options"]) + "$"
        if re.search(pattern, name):
            return _NAMED[colours[0]["value"]["fixedColor"]]
    return None


def main(picture: Path) -> None:
    """Draw it after load, a store that fails, and one that is slow."""
    panels = json.loads((ROOT / "deploy/grafana/ownership-gateway.json").read_text())["panels"]
    with TemporaryDirectory() as directory, scene(Path(directory)) as watched:
        for seconds, fault in ((40, None), (20, {"status": 500}), (20, None), (15, {"latency_ms": 1500}), (15, None)):
            if fault is None:
                watched.sandbox("DELETE", "faults")
            else:
                watched.sandbox("PUT", "faults", fault)
            time.sleep(seconds)
        page = Path(directory) / "dashboard.html"
        page.write_text(f'<body style="margin:0">{drawn(panels, _Ask(watched))}</body>')
        picture.parent.mkdir(parents=True, exist_ok=True)
        photograph(page.as_uri(), picture.resolve(), size=(24 * COLUMN, LAST_LINE * LINE))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
