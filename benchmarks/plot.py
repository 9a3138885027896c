"""Plain SVG: bars and lines, legible on light and dark pages."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final, TypeAlias

Line: TypeAlias = tuple[str, Sequence[tuple[float, float]]]

_WIDTH: Final = 760
_ROW: Final = 30
_LABELS: Final = 270
_HEIGHT: Final = 400
_MARGIN: Final = 70
_COLOURS: Final = ("#3b7dd8", "#d8763b", "#3ba55c", "#9b59b6", "#c0392b")


def bars(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """Draw one bar for each row."""
    largest = max(value for _, value in rows)
    scale = (_WIDTH - _LABELS - 90) / largest
    marks = []
    for number, (label, value) in enumerate(rows):
        y, width = 50 + number * _ROW, value * scale
        marks.append(_text(_LABELS - 10, y + 15, label, anchor="end"))
        marks.append(f'<rect x="{_LABELS}" y="{y}" width="{width:.0f}" height="20" rx="2" fill="{_colour(label)}"/>')
        marks.append(_text(_LABELS + width + 8, y + 15, f"{value:,.0f}"))
    return _svg(title, 60 + len(rows) * _ROW, marks)


def lines(title: str, across: str, up: str, drawn: Sequence[Line], *, logarithmic: bool = False) -> str:
    """Draw lines over a logarithmic axis; from zero up, or over powers of ten, where nothing may be zero."""
    points = [point for _, series in drawn for point in series]
    left, right = math.log10(min(x for x, _ in points)), math.log10(max(x for x, _ in points))
    heights = [y for _, y in points]
    if logarithmic:
        lowest, highest = math.floor(math.log10(min(heights))), math.ceil(math.log10(max(heights)))
        levels = [10.0**power for power in range(lowest, highest + 1)]
    else:
        top = max(heights) * 1.05 or 1.0
        levels = [top * share for share in (0.0, 0.25, 0.5, 0.75, 1.0)]

    def climbed(y: float) -> float:
        if logarithmic:
            return math.log10(y / levels[0]) / (math.log10(levels[-1] / levels[0]) or 1.0)
        return y / levels[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - left) / ((right - left) or 1.0)
        return (
            _MARGIN + share * (_WIDTH - 2 * _MARGIN),
            _HEIGHT - _MARGIN - climbed(y) * (_HEIGHT - 2 * _MARGIN),
        )

    marks = [_text(_WIDTH / 2, _HEIGHT - 12, across, anchor="middle"), _text(_MARGIN, 46, up)]
    for tick in sorted({x for x, _ in points}):
        x, y = place(tick, levels[0])
        marks.append(_text(x, y + 20, f"{tick:,.0f}", anchor="middle"))
    for level in levels:
        x, y = place(10**left, level)
        marks.append(_text(x - 8, y + 4, f"{level:,.4g}", anchor="end"))
        marks.append(f'<path d="M{x:.0f} {y:.0f}H{_WIDTH - _MARGIN}" stroke="#8888" fill="none"/>')
    for number, (label, series) in enumerate(drawn):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in series))
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        marks.append(_text(_WIDTH - _MARGIN, 46 + 18 * number, label, anchor="end", colour=colour))
    return _svg(title, _HEIGHT, marks)


def _colour(label: str) -> str:
    return _COLOURS[0] if label.startswith("gateway") else "#8a8f98"


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#7a808a") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(title: str, height: int, marks: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13" role="img"><title>{escape(title)}</title>{_text(20, 24, title)}{"".join(marks)}</svg>\n'
    )
