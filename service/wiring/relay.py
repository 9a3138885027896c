"""A relay: the same gateway in front of a hub, with neither store, nor Redis, nor rules of its own."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Final

from litestar.types import ASGIApp, ControllerRouterHandler

from service.api.answers import TITLES_OF_RELAY, AnswerWriter
from service.api.batch import BatchService
from service.api.channel_copies import ChannelCopies, create_copied_channel_route
from service.api.hub_passes import HubPasses, HubProofs
from service.api.operations import Readiness, create_operations_routes
from service.api.pages import create_pages
from service.api.public_copies import PublicCopies, create_public_routes
from service.api.relayed import HandingOn, create_handed_on_routes, refuse_at_relay
from service.api.routes import CallerGate, create_question_routes
from service.api.verify_service import Asking, KeyJudge, VerifyService
from service.cache.keys import KeyedFingerprints
from service.cache.told_memory import RelayMemory
from service.http.connection import Bounds
from service.http.reply import Reply
from service.hub.hub_client import HubClient, Trust
from service.hub.hub_transport import HubTransport
from service.observability.logs import Logging
from service.secret_file import SecretFile, SecretPlace
from service.secret_text import read_key
from service.settings import Settings, SettingsReader
from service.verification.inquiries import Inquiries
from service.verification.interfaces import Clock
from service.verification.singleflight import SingleFlight
from service.verification.told import ToldDecision
from service.wiring.background import run_in_background, watch_event_loop
from service.wiring.basics import Basics, build_basics
from service.wiring.gateway import Gateway
from service.wiring.http import application_of, build_dispatcher, build_http
from service.wiring.reload import Reloading, ignore_settings
from service.wiring.version import VERSION

_MEBIBYTE: Final = 1024 * 1024


async def open_relay(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    log: Logging,
    reader: SettingsReader | None,
    clock: Clock,
    bounds: Bounds | None,
) -> Gateway:
    """Open a relay, until the stack is closed. Its hub need not be there."""
    basics = build_basics(settings, stack, log=log, clock=clock, has_redis=False)
    events, metrics = basics.events, basics.metrics
    hub = open_hub_client(basics)
    inquiries = _open_inquiries(basics, hub)
    fingerprints, writer = _fingerprints(basics), AnswerWriter(jitter=random.random, titles=TITLES_OF_RELAY)
    verify = VerifyService(
        verification=inquiries,
        fingerprints=fingerprints,
        writer=writer,
        metrics=metrics,
        log=log,
        clock=clock,
        default_deadline=timedelta(milliseconds=settings.deadline_ms),
        key_sharing=_no_limits,
        passes=HubPasses(hub=inquiries, fingerprints=fingerprints),
        proofs=HubProofs(hub=inquiries, fingerprints=fingerprints),
        access_tokens=True,
    )
    readiness = Readiness(
        {"hub": lambda: events.source_state, "credential": lambda: events.credential_state},
        causes=lambda: events.causes,
    )
    watch_event_loop(stack, crashed=partial(events.crashed, where="event loop"))
    framework = _framework(basics, hub, verify, writer, readiness=readiness, is_sandbox=inquiries.is_sandbox)
    application = build_dispatcher(basics, verify, framework)
    http = build_http(settings, application, now=clock.now, bounds=bounds)
    metrics.read_requests_in_flight(lambda: http.in_flight)
    metrics.read_budget(tokens=lambda: float("nan"), waiting=lambda: 0, paused_seconds=hub.paused_seconds)
    await run_in_background(stack, basics.lag.run(), crashed=partial(events.crashed, where="loop lag"))
    reloading = Reloading(
        basics,
        reader=reader,
        read_from=None if reader is None else reader.content,
        applied=ignore_settings,
        follower=None,
    )
    await reloading.open()
    readiness.ready()
    learned = asyncio.Event()
    learned.set()  # there is nothing that it has to know

    def forget_failures() -> None:
        inquiries.forget_failures()
        hub.forget_pause()

    return Gateway(
        http=http,
        readiness=readiness,
        metrics=metrics,
        application=application,
        learned=learned,
        forget_failures=forget_failures,
        reload=reloading.ask,
    )


def open_hub_client(basics: Basics) -> HubClient:
    """Return the client of the hub, which connects when it is first asked."""
    relay, events, clock = basics.settings.relay, basics.events, basics.clock
    if relay.url is None or relay.token is None:
        raise AssertionError("the settings of a relay were loaded without a hub")
    trust = Trust(relay.ca_file, clock=clock, unusable=partial(events.key_unreadable, "relay.ca_file"))
    token = SecretPlace(
        "relay.token",
        relay.token,
        file=None if relay.token_file is None else SecretFile(relay.token_file, read=read_key),
        monotonic=clock.monotonic,
        reloaded=events.key_reloaded,
        unreadable=events.key_unreadable,
    )
    user_agent = f"ownership-gateway-relay/{VERSION}"
    transport = HubTransport(base_url=relay.url, trust=trust.current, user_agent=user_agent, clock=clock)
    hub = HubClient(transport=transport, token=token.current, clock=clock, observer=events)
    basics.stack.push_async_callback(hub.close)
    return hub


def _open_inquiries(basics: Basics, hub: HubClient) -> Inquiries:
    settings, clock = basics.settings, basics.clock
    fresh_for = timedelta(seconds=settings.relay.fresh_seconds)
    memory = RelayMemory(
        max_entries=settings.cache.max_entries,
        max_bytes=settings.cache.max_mebibytes * _MEBIBYTE,
        fresh_for=fresh_for,
        clock=clock,
        on_operation=basics.metrics.cache_operation,
    )
    inquiries = Inquiries(
        hub=hub,
        memory=memory,
        names=_fingerprints(basics),
        flights=SingleFlight[ToldDecision](joined=basics.events.joined, crashed=basics.events.crashed),
        clock=clock,
        fresh_for=fresh_for,
    )
    basics.stack.push_async_callback(inquiries.close)
    return inquiries


def _framework(
    basics: Basics,
    hub: HubClient,
    verify: VerifyService,
    writer: AnswerWriter,
    *,
    readiness: Readiness,
    is_sandbox: Callable[[], bool],
) -> ASGIApp:
    settings, clock = basics.settings, basics.clock
    gate = CallerGate(service=verify, current=basics.current, clock=clock)
    batch = BatchService(verify)

    async def answer_batch(body: bytes, asking: Asking) -> Reply:
        with hub.together():
            return await batch.answer(body, asking)

    default_deadline = timedelta(milliseconds=settings.deadline_ms)
    handing_on = HandingOn(hub=hub, writer=writer, log=basics.log, clock=clock, default_deadline=default_deadline)
    health = readiness.health if settings.operations.port is None else None
    routes: list[ControllerRouterHandler] = [
        *create_question_routes(gate, batch=answer_batch, relay=True),
        *create_handed_on_routes(gate, handing_on),
        create_copied_channel_route(gate, ChannelCopies(hub=hub, clock=clock)),
        *create_public_routes(PublicCopies(hub=hub, clock=clock)),
        *create_operations_routes(readiness=readiness, metrics=basics.metrics, version=VERSION, sandbox=False),
        *create_pages(version=VERSION, is_sandbox=is_sandbox, health=health, relay=True),
    ]
    return application_of(routes, service=verify, refuse=refuse_at_relay)


def _fingerprints(basics: Basics) -> KeyedFingerprints:
    return KeyedFingerprints(basics.keys.naming, f"hub {basics.settings.relay.url}")


def _no_limits() -> KeyJudge:
    raise AssertionError("a game of a relay has no limit for the players of a key: its hub has")
