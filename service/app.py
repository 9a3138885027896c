"""The composition root: builds everything from the settings, opens it, closes it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Final

import httpx
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, ControllerRouterHandler

from service.alone import Alone
from service.api.admin import AdminDesk
from service.api.answers import AnswerWriter
from service.api.batch import BatchDesk
from service.api.callers import Caller, CallerDirectory
from service.api.edge import Edge
from service.api.games import GameDirectory
from service.api.operations import Readiness, create_operations_router
from service.api.routes import LARGEST_BODY, create_crash_handler, create_verify_router, refuse_request
from service.api.verify import VerifyDesk
from service.cache.claims import ClusterClaims
from service.cache.invalidations import Invalidations
from service.cache.keys import KeyedFingerprints, Keys, budget_key, derive_keys, floors_key
from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.cache.sealing import Sealer
from service.cache.tiers import TieredStore
from service.clock import SystemClock
from service.errors import NoAnswer
from service.interfaces import Clock, LookUpOnce
from service.itch.dialect import Dialect
from service.itch.requests import StoreRequests
from service.itch.seller_key import KeySlot, SellerKeyRing
from service.itch.source import ItchSource
from service.itch.transport import StoreClient
from service.limits.caller_limits import CallerLimits
from service.limits.cluster_budget import ClusterBudget
from service.limits.store_budget import TokenBucket
from service.observability.events import Events
from service.observability.labels import RefusalCause
from service.observability.logs import Logging
from service.observability.loop_lag import LoopLagMonitor
from service.observability.metrics import Metrics
from service.ownership import Fingerprint, Observation
from service.policy import GameRules
from service.redis.connect import RedisClient, connect
from service.sandbox.app import create_sandbox_app
from service.sandbox.control import create_control_router
from service.sandbox.seed import SELLER_KEY as SANDBOX_SELLER_KEY
from service.sandbox.server import SandboxServer
from service.sandbox.state import Sandbox
from service.secret import SellerKey
from service.settings import Settings
from service.singleflight import SingleFlight
from service.verification import Verification

VERSION: Final = version("ownership-gateway")
HOMEPAGE: Final = "https://ownership-gateway.example"
_MEBIBYTE: Final = 1024 * 1024
_LEARN_AGAIN_AFTER: Final = timedelta(seconds=30)
_SANDBOX_PATH: Final = {Dialect.CURRENT: "", Dialect.SERVER_SIDE: "/api/1"}


def user_agent(settings: Settings) -> str:
    """Return an honest User-Agent, with a page that says whom to ask about this traffic."""
    return f"ownership-gateway/{VERSION} (+{settings.itch.contact_url or HOMEPAGE})"


class Gateway:
    """A gateway that is open: `asgi` answers until it is closed."""

    def __init__(self, *, asgi: Edge, readiness: Readiness, metrics: Metrics, sandbox: Sandbox | None) -> None:
        self.asgi = asgi
        self.readiness = readiness
        self.metrics = metrics
        self.sandbox = sandbox


class Store:
    """The way to the store, and what it costs: everything below the verification."""

    def __init__(self, *, source: ItchSource, budget: TokenBucket | ClusterBudget, environment: str) -> None:
        self.source = source
        self.budget = budget
        self.environment = environment
        """Whose answers these are; part of every cache entry's name."""


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    log: Logging,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    redis: RedisClient | None = None,
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
        client = redis or _open_redis(settings, stack)
        flights = SingleFlight[Observation](joined=events.joined, crashed=events.crashed)
        store = await _open_store(
            settings,
            sandbox,
            stack,
            keys=keys,
            clock=clock,
            events=events,
            transport=transport,
            redis=client,
            queueing=flights.queueing,
        )
        floors = await _open_invalidations(stack, keys=keys, clock=clock, events=events, redis=client)
        cache = _open_cache(
            settings, stack, keys=keys, clock=clock, events=events, metrics=metrics, redis=client, floors=floors
        )
        fingerprints = KeyedFingerprints(keys.naming, store.environment)
        verification = Verification(
            source=store.source,
            store=cache,
            budget=store.budget,
            fingerprints=fingerprints,
            flights=flights,
            clock=clock,
            sandbox=settings.sandbox,
            sandbox_seen=lambda: store.source.sandbox_seen,
            floors=floors,
            once=_open_claims(settings, stack, cache=cache, clock=clock, events=events, redis=client),
        )
        stack.push_async_callback(verification.close)
        games = GameDirectory(_rules(settings))
        admin_desk = AdminDesk(verification=verification, games=games, fingerprints=fingerprints, log=log)
        desk = VerifyDesk(
            verification=verification,
            games=games,
            fingerprints=fingerprints,
            writer=AnswerWriter(jitter=random.random),
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
                desk=desk,
                batch_desk=BatchDesk(desk),
                admin_desk=admin_desk,
                callers=_callers(settings, clock),
                clock=clock,
            ),
            create_operations_router(readiness=readiness, metrics=metrics, version=VERSION, sandbox=settings.sandbox),
        ]
        if sandbox is not None:
            routers.append(create_control_router(sandbox))
        edge = Edge(_framework(routers, log), clock=clock, on_shed=lambda: metrics.refused(RefusalCause.OVERLOADED))
        metrics.read_requests_in_flight(edge.in_flight)
        metrics.read_budget(
            tokens=store.budget.tokens, paused_seconds=lambda: store.budget.pause_left().total_seconds()
        )
        learning = _learn(store.source, metrics, clock, games=not settings.games)
        await _run_beside(stack, learning, crashed=partial(events.crashed, where="start-up"))
        monitor = LoopLagMonitor(clock=clock, report=metrics.loop_lag, stalled=events.stalled)
        await _run_beside(stack, monitor.run(), crashed=partial(events.crashed, where="loop lag"))
        readiness.ready()
        yield Gateway(asgi=edge, readiness=readiness, metrics=metrics, sandbox=sandbox)


