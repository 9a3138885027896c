"""The composition root: builds a gateway from the settings, opens it, closes it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from service.cache.cluster_clock import as_redis_says
from service.cache.replicated_table import MOST_ENTRIES
from service.clock import SystemClock
from service.http.connection import Bounds
from service.http.protocol import HttpServer
from service.observability.logs import Logging
from service.ownership import Observation
from service.redis.connect import RedisClient
from service.settings import FileContent, Settings, SettingsReader
from service.stores.client import Client, Network
from service.verification.interfaces import Clock
from service.verification.singleflight import SingleFlight
from service.wiring.background import run_in_background, watch_event_loop
from service.wiring.basics import Basics, build_basics
from service.wiring.following import StoreFollower
from service.wiring.gateway import Gateway
from service.wiring.http import build_dispatcher, build_http, build_readiness, framework, when_first_used
from service.wiring.observations import open_observations, open_redis
from service.wiring.open_state import open_state
from service.wiring.reload import Reloading, ignore_settings
from service.wiring.replicas import compare_secrets
from service.wiring.service import Services, build_services
from service.wiring.upstream import Upstream
from service.wiring.upstream import open_upstream as open_upstream_with

__all__ = ["Gateway", "open_gateway", "open_hub", "open_upstream"]

if TYPE_CHECKING:  # only for the type checker: off until configured, and then imported where it is used
    from service.hub.hub_client import HubClient
    from service.sandbox.world_content import WorldContent
    from service.wiring.own_sandbox import OwnSandbox


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
    world: "WorldContent | None" = None,
) -> AsyncIterator[Gateway]:
    """Open a gateway, and close on the way out what was opened.

    `reader` has read the settings, and reads their file again while the gateway is open; None for settings that stay.
    `transport` replaces the network to the store, `redis` the client made from the settings, `clock` the machine's,
    `redis_time` that of Redis, `bounds` those of connections; `most_invalidations` of one kind are remembered for one
    game. Neither the store nor Redis needs to be there for the gateway to open.

    With a sandbox of its own it begins with that `world`. At each reset all but its connections is closed and opened
    again.
    """
    machine = clock or SystemClock()
    assembly = _Assembly(
        settings=settings,
        reader=reader,
        log=log,
        machine=machine,
        network=transport,
        redis=redis,
        bounds=bounds,
        redis_time=redis_time,
        most_invalidations=most_invalidations,
    )
    async with AsyncExitStack() as stack:
        if settings.is_relay:
            from service.wiring.relay import open_relay  # noqa: PLC0415 - off until configured: not even imported

            yield await open_relay(settings, stack, log=log, reader=reader, clock=machine, bounds=bounds)
            return
        if not settings.sandbox:
            yield await assembly.open(stack)
            return
        from service.wiring.own_sandbox import open_resettable  # noqa: PLC0415 - off until asked for: not even imported

        yield await open_resettable(stack, settings, assembly.open, clock=machine, bounds=bounds, world=world)


class _Assembly(Struct, kw_only=True):
    """Opens a gateway as it was asked for; and after each reset of its sandbox again, with what it has read since.

    The fields are the arguments of `open_gateway`; `machine` is the machine's clock. `reloading` belongs to the gateway
    that was opened last.
    """

    settings: Settings
    reader: SettingsReader | None
    log: Logging
    machine: Clock
    network: Network
    redis: RedisClient | None
    bounds: Bounds | None
    redis_time: Callable[[datetime], datetime]
    most_invalidations: int
    reloading: Reloading | None = None

    async def open(
        self, stack: AsyncExitStack, own: "OwnSandbox | None" = None, http: HttpServer | None = None
    ) -> Gateway:
        """Open all parts; in front of a sandbox of the gateway's own they go by its time, behind `http`."""
        settings = self.settings if self.reloading is None else self.reloading.settings
        if own is not None:
            own.add_games(settings)  # those that were configured after the start, too
        basics = self._build_basics(settings, stack, own)
        flights = SingleFlight[Observation](joined=basics.events.joined, crashed=basics.events.crashed)
        redis = self.redis or open_redis(basics)
        upstream = await open_upstream_with(
            basics,
            network=self.network,
            redis=redis,
            queueing=flights.queueing,
            address=None if own is None else own.address(),
        )
        observations = await open_observations(
            basics, redis=redis, environment=upstream.address.environment, most_invalidations=self.most_invalidations
        )
        readiness = build_readiness(basics, upstream, redis, observations.guard)
        services = build_services(
            basics,
            upstream,
            observations,
            flights,
            redis=redis,
            readiness=readiness,
            sandbox=None if own is None else own.sandbox,
        )
        watch_event_loop(stack, crashed=partial(basics.events.crashed, where="event loop"))
        state = await open_state(basics, upstream, readiness)
        build_framework = partial(framework, basics, upstream, services, readiness, state)
        application = build_dispatcher(
            basics, services.verify, build_framework() if own is None else when_first_used(build_framework)
        )
        http = http or build_http(basics.settings, application, now=basics.shared_clock.now, bounds=self.bounds)
        await _watch(basics, upstream, http)
        await compare_secrets(basics, upstream, redis=redis)
        self.reloading = Reloading(
            basics,
            reader=self.reader,
            read_from=self._read_from(),
            applied=ignore_settings if own is None else own.add_games,
            follower=StoreFollower(basics, upstream, observations, redis=redis),
        )
        await self.reloading.open()
        await upstream.open_clients()
        readiness.ready()
        return Gateway(
            http=http,
            readiness=readiness,
            metrics=basics.metrics,
            application=application,
            learned=upstream.learned,
            forget_failures=partial(_forget_failures, services, upstream),
            reload=self.reloading.ask,
            sandbox=None if own is None else own.sandbox,
        )

    def _build_basics(self, settings: Settings, stack: AsyncExitStack, own: "OwnSandbox | None") -> Basics:
        return build_basics(
            settings,
            stack,
            log=self.log,
            clock=self.machine if own is None else own.sandbox.clock,
            machine=self.machine,
            has_redis=self.redis is not None or settings.redis.url is not None,
            redis_time=self.redis_time if own is None else own.as_moved(self.redis_time),
            game_called=None if own is None else own.game_called,
        )

    def _read_from(self) -> FileContent | None:
        if self.reloading is not None:
            return self.reloading.read_from
        return None if self.reader is None else self.reader.content


def _forget_failures(services: Services, upstream: Upstream) -> None:
    services.forget_failures()
    upstream.forget_refusals()


@asynccontextmanager
async def open_upstream(
    settings: Settings, *, log: Logging, listen: Callable[[Client], Client] = lambda client: client
) -> AsyncIterator[Upstream]:
    """Open the way to the store alone, for commands that ask it something once.

    `listen` stands something in front of each client that hears what is asked and answered.
    """
    async with AsyncExitStack() as stack:
        basics = build_basics(settings, stack, log=log, clock=SystemClock(), has_redis=False)
        address = None
        if settings.sandbox:
            from service.wiring.own_sandbox import open_own_sandbox  # noqa: PLC0415 - as above

            address = (await open_own_sandbox(stack, settings, basics.clock)).address()
        yield await open_upstream_with(basics, network=None, redis=None, address=address, listen=listen)


@asynccontextmanager
async def open_hub(settings: Settings, *, log: Logging) -> AsyncIterator["HubClient"]:
    """Open the way of a relay to its hub alone."""
    from service.wiring.relay import open_hub_client  # noqa: PLC0415 - off until configured: not even imported

    async with AsyncExitStack() as stack:
        yield open_hub_client(build_basics(settings, stack, log=log, clock=SystemClock(), has_redis=False))


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
