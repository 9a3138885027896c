"""Plain counts come out as the library's own counters would."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

from service.observability.plain_metrics import PlainCounter, PlainHistogram

BOUNDS = (0.0001, 0.5, 2.0)


@pytest.fixture
def registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    """Two, of which one is for the library's own."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
    return CollectorRegistry(), CollectorRegistry()


def test_counter_reads_as_the_librarys_own(registries: tuple[CollectorRegistry, CollectorRegistry]) -> None:
    """Name, help, type, labels and values, zeros too."""
    ours, theirs = registries
    plain_metrics = PlainCounter("answers_total", "Answers given.", ("game", "reason"), registry=ours)
    counter = Counter("answers_total", "Answers given.", ("game", "reason"), registry=theirs)
    for labels, count in {("x-moon", "purchase"): 3, ('"', "a\nb"): 1, ("none", "none"): 0}.items():
        plain_metrics.labels(*labels).count += count
        counter.labels(*labels).inc(count)

    assert generate_latest(ours) == generate_latest(theirs)


def test_histogram_reads_as_the_librarys_own(registries: tuple[CollectorRegistry, CollectorRegistry]) -> None:
    """Cumulative buckets, what is exactly on a bound, count and sum."""
    ours, theirs = registries
    plain_metrics = PlainHistogram("took_seconds", "How long.", BOUNDS, ("method",), registry=ours)
    histogram = Histogram("took_seconds", "How long.", ("method",), buckets=BOUNDS, registry=theirs)
    observers: list[Callable[[float], None]] = [plain_metrics.labels("jwt").observe, histogram.labels("jwt").observe]
    for observe in observers:
        for seconds in (0.0, 0.0001, 0.00011, 0.5, 1.75, 2.0, 3.0):
            observe(seconds)
    plain_metrics.labels("user")
    histogram.labels("user")

    assert generate_latest(ours) == generate_latest(theirs)


def test_the_same_labels_share_a_series(registries: tuple[CollectorRegistry, CollectorRegistry]) -> None:
    """A series that is asked for again goes on counting."""
    counter = PlainCounter("answers_total", "Answers given.", ("game",), registry=registries[0])
    counter.labels("x-moon").count += 1
    counter.labels("x-moon").count += 1

    assert b'answers_total{game="x-moon"} 2.0' in generate_latest(registries[0])
