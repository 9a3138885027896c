"""The metrics that Prometheus scrapes."""

from collections.abc import Iterable
from itertools import product
from math import isnan

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.observability.labels import possible
from service.observability.metrics import (
    JoinScope,
    Metrics,
    RefusalCause,
    SourceEndpoint,
    SourceResult,
)
from service.ownership import CacheTier, GameId, Method, Reason

PROMISED = {
    "decisions_total": {"game", "method", "outcome", "reason", "cache"},
    "decision_seconds_count": {"method", "cache"},
    "source_requests_total": {"endpoint", "result"},
    "source_request_seconds_count": {"endpoint"},
    "source_budget_tokens": set(),
    "source_waiting": set(),
    "source_paused_seconds": set(),
    "source_credential_ok": set(),
    "cache_operations_total": {"tier", "operation", "result"},
    "stale_served_total": {"game"},
    "singleflight_joined_total": {"scope"},
    "refused_total": {"cause"},
    "redis_up": set(),
    "cluster_clock_offset_seconds": set(),
    "source_clock_offset_seconds": set(),
    "invalidations": {"kind"},
    "invalidations_overflowed_total": {"kind"},
    "secrets_differ": set(),
    "requests_in_flight": set(),
    "event_loop_lag_seconds": set(),
    "build_info": {"version", "sandbox"},
}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a gateway for one game."""
    return Metrics(games=["x-moon"], version="1.2.3", sandbox=True)


def families(metrics: Metrics) -> Iterable[Metric]:
    """Read the exposition as Prometheus would."""
    return text_string_to_metric_families(metrics.render()[0].decode())


def read(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every series and its value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(metrics)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, /, **labels: str) -> float:
    """Return the value of one series, which must be there."""
    return read(metrics)[f"ownership_gateway_{name}", frozenset(labels.items())]


@pytest.mark.parametrize("name", PROMISED)
def test_promised_metrics_are_there_from_the_start(metrics: Metrics, name: str) -> None:
    """Dashboards and alerts find every metric with its labels before anything has happened."""
    labels = [{label for label, _ in labels} for found, labels in read(metrics) if found == f"ownership_gateway_{name}"]

    assert labels
    assert all(found == PROMISED[name] for found in labels)


def test_nothing_else_is_exposed_under_our_name(metrics: Metrics) -> None:
    """The list of metrics is a promise; a new one belongs into the list."""
    known = {f"ownership_gateway_{name.removesuffix('_total').removesuffix('_count')}" for name in PROMISED}

    ours = {family.name for family in families(metrics) if family.name.startswith("ownership_gateway_")}

    assert ours == known


def test_the_process_is_measured_too(metrics: Metrics) -> None:
    """Memory, garbage collection and the Python version come with the metrics."""
    names = {name for name, _ in read(metrics)}

    assert {"process_resident_memory_bytes", "python_gc_collections_total", "python_info"} <= names


def test_the_format_is_prometheus_text(metrics: Metrics) -> None:
    """The content type is the one that every Prometheus understands."""
    _, content_type = metrics.render()

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_one_game_costs_at_most_520_series(metrics: Metrics) -> None:
    """A gateway is cheap to scrape."""
    assert len(read(metrics)) <= 520


def test_no_created_series(metrics: Metrics) -> None:
    """Series with creation times are of no use to an operator."""
    assert not [name for name, _ in read(metrics) if name.endswith("_created")]


def test_two_gateways_do_not_share_metrics(metrics: Metrics) -> None:
    """Each gateway has a registry of its own."""
    other = Metrics(games=[], version="1", sandbox=False)

    other.refused(RefusalCause.RATE)

    assert value(metrics, "refused_total", cause="rate") == 0


def test_a_decision_is_counted(metrics: Metrics) -> None:
    """The outcome follows from the reason."""
    metrics.decision("x-moon", Method.JWT, Reason.PURCHASE, CacheTier.REDIS, seconds=0.003)

    labels = {"game": "x-moon", "method": "jwt", "outcome": "owned", "reason": "purchase", "cache": "redis"}
    assert value(metrics, "decisions_total", **labels) == 1


def test_a_decision_is_timed(metrics: Metrics) -> None:
    """Decisions are timed by method and by the source of the evidence."""
    metrics.decision("x-moon", Method.JWT, Reason.PURCHASE, CacheTier.REDIS, seconds=0.003)

    assert value(metrics, "decision_seconds_bucket", method="jwt", cache="redis", le="0.002") == 0
    assert value(metrics, "decision_seconds_bucket", method="jwt", cache="redis", le="0.01") == 1


def test_stale_evidence_is_counted(metrics: Metrics) -> None:
    """The number of answers during the grace period is visible for each game."""
    metrics.decision("x-moon", Method.USER, Reason.PURCHASE, CacheTier.MEMORY, seconds=0, stale=True)
    metrics.decision("x-moon", Method.USER, Reason.PURCHASE, CacheTier.MEMORY, seconds=0)

    assert value(metrics, "stale_served_total", game="x-moon") == 1


def test_an_unknown_game_counts_as_other(metrics: Metrics) -> None:
    """A game's name that a caller makes up never becomes a label."""
    metrics.decision("evil", Method.USER, Reason.PURCHASE, CacheTier.NONE, seconds=0, stale=True)

    labels = {"game": "other", "method": "user", "outcome": "owned", "reason": "purchase", "cache": "none"}
    assert value(metrics, "decisions_total", **labels) == 1
    assert value(metrics, "stale_served_total", game="other") == 1


