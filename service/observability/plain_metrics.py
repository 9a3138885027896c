"""Counts that cost next to nothing to add to; Prometheus gets them when it scrapes.

The library's own counters take a lock and three calls each; a question adds to six of them. These belong to the event
loop's thread, which alone adds; any thread may read.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class CounterValue:
    """A count of events: code that sees one adds one to `count`."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class PlainCounter(Collector):
    """A counter with a series for each set of labels that was asked for."""

    def __init__(self, name: str, text: str, labels: Sequence[str], *, registry: CollectorRegistry) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._values: dict[tuple[str, ...], CounterValue] = {}
        registry.register(self)

    def labels(self, *values: str) -> CounterValue:
        """Return the series with these labels; from now on it is shown, even while it is zero."""
        return self._values.setdefault(values, CounterValue())

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the current counts."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, value in list(self._values.items()):
            family.add_metric(values, value.count)
        yield family


class HistogramValue:
    """A distribution of durations over buckets; `bounds` are their upper ends, ascending."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds: Final = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Add one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class PlainHistogram(Collector):
    """A histogram with a distribution for each set of labels that was asked for."""

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._text = text
        self._bounds = bounds
        self._labels = labels
        self._values: dict[tuple[str, ...], HistogramValue] = {}
        registry.register(self)

    def labels(self, *values: str) -> HistogramValue:
        """Return the distribution with these labels; from now on it is shown, be it empty."""
        return self._values.setdefault(values, HistogramValue(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the current distributions."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, value in list(self._values.items()):
            buckets = list(zip(ends, accumulate(value.counts), strict=True))
            family.add_metric(values, buckets, value.total)
        yield family
