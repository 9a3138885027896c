"""The composition root: builds a gateway from the settings, opens it, closes it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial

from msgspec import Struct

from service.api.operations import Readiness
from service.cache.cluster_clock import as_redis_says
from service.cache.replicated_table import MOST_ENTRIES
from service.clock import SystemClock
from service.http.connection import Bounds
from service.http.protocol import HttpServer
from service.itch.client import Network
from service.observability.logs import Logging
from service.observability.metrics import Metrics
from service.ownership import Observation
from service.redis.connect import RedisClient
from service.sandbox.state import Sandbox
from service.settings import Settings, SettingsReader
from service.verification.interfaces import Clock
from service.verification.singleflight import SingleFlight
from service.wiring.background import run_in_background, watch_event_loop
from service.wiring.basics import Basics, build_basics
from service.wiring.http import build_http, build_readiness, framework
from service.wiring.observations import open_observations, open_redis
from service.wiring.reload import Reloading
from service.wiring.replicas import compare_secrets
from service.wiring.service import build_services
from service.wiring.upstream import Upstream
from service.wiring.upstream import open_upstream as open_upstream_with


class Gateway(Struct, frozen=True):
    """A gateway that is open: `http` answers until it is closed. `reload` has its file read again at once."""

    http: HttpServer
    readiness: Readiness
    metrics: Metrics
    sandbox: Sandbox | None
    reload: Callable[[], None]


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    log: Logging,
    reader: SettingsReader | None = None,
    clock: Clock | None = None,
    transport: Network = None,
    redis: RedisClient | None = None,
    bounds: Bounds | None = None,
    redis_time: Callable[[datetime], datetime] = as_redis_says,
    most_invalidations: int = MOST_ENTRIES,
) -> AsyncIterator[Gateway]:
    """Open a gateway, and close on the way out what was opened.

    `reader` has read the settings, and reads their file again while the gateway is open; None for settings that stay.
    `transport` replaces the network to the store, `redis` the client made from the settings, `clock` the machine's,
    `redis_time` that of Redis, `bounds` those of connections; `most_invalidations` of one kind are remembered for one
    game. Neither the store nor Redis needs to be there for the gateway to open.
    """
    async with AsyncExitStack() as stack:
        has_redis = redis is not None or settings.redis.url is not None
        basics = build_basics(
            settings, stack, log=log, clock=clock or SystemClock(), has_redis=has_redis, redis_time=redis_time
        )
        flights = SingleFlight[Observation](joined=basics.events.joined, crashed=basics.events.crashed)
        redis = redis or open_redis(basics)
        upstream = await open_upstream_with(basics, network=transport, redis=redis, queueing=flights.queueing)
        observations = await open_observations(
            basics, redis=redis, environment=upstream.address.environment, most_invalidations=most_invalidations
        )
        services = build_services(basics, upstream, observations, flights)
        watch_event_loop(stack, crashed=partial(basics.events.crashed, where="event loop"))
        readiness = build_readiness(basics, upstream, redis, observations.guard)
        http = build_http(basics, services, framework(basics, upstream, services, readiness), bounds=bounds)
        await _watch(basics, upstream, http)
        await compare_secrets(basics, upstream, redis=redis)
        reloading = Reloading(basics, upstream, reader=reader, redis=redis, observations=observations)
        await reloading.open()
        await upstream.open_clients()
        readiness.ready()
        yield Gateway(
            http=http,
            readiness=readiness,
            metrics=basics.metrics,
            sandbox=upstream.sandbox,
            reload=reloading.ask,
        )


@asynccontextmanager
async def open_upstream(settings: Settings, *, log: Logging) -> AsyncIterator[Upstream]:
    """Open the way to the store alone, for commands that ask it something once."""
    async with AsyncExitStack() as stack:
        basics = build_basics(settings, stack, log=log, clock=SystemClock(), has_redis=False)
        yield await open_upstream_with(basics, network=None, redis=None)


async def _watch(basics: Basics, upstream: Upstream, http: HttpServer) -> None:
    """Learn about the seller and measure, in the background."""

    def in_flight() -> int:
        return http.in_flight

    metrics, events = basics.metrics, basics.events
    metrics.read_requests_in_flight(in_flight)
    metrics.read_budget(
        tokens=upstream.budget.tokens, waiting=upstream.queue.waiting, paused_seconds=upstream.paused_seconds
    )
    learning = upstream.learn(basics)
    await run_in_background(basics.stack, learning, crashed=partial(events.crashed, where="start-up"))
    await run_in_background(basics.stack, basics.lag.run(), crashed=partial(events.crashed, where="loop lag"))