@asynccontextmanager
async def open_store(settings: Settings, *, log: Logging) -> AsyncIterator[Store]:
    """Open the way to the store alone, for commands that ask it something once."""
    metrics = Metrics(games=[], version=VERSION, sandbox=settings.sandbox)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        sandbox = Sandbox(clock=clock) if settings.sandbox else None
        yield await _open_store(
            settings,
            sandbox,
            stack,
            keys=derive_keys(settings.secret),
            clock=clock,
            events=Events(metrics=metrics, log=log),
            transport=None,
            redis=None,
        )


async def _open_store(
    settings: Settings,
    sandbox: Sandbox | None,
    stack: AsyncExitStack,
    *,
    keys: Keys,
    clock: Clock,
    events: Events,
    transport: httpx.AsyncBaseTransport | None,
    redis: RedisClient | None,
    queueing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Store:
    dialect = Dialect(settings.itch.dialect.value)
    base_url, slots = settings.itch.effective_base_url, _key_slots(settings)
    if sandbox is not None:
        # A real server on a loopback port: the gateway speaks to it as it speaks to itch.io.
        server = await stack.enter_async_context(SandboxServer(create_sandbox_app(sandbox)))
        base_url = server.base_url + _SANDBOX_PATH[dialect]
        slots = [KeySlot("sandbox", SellerKey(SANDBOX_SELLER_KEY), file=None)]
    if not slots:
        raise AssertionError("the settings were loaded without a source")
    timeout = timedelta(seconds=settings.itch.timeout_seconds)
    # The sandbox gets another port each time; what it said is worth nothing to the next one anyway.
    environment = f"{dialect} {base_url}"
    budget = _open_budget(
        settings,
        stack,
        key=budget_key(keys.naming, environment),
        clock=clock,
        events=events,
        redis=redis,
        queueing=queueing,
    )
    agent = user_agent(settings)
    seller_client = StoreClient(base_url=base_url, user_agent=agent, transport=transport)
    player_client = StoreClient(base_url=base_url, user_agent=agent, transport=transport)
    stack.push_async_callback(seller_client.close)
    stack.push_async_callback(player_client.close)

    def reloaded(setting: str) -> None:
        events.key_reloaded(setting)
        source.forget_seller()

    def switched(setting: str) -> None:
        events.key_switched(setting)
        source.forget_seller()

    key_ring = SellerKeyRing(slots, clock=clock, reloaded=reloaded, unreadable=events.key_unreadable, switched=switched)
    requests = StoreRequests(
        seller_client=seller_client,
        player_client=player_client,
        dialect=dialect,
        seller_key=key_ring,
        budget=budget,
        clock=clock,
        observer=events,
    )
    source = ItchSource(requests=requests, clock=clock, timeout=timeout)
    return Store(source=source, budget=budget, environment=environment)


def _key_slots(settings: Settings) -> list[KeySlot]:
    itch = settings.itch
    places = [
        ("itch.api_key", itch.api_key, itch.api_key_file),
        ("itch.next_api_key", itch.next_api_key, itch.next_api_key_file),
    ]
    return [KeySlot(setting, key, file=file) for setting, key, file in places if key is not None]


def _open_budget(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    key: str,
    clock: Clock,
    events: Events,
    redis: RedisClient | None,
    queueing: Callable[[], AbstractContextManager[None]],
) -> TokenBucket | ClusterBudget:
    patience = timedelta(seconds=settings.itch.timeout_seconds) / 2
    own = TokenBucket(
        rate=settings.itch.rate / settings.replicas,
        burst=max(1, settings.itch.burst // settings.replicas),
        patience=patience,
        clock=clock,
        paused=events.paused,
        resumed=events.resumed,
        queueing=queueing,
    )
    if redis is None:
        return own
    budget = ClusterBudget(
        own=own,
        client=redis,
        key=key,
        rate=settings.itch.rate,
        burst=settings.itch.burst,
        patience=patience,
        clock=clock,
        queueing=queueing,
    )
    stack.push_async_callback(budget.close)
    return budget


def _open_redis(settings: Settings, stack: AsyncExitStack) -> RedisClient | None:
    if settings.redis.url is None:
        return None
    client = connect(settings.redis.url)
    stack.push_async_callback(client.aclose)
    return client


async def _open_invalidations(
    stack: AsyncExitStack, *, keys: Keys, clock: Clock, events: Events, redis: RedisClient | None
) -> Invalidations:
    floors = Invalidations(client=redis, key=floors_key(), floors_key=keys.floors, clock=clock)
    stack.push_async_callback(floors.close)
    if redis is not None:
        await _run_beside(stack, floors.run(), crashed=partial(events.crashed, where="invalidations"))
    return floors


def _open_cache(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    keys: Keys,
    clock: Clock,
    events: Events,
    metrics: Metrics,
    redis: RedisClient | None,
    floors: Invalidations,
) -> TieredStore:
    def overruled(name: Fingerprint, since: datetime) -> None:
        floors.invalidate(name, before=since)

    memory = MemoryTier(
        max_entries=settings.cache.max_entries, max_bytes=settings.cache.max_mebibytes * _MEBIBYTE, clock=clock
    )
    tier = None
    if redis is not None:
        tier = RedisTier(
            client=redis,
            sealer=Sealer(keys.sealing),
            clock=clock,
            on_operation=metrics.cache_operation,
            on_state=events.redis,
            on_overruled=overruled,
        )
    cache = TieredStore(memory=memory, redis=tier, on_operation=metrics.cache_operation, on_overruled=overruled)
    stack.push_async_callback(cache.close)
    return cache


def _open_claims(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    cache: TieredStore,
    clock: Clock,
    events: Events,
    redis: RedisClient | None,
) -> LookUpOnce:
    if redis is None:
        return Alone()
    claims = ClusterClaims(
        client=redis,
        store=cache,
        clock=clock,
        patience=timedelta(seconds=settings.itch.timeout_seconds),
        joined=events.joined_replica,
    )
    stack.push_async_callback(claims.close)
    return claims


def _framework(routers: list[ControllerRouterHandler], log: Logging) -> ASGIApp:
    return Litestar(
        route_handlers=routers,
        exception_handlers={HTTPException: refuse_request, Exception: create_crash_handler(log)},
        request_max_body_size=LARGEST_BODY,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _rules(settings: Settings) -> list[GameRules]:
    return [
        GameRules(
            game_id=game.id,
            label=game.slug,
            accept=game.accept,
            grant_user_ids=game.grant_user_ids,
            ban_user_ids=game.ban_user_ids,
            grant_press=game.grant_press,
            owned_fresh=timedelta(seconds=game.owned_fresh_seconds),
            grace=timedelta(seconds=game.grace_seconds),
            not_owned_fresh=timedelta(seconds=game.not_owned_seconds),
        )
        for game in settings.games
    ]


def _callers(settings: Settings, clock: Clock) -> CallerDirectory:
    return CallerDirectory(
        (
            caller.token_digest,
            Caller(
                name=caller.name,
                rights=caller.rights,
                games=settings.games_of(caller),
                limits=CallerLimits(
                    rate=caller.rate, failed_keys_per_minute=caller.failed_keys_per_minute, clock=clock
                ),
            ),
        )
        for caller in settings.callers
    )


async def _learn(source: ItchSource, metrics: Metrics, clock: Clock, *, games: bool) -> None:
    """Learn whose key it is, and which games it can see, without anybody waiting for it."""
    while True:
        try:
            await source.identify_seller()
            for game in await source.games() if games else ():
                metrics.learn_game(game.id)
        except NoAnswer:
            await clock.sleep(_LEARN_AGAIN_AFTER)
        else:
            return


async def _run_beside(
    stack: AsyncExitStack, work: Coroutine[None, None, None], *, crashed: Callable[[BaseException], None]
) -> None:
    """Do the work until the gateway closes. `crashed` is called at once with what it should never raise."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            crashed(error)

    async def stop() -> None:
        task.cancel()
        await asyncio.wait([task])

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    stack.push_async_callback(stop)