def test_hostile_input_adds_no_series(metrics: Metrics) -> None:
    """The number of series stays the same with any input from callers, the store and the caches."""
    before = read(metrics).keys()

    for number, (method, reason, cache) in enumerate(product(Method, Reason, CacheTier)):
        if possible(method, reason, cache):
            metrics.decision(f"evil-{number}", method, reason, cache, seconds=number, stale=True)
        metrics.source_request(f"evil-{number}", f"evil-{number}", seconds=number)
        metrics.cache_operation(f"evil-{number}", "get", "hit")

    assert read(metrics).keys() == before


def test_every_possible_decision_has_its_series(metrics: Metrics) -> None:
    """Exactly the combinations that can occur exist from the start."""
    counted = {
        tuple(dict(labels)[name] for name in ("method", "reason", "cache"))
        for name, labels in read(metrics)
        if name == "ownership_gateway_decisions_total" and ("game", "x-moon") in labels
    }

    expected = [(str(m), str(r), str(c)) for m, r, c in product(Method, Reason, CacheTier) if possible(m, r, c)]
    assert counted == set(expected)


@pytest.mark.parametrize(
    ("method", "reason", "cache"),
    [
        (Method.DOWNLOAD_KEY, Reason.MALFORMED_JWT, CacheTier.NONE),
        (Method.JWT, Reason.MALFORMED_JWT, CacheTier.MEMORY),
        (Method.DOWNLOAD_KEY, Reason.PURCHASE, CacheTier.NONE),
        (Method.EMAIL, Reason.SELLER_ACCOUNT, CacheTier.NONE),
        (Method.USER, Reason.OPERATOR_GRANT, CacheTier.REDIS),
        (Method.USER, Reason.SOURCE_UNAVAILABLE, CacheTier.MEMORY),
    ],
)
def test_impossible_decisions_have_no_series(method: Method, reason: Reason, cache: CacheTier) -> None:
    """Series that would stay zero for ever are not exposed."""
    assert not possible(method, reason, cache)


def test_a_decision_thought_impossible_is_counted_all_the_same(metrics: Metrics) -> None:
    """A combination that should not occur is counted if it does."""
    for _ in range(2):
        metrics.decision("x-moon", Method.EMAIL, Reason.PRESS, CacheTier.NONE, seconds=0)

    labels = {"game": "x-moon", "method": "email", "outcome": "granted", "reason": "press", "cache": "none"}
    assert value(metrics, "decisions_total", **labels) == 2


