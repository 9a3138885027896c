"""The HTTP side: the framework's routes, the short way, and the server of all connections."""

import random
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from litestar import Litestar, Response
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from service.api.console import create_console
from service.api.dispatch import Dispatcher
from service.api.gateway_state import StateService
from service.api.operations import Readiness, create_operations_routes
from service.api.pages import create_pages
from service.api.paths import FORWARD_AUTH_BELOW
from service.api.problems import LARGEST_BODY
from service.api.routes import (
    AnyRequest,
    CallerGate,
    create_admin_routes,
    create_channel_route,
    create_crash_handler,
    create_question_routes,
    create_redeem_route,
    create_support_routes,
    refuse_request,
)
from service.api.short_way import ShortWay
from service.api.verify_service import VerifyService
from service.cache.revocation_guard import SharedRevocationGuard
from service.causes import Cause
from service.http.application import Application
from service.http.connection import Bounds
from service.http.protocol import HttpServer
from service.listening import connection_limit
from service.redis.connect import RedisClient
from service.settings import Settings
from service.wiring.basics import Basics
from service.wiring.service import Services
from service.wiring.upstream import Upstream
from service.wiring.version import VERSION

if TYPE_CHECKING:
    from service.api.channels import ChannelService
    from service.api.forward_auth import ForwardAuth
    from service.api.redeem import RedeemService


def build_readiness(
    basics: Basics, upstream: Upstream, redis: RedisClient | None, guard: SharedRevocationGuard | None
) -> Readiness:
    """Return the health of the gateway, which names its components."""
    events = basics.events

    def source() -> str:
        return "paused" if upstream.budget.pause_left() else events.source_state

    def causes() -> dict[str, Cause]:
        # Another replica may have been throttled, and this one have learned of the pause from Redis.
        paused = {"source": Cause.THROTTLED} if upstream.budget.pause_left() else {}
        return events.causes | paused

    def credential() -> str:
        return events.credential_state

    def redis_state() -> str:
        return "disabled" if redis is None else events.redis_state

    def secrets_state() -> str:
        return "disabled" if redis is None else events.secrets_state

    def revocations() -> str:
        if guard is None:
            return "disabled"
        games = basics.current.configuration.games
        holds = any(guard.held_since(game.game_id) for game in games.configured()) if games else guard.holds_any
        return "held" if holds else "ok"

    return Readiness(
        {
            "source": source,
            "credential": credential,
            "revocations": revocations,
            "redis": redis_state,
            "secrets": secrets_state,
        },
        causes=causes,
    )


def framework(
    basics: Basics, upstream: Upstream, services: Services, readiness: Readiness, state: StateService
) -> ASGIApp:
    """Return the application for all requests but single questions."""
    # Single routes, for routers are registered twice, and copied in between.
    gate = CallerGate(service=services.verify, current=basics.current, clock=basics.shared_clock)
    routes: list[ControllerRouterHandler] = [
        *create_question_routes(gate, batch=services.batch.answer),
        *create_admin_routes(gate, admin=services.admin, overrides=services.overrides),
        *create_support_routes(gate, explain=services.explain, state=state),
        create_channel_route(gate, open_channels=cache(partial(_open_channels, basics, upstream))),
        create_redeem_route(gate, open_redeem=cache(partial(_open_redeem, basics))),
        *create_operations_routes(
            readiness=readiness, metrics=basics.metrics, version=VERSION, sandbox=basics.settings.sandbox
        ),
    ]
    if services.passes is not None:
        from service.wiring.pass_parts import pass_routes  # noqa: PLC0415 - off until configured: not even imported

        routes += pass_routes(basics, services.verify, services.passes)
    if services.challenges is not None:
        from service.wiring.mail_parts import challenge_routes  # noqa: PLC0415 - off until configured: not imported

        routes += challenge_routes(basics, gate, services.fingerprints, services.challenges)
    # With a port of their own, health and its like are for the operator alone.
    health = readiness.health if basics.settings.operations.port is None else None
    routes += create_pages(version=VERSION, is_sandbox=upstream.is_sandbox, health=health)
    if basics.settings.serves_console:
        routes += create_console()
    return application_of(routes, service=services.verify, refuse=refuse_request)


def application_of(
    routes: list[ControllerRouterHandler],
    *,
    service: VerifyService,
    refuse: Callable[[AnyRequest, HTTPException], Response[bytes]],
) -> ASGIApp:
    """Return the application with these routes; `refuse` answers what the framework refuses."""
    return Litestar(
        route_handlers=routes,
        exception_handlers={HTTPException: refuse, Exception: create_crash_handler(service)},
        request_max_body_size=LARGEST_BODY,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _open_channels(basics: Basics, upstream: Upstream) -> "ChannelService":
    from service.wiring.channel_parts import open_channels  # noqa: PLC0415 - off until configured: not even imported

    return open_channels(basics, upstream)


def _open_redeem(basics: Basics) -> "RedeemService":
    from service.wiring.redeem_parts import open_redeem  # noqa: PLC0415 - off until configured: not even imported

    return open_redeem(basics)


def when_first_used(build: Callable[[], ASGIApp]) -> ASGIApp:
    """Return an application that is built for its first request: that takes longer than all else at a reset."""
    built: list[ASGIApp] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if not built:
            built.append(build())
        await built[0](scope, receive, send)

    return application


def build_dispatcher(basics: Basics, verify: VerifyService, application: ASGIApp) -> Dispatcher:
    """Return what answers all requests, by the framework or without it."""
    short_way = ShortWay(service=verify, current=basics.current, clock=basics.shared_clock)
    return Dispatcher(
        short_way=short_way,
        framework=application,
        service=verify,
        current=basics.current,
        open_forward_auth=partial(_open_forward_auth, basics, verify),
        clock=basics.shared_clock,
        console=basics.settings.serves_console,
    )


def _open_forward_auth(basics: Basics, verify: VerifyService) -> "ForwardAuth":
    from service.api.forward_auth import ForwardAuth  # noqa: PLC0415 - off until configured: not even imported

    return ForwardAuth(service=verify, current=basics.current, clock=basics.shared_clock, jitter=random.random)


def build_http(
    settings: Settings,
    application: Application,
    *,
    now: Callable[[], datetime],
    bounds: Bounds | None,
    largest_body: int = LARGEST_BODY,
) -> HttpServer:
    """Return the server of all connections; `bounds` replaces those from the settings."""
    if settings.links.base_url is not None:
        from service.api.linked import LinkedProblems  # noqa: PLC0415 - off until configured: not even imported

        application = LinkedProblems(application, base_url=settings.links.base_url)
    return HttpServer(
        application,
        bounds=bounds
        or Bounds(body_bytes=largest_body, idle_seconds=settings.keep_alive_seconds, heads_below=FORWARD_AUTH_BELOW),
        max_requests=settings.max_requests,
        max_connections=connection_limit(settings),
        now=now,
    )
