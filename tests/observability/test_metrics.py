"""The metrics that Prometheus scrapes."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise, product
from math import isnan

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.causes import Cause
from service.key_use import KeyUse
from service.observability.key_uses import KeyUses
from service.observability.labels import (
    DECISION_BUCKETS,
    SOURCE_BUCKETS,
    JoinScope,
    RefusalCause,
    SourceEndpoint,
    SourceResult,
)
from service.observability.metrics import Metrics
from service.ownership import CacheTier, GameId, Method, Reason

PROMISED = {
    "answers_total": {"outcome", "reason", "stale"},
    "decision_seconds_count": {"method", "cache"},
    "source_requests_total": {"endpoint", "result"},
    "source_request_seconds_count": {"endpoint"},
    "source_budget_tokens": set(),
    "source_waiting": set(),
    "source_paused_seconds": set(),
    "source_credential_ok": set(),
    "cache_operations_total": {"tier", "operation", "result"},
    "singleflight_joined_total": {"scope"},
    "refused_total": {"cause"},
    "bugs_total": {"where"},
    "redis_up": set(),
    "cluster_clock_offset_seconds": set(),
    "source_clock_offset_seconds": set(),
    "invalidations": {"kind"},
    "invalidations_overflowed_total": {"kind"},
    "overrides": {"word"},
    "secrets_differ": set(),
    "configuration_ok": set(),
    "requests_in_flight": set(),
    "event_loop_lag_seconds": set(),
    "build_info": {"version", "sandbox"},
}
PROMISED_OF_A_GAME = {
    "decisions_total": {"game", "method", "outcome", "reason", "cache"},
    "game_answers_total": {"game", "outcome"},
    "stale_served_total": {"game"},
}
PROMISED_OF_A_CANARY = {
    "canary_ok": {"game", "expect"},
    "canary_checked_at": {"game", "expect"},
}
PROMISED_OF_NOES = {"revocations_held": {"game"}}
PROMISED_OF_TROUBLE = {"trouble": {"component", "cause"}}
PROMISED_OF_PASSES = {"passes_minted_total": {"game"}, "pass_keys_ok": set()}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a gateway for one game."""
    return Metrics(games=["x-moon"], version="1.2.3", sandbox=True, off=())


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


def labels_of(metrics: Metrics, name: str) -> list[set[str]]:
    """Return the names of the labels of each series of one metric."""
    return [{label for label, _ in labels} for found, labels in read(metrics) if found == f"ownership_gateway_{name}"]


@pytest.mark.parametrize("name", PROMISED)
def test_promised_metrics_are_there_from_the_start(metrics: Metrics, name: str) -> None:
    """Dashboards and alerts find every metric that is about no game with its labels before anything has happened."""
    found = labels_of(metrics, name)

    assert found
    assert all(labels == PROMISED[name] for labels in found)


@pytest.mark.parametrize("name", PROMISED_OF_A_GAME)
def test_promised_metrics_of_a_game_are_there_from_its_first_question(metrics: Metrics, name: str) -> None:
    """Dashboards and alerts find every metric of a game with its labels once it was asked about."""
    assert labels_of(metrics, name) == []

    metrics.decision("x-moon", Method.JWT, Reason.PURCHASE, CacheTier.REDIS, seconds=0.003)

    found = labels_of(metrics, name)
    assert found
    assert all(labels == PROMISED_OF_A_GAME[name] for labels in found)


@pytest.mark.parametrize("name", PROMISED_OF_A_CANARY)
def test_promised_metrics_of_a_canary_are_there_from_its_first_answer(metrics: Metrics, name: str) -> None:
    """A canary that was not asked about, or is not asked any more, has no series."""
    before = labels_of(metrics, name)
    metrics.canary("x-moon", "owner", ok=True, checked_at=datetime.now(UTC))
    metrics.canary("x-moon", "stranger", ok=True, checked_at=datetime.now(UTC))
    during = labels_of(metrics, name)
    metrics.forget_canary("x-moon", "owner")
    metrics.forget_canary("x-moon", "owner")

    assert (before, during) == ([], [PROMISED_OF_A_CANARY[name]] * 2)
    assert labels_of(metrics, name) == [PROMISED_OF_A_CANARY[name]]


def test_a_canary_has_its_last_answer_and_its_instant(metrics: Metrics) -> None:
    """In Unix time, to the microsecond."""
    for ok, seconds in ((True, 1_795_183_411.123456), (False, 1_795_183_412.5)):
        metrics.canary("x-moon", "owner", ok=ok, checked_at=datetime.fromtimestamp(seconds, UTC))

        assert value(metrics, "canary_ok", game="x-moon", expect="owner") == ok
        assert value(metrics, "canary_checked_at", game="x-moon", expect="owner") == seconds


