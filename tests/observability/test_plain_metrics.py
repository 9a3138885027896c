"""Plain counts are shown as the library's own would be."""

from collections.abc import Callable
from typing import Final

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.observability.plain_metrics import PlainCounter, PlainHistogram

BOUNDS: Final = (0.0001, 0.5, 2.0)


@pytest.fixture
def theirs() -> CollectorRegistry:
    """Registry of the library's own counts."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
    return CollectorRegistry()


def test_counter_reads_as_the_librarys_own(theirs: CollectorRegistry) -> None:
    """Name, help, type, labels and values, zeros too."""
    plain = PlainCounter("answers_total", "Answers given.", ("reason", "game"))
    counter = Counter("answers_total", "Answers given.", ("reason", "game"), registry=theirs)
    for labels, count in {("purchase", "x-moon"): 3, ('"\\', "a\nb"): 1, ("none", "none"): 0}.items():
        plain.labels(*labels).count += count
        counter.labels(*labels).inc(count)

    assert plain.text() == generate_latest(theirs).decode()


def test_counter_without_series_has_its_head(theirs: CollectorRegistry) -> None:
    """A metric is named before anything was counted."""
    Counter("answers_total", "Answers given.", ("game",), registry=theirs)

    assert PlainCounter("answers_total", "Answers given.", ("game",)).text() == generate_latest(theirs).decode()


def test_large_counts_lose_nothing() -> None:
    """Every digit of a count is shown."""
    plain = PlainCounter("answers_total", "Answers given.", ("game",))
    plain.labels("x-moon").count = 12_345_678_901

    (family,) = text_string_to_metric_families(plain.text())
    assert [sample.value for sample in family.samples] == [12_345_678_901]


def test_histogram_reads_as_the_librarys_own(theirs: CollectorRegistry) -> None:
    """Cumulative buckets, what is exactly on a bound, count and sum."""
    plain = PlainHistogram("took_seconds", "How long.", BOUNDS, ("method",))
    histogram = Histogram("took_seconds", "How long.", ("method",), buckets=BOUNDS, registry=theirs)
    observers: list[Callable[[float], None]] = [plain.labels("jwt").observe, histogram.labels("jwt").observe]
    for observe in observers:
        for seconds in (0.0, 0.0001, 0.00011, 0.5, 1.75, 2.0, 3.0):
            observe(seconds)
    plain.labels("user")
    histogram.labels("user")

    assert plain.text() == generate_latest(theirs).decode()


def test_the_same_labels_share_a_series() -> None:
    """A series that is asked for again goes on counting."""
    counter = PlainCounter("answers_total", "Answers given.", ("game",))
    counter.labels("x-moon").count += 1
    counter.labels("x-moon").count += 1
    histogram = PlainHistogram("took_seconds", "How long.", BOUNDS, ("method",))
    histogram.labels("jwt").observe(1.0)
    histogram.labels("jwt").observe(1.0)

    assert 'answers_total{game="x-moon"} 2.0' in counter.text()
    assert 'took_seconds_count{method="jwt"} 2.0' in histogram.text()
