"""The way to the store: its clients, the seller's key and the budget, or the sandbox in the store's place."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from service.cache.keys import Keys, budget_key
from service.itch.client import Network, store_client
from service.itch.dialect import Dialect
from service.itch.requests import StoreRequests
from service.itch.seller_key import KeySlot, SellerKeyRing
from service.itch.source import ItchSource
from service.limits.cluster_budget import ClusterBudget
from service.limits.store_budget import ProcessBudget
from service.observability.events import Events
from service.redis.connect import RedisClient
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import SELLER_KEY as SANDBOX_SELLER_KEY
from service.sandbox.state import Sandbox
from service.secret import SellerKey
from service.settings import Settings
from service.verification.interfaces import Clock

VERSION: Final = version("ownership-gateway")
HOMEPAGE: Final = "https://ownership-gateway.example"
_SANDBOX_PATH: Final = {Dialect.CURRENT: "", Dialect.SERVER_SIDE: "/api/1"}


def user_agent(settings: Settings) -> str:
    """Return an honest User-Agent, with a page that says whom to ask about this traffic."""
    return f"ownership-gateway/{VERSION} (+{settings.itch.contact_url or HOMEPAGE})"


class Store:
    """The way to the store, and what it costs: everything below the verification."""

    def __init__(
        self,
        *,
        source: ItchSource,
        budget: ProcessBudget | ClusterBudget,
        environment: str,
        other_key: asyncio.Event,
    ) -> None:
        self.source = source
        self.budget = budget
        self.environment = environment
        """Whose answers these are; part of every cache entry's name."""
        self.other_key = other_key
        """Set when another of the seller's keys is in use, which may belong to another account."""


async def open_store(
    settings: Settings,
    sandbox: Sandbox | None,
    stack: AsyncExitStack,
    *,
    keys: Keys,
    clock: Clock,
    events: Events,
    network: Network,
    redis: RedisClient | None,
    queueing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Store:
    """Open the way to the store. It need not be there; `redis` is where replicas share a budget."""
    dialect = Dialect(settings.itch.dialect.value)
    base_url, slots = settings.itch.effective_base_url, _key_slots(settings)
    if sandbox is not None:
        # A real server on a loopback port: the gateway speaks to it as it speaks to itch.io.
        server = await stack.enter_async_context(SandboxServer(sandbox))
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
    seller_client = store_client(base_url=base_url, user_agent=agent, network=network)
    player_client = store_client(base_url=base_url, user_agent=agent, network=network)
    stack.push_async_callback(seller_client.close)
    stack.push_async_callback(player_client.close)

    other_key = asyncio.Event()

    def reloaded(setting: str) -> None:
        events.key_reloaded(setting)
        source.forget_seller()
        other_key.set()

    def switched(setting: str) -> None:
        events.key_switched(setting)
        source.forget_seller()
        other_key.set()

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
    return Store(source=source, budget=budget, environment=environment, other_key=other_key)


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
) -> ProcessBudget | ClusterBudget:
    timeout = timedelta(seconds=settings.itch.timeout_seconds) / 2
    own = ProcessBudget(
        rate=settings.itch.rate / settings.replicas,
        burst=max(1, settings.itch.burst // settings.replicas),
        timeout=timeout,
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
        timeout=timeout,
        clock=clock,
        queueing=queueing,
    )
    stack.push_async_callback(budget.close)
    return budget