def test_noes_that_are_held_back_are_read_at_every_scrape(metrics: Metrics) -> None:
    """The series begins with the first word about the game, and follows what holds."""
    held = [True]
    assert labels_of(metrics, "revocations_held") == []

    metrics.read_revocations("x-moon", lambda: held[0])

    assert labels_of(metrics, "revocations_held") == [PROMISED_OF_NOES["revocations_held"]]
    assert value(metrics, "revocations_held", game="x-moon") == 1
    held[0] = False
    assert value(metrics, "revocations_held", game="x-moon") == 0


def test_games_without_a_label_share_one_series_of_held_noes(metrics: Metrics) -> None:
    """It says whether noes of any of them are held back."""
    held = {"one": True, "two": False}
    metrics.read_revocations("one", lambda: held["one"])
    metrics.read_revocations("two", lambda: held["two"])

    assert value(metrics, "revocations_held", game="other") == 1
    held["one"] = False
    assert value(metrics, "revocations_held", game="other") == 0


def test_trouble_has_series_while_there_is_any(metrics: Metrics) -> None:
    """Another cause takes the place of the one before, and each component has its own."""
    before = labels_of(metrics, "trouble")
    metrics.trouble("source", before=None, now=Cause.DNS)
    metrics.trouble("redis", before=None, now=Cause.AUTH)
    metrics.trouble("redis", before=Cause.AUTH, now=Cause.FULL)
    during = labels_of(metrics, "trouble")
    shown = value(metrics, "trouble", component="redis", cause="full")
    metrics.trouble("redis", before=Cause.FULL, now=None)
    metrics.trouble("source", before=Cause.DNS, now=None)

    assert (before, during) == ([], [PROMISED_OF_TROUBLE["trouble"]] * 2)
    assert (shown, labels_of(metrics, "trouble")) == (1, [])


def test_nothing_else_is_exposed_under_our_name(metrics: Metrics) -> None:
    """The list of metrics is a promise; a new one belongs into the list."""
    known = {
        f"ownership_gateway_{name.removesuffix('_total').removesuffix('_count')}"
        for name in PROMISED
        | PROMISED_OF_A_GAME
        | PROMISED_OF_A_CANARY
        | PROMISED_OF_NOES
        | PROMISED_OF_TROUBLE
        | PROMISED_OF_PASSES
    }

    ours = {family.name for family in families(metrics) if family.name.startswith("ownership_gateway_")}

    assert ours == known


def test_passes_are_counted_from_the_start(metrics: Metrics) -> None:
    """For each configured game: of a series that begins with its first pass, `rate()` would not see that one."""
    metrics.pass_minted("x-moon")
    metrics.pass_minted("a game of which nothing is known")

    fresh = Metrics(games=["x-moon"], version="1.2.3", sandbox=True, off=())
    assert [value(one, "passes_minted_total", game="x-moon") for one in (fresh, metrics)] == [0, 1]
    assert [value(one, "passes_minted_total", game="other") for one in (fresh, metrics)] == [0, 1]


def test_players_of_download_keys_are_counted_where_they_are(metrics: Metrics) -> None:
    """No series before the first, then one for each result of that game; an unknown game is `other`."""
    assert not [name for name, _ in read(metrics) if "key_players" in name]
    uses = KeyUses(metrics)
    assert not [name for name, _ in read(metrics) if "key_players" in name]

    uses.count("x-moon", KeyUse.OVER)
    uses.count("x-moon", KeyUse.OVER)
    uses.count("a game of which nothing is known", KeyUse.NEW)

    counts = {result: value(metrics, "key_players_total", game="x-moon", result=result) for result in KeyUse}
    assert counts == {"known": 0, "new": 0, "over": 2, "unknown": 0}
    assert value(metrics, "key_players_total", game="other", result="new") == 1


def test_rejected_players_of_download_keys_are_counted_from_the_first_on(metrics: Metrics) -> None:
    """The reason has no series before: most gateways never give it."""
    reason = {"reason": "shared_download_key"}
    assert not [labels for _, labels in read(metrics) if reason.items() <= labels]

    metrics.decision("x-moon", Method.DOWNLOAD_KEY, Reason.SHARED_DOWNLOAD_KEY, CacheTier.MEMORY, seconds=0)

    assert value(metrics, "answers_total", **reason, outcome="rejected", stale="false") == 1
    assert metrics.answer_counts() == (1, 0)


def test_the_process_is_measured_too(metrics: Metrics) -> None:
    """Memory, garbage collection and the Python version come with the metrics."""
    names = {name for name, _ in read(metrics)}

    assert {"process_resident_memory_bytes", "python_gc_collections_total", "python_info"} <= names


def test_the_format_is_prometheus_text(metrics: Metrics) -> None:
    """The content type is the one that every Prometheus understands."""
    _, content_type = metrics.render()

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_a_gateway_that_was_asked_nothing_has_at_most_480_series(metrics: Metrics) -> None:
    """A gateway is cheap to scrape."""
    assert len(read(metrics)) <= 480


