"""Counts that cost next to nothing to add to, and little to show.

The library's own counters take a lock and three calls each; a question adds to six of them. And it writes the labels of
every series anew at each scrape, for about 10 µs each; here they are written once. These counts belong to the event
loop's thread, which alone adds; any thread may read.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client.utils import floatToGoString


class Shown(Protocol):
    """A metric that can be shown."""

    def text(self) -> str:
        """Return its lines in Prometheus' text format, version 0.0.4."""


class CounterValue:
    """A count of events: code that sees one adds one to `count`."""

    __slots__ = ("count", "series")

    def __init__(self, series: str) -> None:
        self.series: Final = series
        self.count = 0


class PlainCounter:
    """A counter with a series for each set of labels that was asked for."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name = name
        self._head = _head(name, text, "counter")
        self._labels = labels
        self._values: dict[tuple[str, ...], CounterValue] = {}

    def labels(self, *values: str) -> CounterValue:
        """Return the series with these labels; from now on it is shown, even while it is zero."""
        value = self._values.get(values)
        if value is None:
            value = self._values[values] = CounterValue(
                _series(self._name, dict(zip(self._labels, values, strict=True)))
            )
        return value

    def text(self) -> str:
        """Return the current counts."""
        return self._head + "".join([f"{value.series} {value.count}.0\n" for value in list(self._values.values())])


class ClosedCounter:
    """A counter whose series all exist from the start; words it does not know count as `other`, and are not lost."""

    def __init__(self, counter: PlainCounter, possible: Iterable[tuple[str, ...]], *, other: tuple[str, ...]) -> None:
        self._values = {labels: counter.labels(*labels) for labels in possible}
        self._other = counter.labels(*other)

    def inc(self, *labels: str) -> None:
        """Count one event."""
        self._values.get(labels, self._other).count += 1


class PlainGauge:
    """A gauge with a series for each set of labels that has a value."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name = name
        self._head = _head(name, text, "gauge")
        self._labels = labels
        self._values: dict[tuple[str, ...], tuple[str, float]] = {}

    def set(self, number: float, *labels: str) -> None:
        """Show this value under these labels from now on."""
        known = self._values.get(labels)
        series = known[0] if known else _series(self._name, dict(zip(self._labels, labels, strict=True)))
        self._values[labels] = (series, number)

    def remove(self, *labels: str) -> None:
        """Show no value under these labels any more."""
        self._values.pop(labels, None)

    def text(self) -> str:
        """Return the current values."""
        return self._head + "".join([f"{series} {_number(value)}\n" for series, value in list(self._values.values())])


class HistogramValue:
    """A distribution of durations over buckets; `bounds` are their upper ends, ascending."""

    __slots__ = ("bounds", "counts", "series", "total")

    def __init__(self, bounds: Sequence[float], series: Sequence[str]) -> None:
        self.bounds: Final = bounds
        self.series: Final = series
        """One for each bucket, then those of count and sum."""
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Add one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class PlainHistogram:
    """A histogram with a distribution for each set of labels that was asked for."""

    def __init__(self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str]) -> None:
        self._name = name
        self._head = _head(name, text, "histogram")
        self._bounds = bounds
        self._ends = [*map(_number, bounds), "+Inf"]
        self._labels = labels
        self._values: dict[tuple[str, ...], HistogramValue] = {}

    def labels(self, *values: str) -> HistogramValue:
        """Return the distribution with these labels; from now on it is shown, be it empty."""
        return self._values.setdefault(values, HistogramValue(self._bounds, self._series_of(values)))

    def text(self) -> str:
        """Return the current distributions."""
        return self._head + "".join([_distribution(value) for value in list(self._values.values())])

    def _series_of(self, values: Sequence[str]) -> list[str]:
        labels = dict(zip(self._labels, values, strict=True))
        buckets = [_series(f"{self._name}_bucket", {**labels, "le": end}) for end in self._ends]
        return [*buckets, _series(f"{self._name}_count", labels), _series(f"{self._name}_sum", labels)]


def _distribution(value: HistogramValue) -> str:
    *counts, all_of_them = accumulate(value.counts)
    shown = [f"{count}.0" for count in (*counts, all_of_them, all_of_them)]
    shown.append(_number(value.total))
    return "".join([f"{series} {number}\n" for series, number in zip(value.series, shown, strict=True)])


def _head(name: str, text: str, kind: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _series(name: str, labels: dict[str, str]) -> str:
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{shown}}}"


def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # the library has no types for it
    return text


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
