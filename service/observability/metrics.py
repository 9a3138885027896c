"""The gateway's counters and measurements, for Prometheus to read.

Labels come from closed sets only: no request can make one up. About 330 series are there from the start. What has a
`game` among its labels gets its series when that game is first asked about: a scrape costs what was asked.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import product
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from service.causes import Cause
from service.observability.labels import (
    DECISION_BUCKETS,
    FORWARD_AUTH_CAUSES,
    OF_A_RELAY,
    OFF_AT_FIRST,
    OTHER,
    SOURCE_BUCKETS,
    USUAL_CAUSES,
    USUAL_ENDPOINTS,
    BugPlace,
    InvalidationKind,
    JoinScope,
    Methods,
    RefusalCause,
    SourceEndpoint,
    possible_cache_operations,
    usual_reasons,
)
from service.observability.plain_metrics import (
    ClosedCounter,
    CounterValue,
    PlainCounter,
    PlainGauge,
    PlainHistogram,
    Shown,
)
from service.observability.source_metrics import SourceMetrics
from service.ownership import CacheTier, GameId, Method, Outcome, OverrideWord, Reason

MOST_LEARNED_GAMES: Final = 100
"""A key may see any number of games, and what Prometheus keeps grows with their labels."""

_Value = TypeVar("_Value", bound=str)
_Metric = TypeVar("_Metric", bound=Shown)

NAMESPACE: Final = "ownership_gateway"
_NAN: Final = float("nan")


class Metrics:
    """All metrics of one gateway, on a registry of their own; `games` are the labels of the configured games.

    Nothing is there about methods that are `off`. A `relay` asks one endpoint, and its hub makes the passes.
    """

    def __init__(
        self, *, games: Iterable[str], version: str, sandbox: bool, off: Methods = OFF_AT_FIRST, relay: bool = False
    ) -> None:
        # For the whole process, which is one gateway: a `_created` for every series would double their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

        self._shown: list[Shown] = []
        self._games = {*games, OTHER}
        self._learned_games: set[str] = set()
        self._decisions_total = self._counter(
            "decisions_total", "Answers given.", "game", "method", "outcome", "reason", "cache"
        )
        self._decisions: dict[tuple[str, Method, Reason, CacheTier], tuple[CounterValue, CounterValue]] = {}
        # `rate()` does not see the event with which a series begins, so alerts rest on series that begin earlier: with
        # the first question about a game, or with the process.
        self._game_answers_total = self._counter("game_answers_total", "Answers given, by game.", "game", "outcome")
        self._stale_served_total = self._counter("stale_served_total", "Answers from stale evidence.", "game")
        self._answers_total = self._counter(
            "answers_total", "Answers given, about all games.", "outcome", "reason", "stale"
        )
        self._answers: dict[tuple[Reason, bool], CounterValue] = {}
        self._bind_answers(usual_reasons(without=off))
        decision_seconds = self._histogram(
            "decision_seconds", "Time to answer a question.", DECISION_BUCKETS, "method", "cache"
        )
        self._decision_seconds = {
            (method, cache): decision_seconds.labels(str(method), str(cache))
            for method, cache in product(Method, CacheTier)
            if method not in off
        }

        self._source = SourceMetrics(
            requests=self._counter("source_requests_total", "Requests to the store.", "endpoint", "result"),
            seconds=self._histogram("source_request_seconds", "Time the store took.", SOURCE_BUCKETS, "endpoint"),
            endpoints=OF_A_RELAY if relay else USUAL_ENDPOINTS,
        )
        self._cache_operations = ClosedCounter(
            self._counter("cache_operations_total", "What the caches did.", "tier", "operation", "result"),
            possible_cache_operations(),
            other=(OTHER, OTHER, OTHER),
        )
        joined = self._counter("singleflight_joined_total", "Questions that joined a look-up.", "scope")
        self._joined = {scope: joined.labels(scope) for scope in JoinScope}
        self._refused_total = self._counter("refused_total", "Callers turned away.", "cause")
        self._refused = {cause: self._refused_total.labels(cause) for cause in USUAL_CAUSES}
        bugs = self._counter("bugs_total", "Mistakes of the gateway's own.", "where")
        self._bugs = {where: bugs.labels(where) for where in BugPlace}

        self._canary_ok = self._plain_gauge("canary_ok", "1 if the answer is the expected one.", "game", "expect")
        self._canary_checked_at = self._plain_gauge("canary_checked_at", "Unix time of the answer.", "game", "expect")

        troubled = "1 while this component does not work, for that cause."
        self._trouble = self._plain_gauge("trouble", troubled, "component", "cause")
        self._add_budget()
        self._source_credential_ok = self._gauge(
            "source_credential_ok", "1 if the store accepts our key, 0 if not, NaN if it has not said.", _NAN
        )
        self._redis_up = self._gauge("redis_up", "1 if Redis answers, 0 if not, NaN without Redis.", _NAN)
        self._cluster_clock_offset = self._gauge(
            "cluster_clock_offset_seconds", "How far Redis' clock is ahead of ours, NaN if it has not said.", _NAN
        )
        self._store_clock_offset = self._gauge(
            "source_clock_offset_seconds", "How far the store's clock is ahead of ours, NaN if it has not said.", _NAN
        )
        self._invalidations = self._gauges(
            "invalidations", "Invalidations of the game that has most of them.", "kind", InvalidationKind
        )
        overflowed = self._counter("invalidations_overflowed_total", "Games that had too many invalidations.", "kind")
        self._invalidations_overflowed = {kind: overflowed.labels(kind) for kind in InvalidationKind}

        self._overrides = self._plain_gauge("overrides", "Overrides that hold.", "word")
        self._count_overrides: Callable[[], Mapping[OverrideWord, int]] = lambda: dict.fromkeys(OverrideWord, 0)

        self._held_of_label: dict[str, dict[str, Callable[[], bool]]] = {}
        self._revocations_held = Gauge(
            "revocations_held",
            "1 while noes about proven owners are held back, 0 if they count again.",
            ["game"],
            namespace=NAMESPACE,
            registry=self._registry,
        )
        self._secrets_differ = self._gauge(
            "secrets_differ", "1 if another replica at this Redis has other secrets, 0 if none, NaN if unknown.", _NAN
        )
        self._configuration_ok = self._gauge(
            "configuration_ok", "1 if the file as it is now is in use, 0 if it was refused and an older one is.", 1
        )
        self._requests_in_flight = self._gauge(
            "requests_in_flight", "Requests being answered, health and metrics included.", 0
        )
        self._loop_lag = self._gauge(
            "event_loop_lag_seconds", "How late the event loop was at its worst in the last minute.", 0
        )
        named = ["version", "sandbox"]
        build_info = Gauge("build_info", "Always 1.", named, namespace=NAMESPACE, registry=self._registry)
        build_info.labels(version, str(sandbox).lower()).set(1)
        if Method.PASS not in off and not relay:
            self._add_passes()

    def _add_budget(self) -> None:
        self._budget_tokens = self._gauge("source_budget_tokens", "Requests the store budget allows now.", _NAN)
        self._waiting = self._gauge("source_waiting", "Requests that wait for their turn to ask the store.", 0)
        self._paused_seconds = self._gauge("source_paused_seconds", "How long the store is left alone yet.", 0)

    def _add_passes(self) -> None:
        self._passes_minted_total = self._counter("passes_minted_total", "Passes made.", "game")
        for game in self._games:
            self._passes_minted_total.labels(game)
        self._pass_keys_ok = self._gauge(
            "pass_keys_ok", "1 if the file of the keys for passes is in use, 0 if it cannot be used as it is.", 1
        )

    def decision(
        self,
        game: str,
        method: Method,
        reason: Reason,
        cache: CacheTier,
        *,
        seconds: float,
        stale: bool = False,
    ) -> None:
        """Count an answer; `game` is its label, and counts as `other` unless it is configured or learned."""
        bound = self._decisions.get((game, method, reason, cache))
        of_decision, of_game = bound or self._bind_decision(game, method, reason, cache)
        of_decision.count += 1
        of_game.count += 1
        self._answers[reason, stale].count += 1
        self._decision_seconds[method, cache].observe(seconds)
        if stale:
            self._stale_served_total.labels(self.label_of(game)).count += 1

    def answer_counts(self) -> tuple[int, int]:
        """Return the number of answers, and of those that were `unknown`."""
        counts = [(reason, value.count) for (reason, _), value in self._answers.items()]
        unknown = sum(count for reason, count in counts if reason.outcome is Outcome.UNKNOWN)
        return sum(count for _, count in counts), unknown

    def configure_games(self, labels: Iterable[str]) -> None:
        """Give these games a label of their own from now on; what is shown of others as held back ends.

        What has been counted for a game that is gone stays.
        """
        before, self._games = self._games, {*labels, OTHER, *self._learned_games}
        for label in before - self._games:
            self._revocations_held.remove(label)

    def learn_game(self, game_id: GameId) -> None:
        """Give a game that the key was found to see a label of its own: its id. After 100 such games it is `other`."""
        label = str(game_id)
        if label in self._games or len(self._learned_games) >= MOST_LEARNED_GAMES:
            return
        self._games.add(label)
        self._learned_games.add(label)

    def source_request(self, endpoint: str, result: str, *, seconds: float) -> None:
        """Count one request to the store, in the words of `SourceEndpoint` and `SourceResult`."""
        self._source.request(endpoint, result, seconds=seconds)

    def show_endpoint(self, endpoint: SourceEndpoint) -> None:
        """Show from now on what comes of requests to an endpoint that not every gateway asks."""
        self._source.show(endpoint)

    def cache_operation(self, tier: str, operation: str, result: str) -> None:
        """Count an operation of a cache tier."""
        self._cache_operations.inc(tier, operation, result)

    def singleflight_joined(self, scope: JoinScope) -> None:
        """Count a question that found the look-up it needed under way."""
        self._joined[scope].count += 1

    def refused(self, cause: RefusalCause) -> None:
        """Count a caller turned away."""
        self._refused[cause].count += 1

    def show_forward_auth(self) -> None:
        """Show from now on what proxies are turned away for."""
        self._refused |= {cause: self._refused_total.labels(cause) for cause in FORWARD_AUTH_CAUSES}

    def shared_refusals(self, results: Iterable[_Value]) -> dict[_Value, CounterValue]:
        """Show from now on what comes of refusals that are handed to Redis, and return the counts of the results."""
        counter = self._counter("refusals_shared_total", "Refusals handed to Redis, for all replicas.", "result")
        return {result: counter.labels(str(result)) for result in results}

    def bug(self, where: BugPlace) -> None:
        """Count a mistake of our own; its line is in the log."""
        self._bugs[where].count += 1

    def source_credential(self, *, ok: bool) -> None:
        """Take note whether the store accepts our key."""
        self._source_credential_ok.set(ok)

    def trouble(self, component: str, *, before: Cause | None, now: Cause | None) -> None:
        """Show the cause for which a component does not work in place of the one before; None is that it works."""
        if before is not None:
            self._trouble.remove(component, before)
        if now is not None:
            self._trouble.set(1, component, now)

    def redis(self, *, up: bool) -> None:
        """Take note whether Redis answers."""
        self._redis_up.set(up)

    def cluster_clock(self, offset_seconds: float) -> None:
        """Take note how far the clock of Redis is ahead of ours."""
        self._cluster_clock_offset.set(offset_seconds)

    def store_clock(self, offset_seconds: float) -> None:
        """Take note how far the clock of the store is ahead of ours."""
        self._store_clock_offset.set(offset_seconds)

    def invalidations_overflowed(self, kind: InvalidationKind) -> None:
        """Count a game that had too many invalidations of a kind."""
        self._invalidations_overflowed[kind].count += 1

    def read_overrides(self, counts: Callable[[], Mapping[OverrideWord, int]]) -> None:
        """Have the overrides that hold counted at every scrape, those of all words at once."""
        self._count_overrides = counts

    def read_invalidations(self, kind: InvalidationKind, count: Callable[[], float]) -> None:
        """Have the invalidations of the game that has most of a kind counted at every scrape."""
        self._invalidations[kind].set_function(count)

    def read_revocations(self, game: str, held: Callable[[], bool]) -> None:
        """Have it read at every scrape from now on whether noes about the game are held back.

        A game that has no label of its own counts as `other`, like its answers.
        """
        label = self.label_of(game)
        games = self._held_of_label.setdefault(label, {})
        games[game] = held
        self._revocations_held.labels(label).set_function(lambda: any(held() for held in games.values()))

    def canary(self, game: str, expect: str, *, ok: bool, checked_at: datetime) -> None:
        """Take note of what the store said about a canary, and of the look-up's beginning."""
        self._canary_ok.set(ok, game, expect)
        self._canary_checked_at.set(checked_at.timestamp(), game, expect)

    def forget_canary(self, game: str, expect: str) -> None:
        """Show nothing about a canary that is not asked."""
        self._canary_ok.remove(game, expect)
        self._canary_checked_at.remove(game, expect)

    def secrets(self, *, differ: bool) -> None:
        """Take note whether another replica has other secrets."""
        self._secrets_differ.set(differ)

    def configuration(self, *, ok: bool) -> None:
        """Take note whether the configuration file as it is now could be used."""
        self._configuration_ok.set(ok)

    def pass_minted(self, game: str) -> None:
        """Count a pass; `game` is its label."""
        self._passes_minted_total.labels(self.label_of(game)).count += 1

    def pass_keys(self, *, ok: bool) -> None:
        """Take note whether the file of the keys for passes could be used."""
        self._pass_keys_ok.set(ok)

    def loop_lag(self, seconds: float) -> None:
        """Take note how late the event loop was."""
        self._loop_lag.set(seconds)

    def read_budget(
        self, *, tokens: Callable[[], float], waiting: Callable[[], float], paused_seconds: Callable[[], float]
    ) -> None:
        """Have the state of the store budget, and of the queue for it, read at every scrape."""
        gauges = (self._budget_tokens, tokens), (self._waiting, waiting), (self._paused_seconds, paused_seconds)
        for gauge, read in gauges:
            gauge.set_function(read)

    def read_requests_in_flight(self, count: Callable[[], float]) -> None:
        """Have the number of questions being answered read at every scrape."""
        self._requests_in_flight.set_function(count)

    def show(self, metric: _Metric) -> _Metric:
        """Show a metric from now on, and return it."""
        self._shown.append(metric)
        return metric

    def label_of(self, game: str) -> str:
        """Return the label of a game: `other` unless it is configured or learned."""
        return game if game in self._games else OTHER

    def render(self) -> tuple[bytes, str]:
        """Return the metrics in Prometheus' text format, and its content type; in the event loop's thread."""
        for word, number in self._count_overrides().items():
            self._overrides.set(number, word)
        ours = "".join([metric.text() for metric in self._shown])
        return generate_latest(self._registry) + ours.encode(), CONTENT_TYPE_PLAIN_0_0_4

    def _bind_decision(
        self, game: str, method: Method, reason: Reason, cache: CacheTier
    ) -> tuple[CounterValue, CounterValue]:
        # Unknown games are looked up under `other` and never remembered by name: their number has no bound.
        key = (self.label_of(game), Method(method), Reason(reason), CacheTier(cache))
        bound = self._decisions.get(key)
        if bound is None:
            self._stale_served_total.labels(key[0])
            of_game = {outcome: self._game_answers_total.labels(key[0], str(outcome)) for outcome in Outcome}
            decision = self._decisions_total.labels(key[0], *map(str, (method, reason.outcome, reason, cache)))
            bound = self._decisions[key] = (decision, of_game[reason.outcome])
            self._bind_answers((reason,))
        return bound

    def _bind_answers(self, reasons: Iterable[Reason]) -> None:
        for reason, stale in product(reasons, (False, True)):
            labels = (str(reason.outcome), str(reason), str(stale).lower())
            self._answers[reason, stale] = self._answers_total.labels(*labels)

    def _counter(self, name: str, text: str, *labels: str) -> PlainCounter:
        return self.show(PlainCounter(f"{NAMESPACE}_{name}", text, labels))

    def _gauges(self, name: str, text: str, label: str, values: Iterable[_Value]) -> dict[_Value, Gauge]:
        gauge = Gauge(name, text, [label], namespace=NAMESPACE, registry=self._registry)
        return {value: gauge.labels(value) for value in values}

    def _plain_gauge(self, name: str, text: str, *labels: str) -> PlainGauge:
        return self.show(PlainGauge(f"{NAMESPACE}_{name}", text, labels))

    def _gauge(self, name: str, text: str, start: float) -> Gauge:
        gauge = Gauge(name, text, namespace=NAMESPACE, registry=self._registry)
        gauge.set(start)
        return gauge

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> PlainHistogram:
        return self.show(PlainHistogram(f"{NAMESPACE}_{name}", text, buckets, labels))