def test_a_learned_game_gets_a_label(metrics: Metrics) -> None:
    """A game that the key was found to see is named by its id from then on."""
    metrics.learn_game(GameId(3))

    metrics.decision("3", Method.USER, Reason.PURCHASE, CacheTier.NONE, seconds=0, stale=True)

    assert value(metrics, "stale_served_total", game="3") == 1


def test_learning_ends_at_a_hundred_games(metrics: Metrics) -> None:
    """A key that sees thousands of games does not make thousands of labels."""
    for game in [*range(1, 102), 1]:
        metrics.learn_game(GameId(game))

    games = {dict(labels)["game"] for name, labels in read(metrics) if name == "ownership_gateway_stale_served_total"}
    assert len(games - {"x-moon", "other"}) == 100


def test_requests_to_the_store_are_counted_and_timed(metrics: Metrics) -> None:
    """Endpoints and results may be given as plain words or as enums."""
    metrics.source_request(SourceEndpoint.PURCHASES, SourceResult.NO, seconds=0.2)
    metrics.source_request("purchases", "no", seconds=0.2)

    assert value(metrics, "source_requests_total", endpoint="purchases", result="no") == 2
    assert value(metrics, "source_request_seconds_count", endpoint="purchases") == 2


def test_cache_operations_are_counted(metrics: Metrics) -> None:
    """Each tier has counts of its own."""
    metrics.cache_operation("redis", "get", "rejected")

    assert value(metrics, "cache_operations_total", tier="redis", operation="get", result="rejected") == 1


def test_words_outside_a_closed_set_count_as_other(metrics: Metrics) -> None:
    """A word we do not know is not lost, and not shown."""
    metrics.cache_operation("redis", "get", "misspelt")

    assert value(metrics, "cache_operations_total", tier="other", operation="other", result="other") == 1


def test_joined_look_ups_are_counted(metrics: Metrics) -> None:
    """Look-ups are counted by the replica that held them: this one or another."""
    metrics.singleflight_joined(JoinScope.CLUSTER)

    assert value(metrics, "singleflight_joined_total", scope="cluster") == 1


def test_refusals_are_counted(metrics: Metrics) -> None:
    """Refusals are counted by their cause."""
    metrics.refused(RefusalCause.FAILED_KEYS)

    assert value(metrics, "refused_total", cause="failed_keys") == 1


@pytest.mark.parametrize("name", ["source_credential_ok", "redis_up", "source_budget_tokens"])
def test_what_nobody_has_said_is_not_a_number(metrics: Metrics, name: str) -> None:
    """A state that is not known yet is not a number, so an alert on 0 does not fire at start or without Redis."""
    assert isnan(value(metrics, name))


def test_states_are_shown(metrics: Metrics) -> None:
    """A gauge shows the last state."""
    metrics.source_credential(ok=True)
    metrics.redis(up=False)
    metrics.loop_lag(0.25)

    assert value(metrics, "source_credential_ok") == 1
    assert value(metrics, "redis_up") == 0
    assert value(metrics, "event_loop_lag_seconds") == 0.25


def test_some_gauges_are_read_at_the_scrape(metrics: Metrics) -> None:
    """Values that change with every request are read at the scrape, not written with every request."""
    metrics.read_budget(tokens=lambda: 11.5, waiting=lambda: 3, paused_seconds=lambda: 7)
    metrics.read_requests_in_flight(lambda: 3)

    assert value(metrics, "source_budget_tokens") == 11.5
    assert value(metrics, "source_waiting") == 3
    assert value(metrics, "source_paused_seconds") == 7
    assert value(metrics, "requests_in_flight") == 3


def test_the_build_and_the_sandbox_are_named(metrics: Metrics) -> None:
    """The metrics of a sandbox say so."""
    assert value(metrics, "build_info", version="1.2.3", sandbox="true") == 1