@pytest.mark.parametrize(
    ("buckets", "largest_step"), [(DECISION_BUCKETS, 2.5), (SOURCE_BUCKETS, 2.5)], ids=["decision", "source"]
)
def test_a_quantile_is_known_to_within_a_factor(buckets: tuple[float, ...], largest_step: float) -> None:
    """Between 0.1 s and the longest, where people wait: no bucket is wider than that, so that no tail looks worse."""
    steps = [high / low for low, high in pairwise(buckets) if low >= 0.1]

    assert max(steps) <= largest_step


def asked_about(games: int, *, configured: int) -> Metrics:
    """Return the metrics of a gateway after 10 000 decisions, which were about the first of its configured games."""
    metrics = Metrics(games=[f"game-{number}" for number in range(configured)], version="1.2.3", sandbox=False)
    kinds = list(product((Method.DOWNLOAD_KEY, Method.JWT), (Reason.DOWNLOAD_KEY, Reason.NO_DOWNLOAD_KEY), CacheTier))
    for number in range(10_000):
        method, reason, cache = kinds[number // games % len(kinds)]
        metrics.decision(f"game-{number % games}", method, reason, cache, seconds=0.001, stale=number % 50 == 0)
    return metrics


def test_a_game_that_was_not_asked_about_costs_a_scrape_nothing() -> None:
    """A thousand configured games have the same series as ten, when the same ten were asked about."""
    assert read(asked_about(10, configured=1_000)).keys() == read(asked_about(10, configured=10)).keys()


def test_a_game_that_was_asked_about_costs_a_series_for_each_kind_of_answer() -> None:
    """Beside the kinds of answers that it was given a game has seven series: six outcomes, and stale answers."""
    one, many = asked_about(1, configured=100), asked_about(20, configured=100)

    kinds = 2 * 2 * 3
    assert len(read(many)) - len(read(one)) == 19 * (kinds + 7)


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


def ask_everything(metrics: Metrics, game: str) -> None:
    """Count every decision that words can be found for."""
    for method, reason, cache in product(Method, Reason, CacheTier):
        metrics.decision(game, method, reason, cache, seconds=0, stale=True)


def test_hostile_input_adds_no_series(metrics: Metrics) -> None:
    """The number of series stays the same with any input from callers, the store and the caches."""
    ask_everything(metrics, "evil")
    metrics.source_request("evil", "evil", seconds=1)
    before = read(metrics).keys()

    for number in range(100):
        ask_everything(metrics, f"evil-{number}")
        metrics.source_request(f"evil-{number}", f"evil-{number}", seconds=number)
        metrics.cache_operation(f"evil-{number}", "get", "hit")

    assert read(metrics).keys() == before


def test_answers_of_all_games_have_their_series_from_the_start(metrics: Metrics) -> None:
    """An alert about all games together sees the first answer of a kind, because its series began before.

    Only the players of download keys, and issuers, are not everywhere.
    """
    before = {series for series in read(metrics) if series[0] == "ownership_gateway_answers_total"}

    for game in ("x-moon", "evil"):
        ask_everything(metrics, game)

    after = {series for series in read(metrics) if series[0] == "ownership_gateway_answers_total"}
    assert before < after
    assert {dict(labels)["reason"] for _, labels in after - before} == {"shared_download_key", "issuer_unavailable"}
    for stale in ("true", "false"):
        assert value(metrics, "answers_total", outcome="owned", reason="purchase", stale=stale) == (
            2 * len(Method) * len(CacheTier) if stale == "true" else 0
        )


def test_a_games_denials_have_their_series_from_its_first_question(metrics: Metrics) -> None:
    """An alert about one game sees its first denials, because their series began with its first answer."""
    metrics.decision("x-moon", Method.JWT, Reason.PURCHASE, CacheTier.NONE, seconds=0)

    for outcome in ("not_owned", "rejected", "banned"):
        assert value(metrics, "game_answers_total", game="x-moon", outcome=outcome) == 0
    assert value(metrics, "game_answers_total", game="x-moon", outcome="owned") == 1
    assert value(metrics, "stale_served_total", game="x-moon") == 0


def test_a_learned_game_gets_a_label(metrics: Metrics) -> None:
    """A game that the key was found to see is named by its id from then on."""
    metrics.learn_game(GameId(3))

    metrics.decision("3", Method.USER, Reason.PURCHASE, CacheTier.NONE, seconds=0, stale=True)

    assert value(metrics, "stale_served_total", game="3") == 1


def test_learning_ends_at_a_hundred_games(metrics: Metrics) -> None:
    """A key that sees thousands of games does not make thousands of labels."""
    for game in [*range(1, 102), 1]:
        metrics.learn_game(GameId(game))
    for game in range(1, 102):
        metrics.decision(str(game), Method.USER, Reason.PURCHASE, CacheTier.NONE, seconds=0)

    games = {dict(labels)["game"] for name, labels in read(metrics) if name == "ownership_gateway_stale_served_total"}
    assert len(games - {"other"}) == 100
    assert "other" in games


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
