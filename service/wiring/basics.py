"""The parts that all others are built with."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

from msgspec import Struct

from service.api.current_configuration import CurrentConfiguration
from service.cache.cluster_clock import ClusterClock, as_redis_says
from service.cache.keys import Keys, derive_keys
from service.observability.events import Events
from service.observability.labels import SourceEndpoint
from service.observability.logs import Logging
from service.observability.loop_lag import LoopLagMonitor
from service.observability.metrics import Metrics
from service.settings import Settings
from service.verification.interfaces import Clock
from service.wiring.rules import configuration_of
from service.wiring.version import VERSION


class Basics(Struct, frozen=True):
    """The settings, the time, the log, the metrics, the derived keys, and the stack that closes what was opened.

    `settings` are those of the start; the games and callers of the moment are in `current`.
    `clock` is the machine's; `cluster_clock` that of all replicas, None without Redis.
    `lag` measures nothing until it is run.
    """

    settings: Settings
    current: CurrentConfiguration
    clock: Clock
    cluster_clock: ClusterClock | None
    log: Logging
    metrics: Metrics
    events: Events
    lag: LoopLagMonitor
    keys: Keys
    stack: AsyncExitStack

    @property
    def shared_clock(self) -> Clock:
        """The clock by which everything is dated that replicas share: observations, invalidations, answers."""
        return self.clock if self.cluster_clock is None else self.cluster_clock


def show_what_is_on(metrics: Metrics, settings: Settings) -> None:
    """Show the series of all that a reload can turn on, where it is on."""
    if settings.forward_auth:
        metrics.show_forward_auth()
    if settings.has_channels:
        metrics.show_endpoint(SourceEndpoint.LATEST)


def build_basics(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    log: Logging,
    clock: Clock,
    has_redis: bool,
    machine: Clock | None = None,
    redis_time: Callable[[datetime], datetime] = as_redis_says,
    game_called: Callable[[str], int | None] | None = None,
) -> Basics:
    """Return them; nothing is opened yet. `redis_time` replaces the clock of Redis.

    `machine` is the clock by which the event loop lags, where it is another than `clock`; `game_called` finds the id of
    a game by its slug where none is configured.
    """
    metrics = Metrics(
        games=[game.slug for game in settings.games],
        version=VERSION,
        sandbox=settings.sandbox,
        off=settings.methods_off,
        relay=settings.is_relay,
    )
    if settings.itch.access_tokens:
        metrics.show_endpoint(SourceEndpoint.OWNERSHIP)
    show_what_is_on(metrics, settings)
    events = Events(metrics=metrics, log=log, clock=clock, relay=settings.is_relay)
    cluster_clock = None
    if has_redis:
        cluster_clock = ClusterClock(clock, on_offset=events.cluster_clock, redis_time=redis_time)
    return Basics(
        settings=settings,
        current=CurrentConfiguration(configuration_of(settings, cluster_clock or clock, game_called=game_called)),
        clock=clock,
        cluster_clock=cluster_clock,
        log=log,
        metrics=metrics,
        events=events,
        lag=LoopLagMonitor(clock=machine or clock, report=metrics.loop_lag, stalled=events.stalled),
        keys=derive_keys(settings.secret),
        stack=stack,
    )
