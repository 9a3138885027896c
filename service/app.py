"""The composition root: builds everything from the settings, opens it, closes it."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, ControllerRouterHandler

from service.api.admin import AdminService
from service.api.answers import AnswerWriter
from service.api.batch import BatchService
from service.api.dispatch import Dispatcher
from service.api.games import GameDirectory
from service.api.operations import Readiness, create_operations_router
from service.api.problems import LARGEST_BODY
from service.api.routes import create_crash_handler, create_verify_router, refuse_request
from service.api.short_way import ShortWay
from service.api.verify_service import VerifyService
from service.assembly.beside import run_beside
from service.assembly.cache import open_cache, open_invalidations, open_leases, open_redis
from service.assembly.policy import caller_directory, game_rules
from service.assembly.store import VERSION, Store
from service.assembly.store import open_store as open_way_to_store
from service.cache.keys import KeyedFingerprints, derive_keys
from service.clock import SystemClock
from service.errors import NoAnswer
from service.http.connection import Bounds
from service.http.protocol import HttpServer
from service.itch.client import Network
from service.listening import connection_limit
from service.observability.events import Events
from service.observability.logs import Logging
from service.observability.loop_lag import LoopLagMonitor
from service.observability.metrics import Metrics
from service.ownership import Observation
from service.redis.connect import RedisClient
from service.sandbox.control import LARGEST_BODY as SANDBOX_LARGEST_BODY
from service.sandbox.control_router import create_control_router
from service.sandbox.state import Sandbox
from service.settings import Settings
from service.verification.interfaces import Clock
from service.verification.lookup import LookUps
from service.verification.singleflight import SingleFlight
from service.verification.verify import Verification

_LEARN_AGAIN_AFTER: Final = timedelta(seconds=30)


class Gateway:
    """A gateway that is open: `http` answers until it is closed."""

    def __init__(self, *, http: HttpServer, readiness: Readiness, metrics: Metrics, sandbox: Sandbox | None) -> None:
        self.http = http
        self.readiness = readiness
        self.metrics = metrics
        self.sandbox = sandbox


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    log: Logging,
    clock: Clock | None = None,
    transport: Network = None,
    redis: RedisClient | None = None,
    bounds: Bounds | None = None,
) -> AsyncIterator[Gateway]:
    """Open a gateway, and close on the way out what was opened.

    `transport` replaces the network to the store, `redis` the client made from the settings, `clock` the machine's.
    Neither the store nor Redis needs to be there for the gateway to open.
    """
    clock = clock or SystemClock()
    labels = [game.slug for game in settings.games]
    metrics = Metrics(games=labels, version=VERSION, sandbox=settings.sandbox)
    events = Events(metrics=metrics, log=log)
    async with AsyncExitStack() as stack:
        sandbox = Sandbox(clock=clock) if settings.sandbox else None
        keys = derive_keys(settings.secret)
        client = redis or open_redis(settings, stack)
        flights = SingleFlight[Observation](joined=events.joined, crashed=events.crashed)
        store = await open_way_to_store(
            settings,
            sandbox,
            stack,
            keys=keys,
            clock=clock,
            events=events,
            network=transport,
            redis=client,
            queueing=flights.queueing,
        )
        invalidations = await open_invalidations(stack, keys=keys, clock=clock, events=events, redis=client)
        cache = open_cache(
            settings,
            stack,
            keys=keys,
            clock=clock,
            events=events,
            metrics=metrics,
            redis=client,
            invalidations=invalidations,
        )
        fingerprints = KeyedFingerprints(keys.naming, store.environment)
        look_ups = LookUps(
            source=store.source,
            observations=cache,
            budget=store.budget,
            fingerprints=fingerprints,
            flights=flights,
            clock=clock,
            lease=open_leases(settings, stack, keys=keys, cache=cache, clock=clock, events=events, redis=client),
            invalidations=invalidations,
        )
        verification = Verification(
            look_ups=look_ups,
            source=store.source,
            clock=clock,
            sandbox=lambda: settings.sandbox or store.source.sandbox_seen,
        )
        stack.push_async_callback(verification.close)
        games = GameDirectory(game_rules(settings))
        admin = AdminService(verification=verification, games=games, fingerprints=fingerprints, log=log)
        callers = caller_directory(settings, clock)
        writer = AnswerWriter(jitter=random.random)
        service = VerifyService(
            verification=verification,
            games=games,
            fingerprints=fingerprints,
            writer=writer,
            metrics=metrics,
            log=log,
            clock=clock,
            default_deadline=timedelta(milliseconds=settings.deadline_ms),
        )
        readiness = Readiness(
            {
                "source": lambda: "paused" if store.budget.pause_left() else events.source_state,
                "credential": lambda: events.credential_state,
                "redis": lambda: events.redis_state if settings.redis.url or redis else "disabled",
            }
        )
        routers: list[ControllerRouterHandler] = [
            create_verify_router(
                service=service, batch=BatchService(service), admin=admin, callers=callers, clock=clock
            ),
            create_operations_router(readiness=readiness, metrics=metrics, version=VERSION, sandbox=settings.sandbox),
        ]
        if sandbox is not None:
            routers.append(create_control_router(sandbox))
        dispatcher = Dispatcher(
            short_way=ShortWay(service=service, callers=callers, clock=clock),
            framework=_framework(routers, service),
            service=service,
            clock=clock,
        )
        http = HttpServer(
            dispatcher,
            bounds=bounds or _bounds(settings),
            max_requests=settings.max_requests,
            max_connections=connection_limit(settings),
            now=clock.now,
        )
        metrics.read_requests_in_flight(lambda: http.in_flight)
        metrics.read_budget(
            tokens=store.budget.tokens, paused_seconds=lambda: store.budget.pause_left().total_seconds()
        )
        learning = _learn(store, metrics, clock, games=not settings.games)
        await run_beside(stack, learning, crashed=partial(events.crashed, where="start-up"))
        monitor = LoopLagMonitor(clock=clock, report=metrics.loop_lag, stalled=events.stalled)
        await run_beside(stack, monitor.run(), crashed=partial(events.crashed, where="loop lag"))
        readiness.ready()
        yield Gateway(http=http, readiness=readiness, metrics=metrics, sandbox=sandbox)


@asynccontextmanager
async def open_store(settings: Settings, *, log: Logging) -> AsyncIterator[Store]:
    """Open the way to the store alone, for commands that ask it something once."""
    metrics = Metrics(games=[], version=VERSION, sandbox=settings.sandbox)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        sandbox = Sandbox(clock=clock) if settings.sandbox else None
        yield await open_way_to_store(
            settings,
            sandbox,
            stack,
            keys=derive_keys(settings.secret),
            clock=clock,
            events=Events(metrics=metrics, log=log),
            network=None,
            redis=None,
        )


def _bounds(settings: Settings) -> Bounds:
    """Return the bounds of a connection. The sandbox takes whole worlds, which a question never needs."""
    largest = SANDBOX_LARGEST_BODY if settings.sandbox else LARGEST_BODY
    return Bounds(body_bytes=largest, idle_seconds=settings.keep_alive_seconds)


def _framework(routers: list[ControllerRouterHandler], service: VerifyService) -> ASGIApp:
    return Litestar(
        route_handlers=routers,
        exception_handlers={HTTPException: refuse_request, Exception: create_crash_handler(service)},
        request_max_body_size=LARGEST_BODY,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


async def _learn(store: Store, metrics: Metrics, clock: Clock, *, games: bool) -> None:
    """Learn whose key it is, and which games it can see, without anybody waiting for it; again for another key."""
    while True:
        store.other_key.clear()
        try:
            await store.source.identify_seller()
            for game in await store.source.games() if games else ():
                metrics.learn_game(game.id)
        except NoAnswer:
            await clock.sleep(_LEARN_AGAIN_AFTER)
        else:
            await store.other_key.wait()
