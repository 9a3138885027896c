"""The way to the store: its clients, the seller's key and the budget, or the sandbox in the store's address."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Final

from msgspec import Struct

from service.cache.keys import budget_key
from service.errors import NoAnswer
from service.itch.client import Network, OpenedInBackground, store_client
from service.itch.dialect import Dialect
from service.itch.proxy import ProxyPlace
from service.itch.requests import StoreRequests
from service.itch.seller_key import KeySlot, SellerKeyRing
from service.itch.source import ItchSource
from service.limits.cluster_budget import ClusterBudget
from service.limits.credential_pause import CredentialPause
from service.limits.fair_queue import FairQueue
from service.limits.store_budget import ProcessBudget
from service.redis.connect import RedisClient
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import SELLER_KEY as SANDBOX_SELLER_KEY
from service.sandbox.state import Sandbox
from service.secret import ProxyUrl, SellerKey
from service.settings import Settings
from service.wiring.basics import Basics
from service.wiring.version import VERSION

HOMEPAGE: Final = "https://ownership-gateway.example"
_SANDBOX_PATH: Final = {Dialect.CURRENT: "", Dialect.SERVER_SIDE: "/api/1"}
_LEARN_AGAIN_AFTER: Final = timedelta(seconds=30)

Queueing = Callable[[], AbstractContextManager[None]]
"""Entered by look-ups while they wait for their turn: being cancelled there costs nothing."""


class StoreAddress(Struct, frozen=True):
    """The address of the store, in one dialect, and the seller's keys for it."""

    dialect: Dialect
    base_url: str
    slots: list[KeySlot]

    @property
    def environment(self) -> str:
        """The store that answers come from: part of every cache entry's name.

        The sandbox gets another port each time: its answers are worth nothing to the next one anyway.
        """
        return f"{self.dialect} {self.base_url}"


class Upstream(Struct, frozen=True):
    """The source of evidence, what it may be asked, and the clients behind it."""

    address: StoreAddress
    source: ItchSource
    budget: ProcessBudget | ClusterBudget
    queue: FairQueue
    key_ring: SellerKeyRing
    seller_changed: asyncio.Event
    """Set when another of the seller's keys is in use, which may belong to another account."""
    clients: tuple[OpenedInBackground, ...]
    sandbox: Sandbox | None

    def is_sandbox(self) -> bool:
        """Whether answers come from a sandbox: the gateway's own, or one that `itch.base_url` leads to."""
        return self.sandbox is not None or self.source.sandbox_seen

    def paused_seconds(self) -> float:
        """The time for which the store is not asked yet."""
        return self.budget.pause_left().total_seconds()

    async def open_clients(self) -> None:
        """Return once the first question need not wait for the clients; nothing is asked by that."""
        await asyncio.gather(*(client.open() for client in self.clients))

    async def learn(self, basics: Basics) -> None:
        """Learn whose the seller's key is, and which games it sees; again for another key. Goes on until cancelled."""
        while True:
            self.seller_changed.clear()
            try:
                await self.source.identify_seller()
                for game in await self.source.games() if not basics.current.configuration.games else ():
                    basics.metrics.learn_game(game.id)
            except NoAnswer:
                await basics.clock.sleep(_LEARN_AGAIN_AFTER)
            else:
                await self.seller_changed.wait()


async def open_upstream(
    basics: Basics, *, network: Network, redis: RedisClient | None, queueing: Queueing = nullcontext
) -> Upstream:
    """Open the way to the store. It need not be there; `redis` is where replicas share a budget."""
    settings, clock = basics.settings, basics.clock
    sandbox = Sandbox(clock=clock) if settings.sandbox else None
    address = await _find_store(basics, sandbox)
    budget = _open_budget(basics, address, redis)
    queue = FairQueue(
        budget=budget, clock=clock, longest=timedelta(milliseconds=settings.deadline_ms), queueing=queueing
    )
    basics.stack.push_async_callback(queue.close)
    proxy = _find_proxy(basics)
    clients = tuple(
        store_client(base_url=address.base_url, user_agent=user_agent(settings), network=network, proxy=proxy)
        for _ in range(2)
    )
    for client in clients:
        basics.stack.push_async_callback(client.close)
    seller_client, player_client = clients
    changes = _SellerChanges(basics)
    key_ring = SellerKeyRing(
        address.slots,
        clock=clock,
        reloaded=changes.reloaded,
        unreadable=basics.events.key_unreadable,
        switched=changes.switched,
    )
    requests = StoreRequests(
        seller_client=seller_client,
        player_client=player_client,
        dialect=address.dialect,
        seller_key=key_ring,
        queue=queue,
        budget=budget,
        pauses=CredentialPause(clock=clock),
        clock=clock,
        observer=basics.events,
        stood_still=basics.lag.stood_still,
    )
    source = ItchSource(
        requests=requests,
        clock=basics.shared_clock,
        local_clock=clock,
        timeout=timedelta(seconds=settings.itch.timeout_seconds),
    )
    changes.attach(source)
    return Upstream(address, source, budget, queue, key_ring, changes.event, clients, sandbox)


def user_agent(settings: Settings) -> str:
    """Return an honest User-Agent, with a page that says whom to ask about this traffic."""
    return f"ownership-gateway/{VERSION} (+{settings.itch.contact_url or HOMEPAGE})"


class _SellerChanges:
    """The consequences of another seller's key: the source forgets the account, log lines are written, waiters wake."""

    def __init__(self, basics: Basics) -> None:
        self.event = asyncio.Event()
        self._events = basics.events
        self._source: ItchSource | None = None

    def attach(self, source: ItchSource) -> None:
        """Have this source forget the account from now on. It is made after the key, so it comes later."""
        self._source = source

    def reloaded(self, setting: str) -> None:
        self._events.key_reloaded(setting)
        self._changed()

    def switched(self, setting: str) -> None:
        self._events.key_switched(setting)
        self._changed()

    def _changed(self) -> None:
        if self._source is None:
            raise AssertionError("a key was used before there was a source to use it")
        self._source.forget_seller()
        self.event.set()


async def _find_store(basics: Basics, sandbox: Sandbox | None) -> StoreAddress:
    itch = basics.settings.itch
    dialect = Dialect(itch.dialect.value)
    if sandbox is not None:
        # A real server on a loopback port: the gateway speaks to it as it speaks to itch.io.
        server = await basics.stack.enter_async_context(SandboxServer(sandbox))
        slot = KeySlot("sandbox", SellerKey(SANDBOX_SELLER_KEY), file=None)
        return StoreAddress(dialect, server.base_url + _SANDBOX_PATH[dialect], [slot])
    slots = _key_slots(basics.settings)
    if not slots:
        raise AssertionError("the settings were loaded without a source")
    return StoreAddress(dialect, itch.effective_base_url, slots)


def _key_slots(settings: Settings) -> list[KeySlot]:
    itch = settings.itch
    places = [
        ("itch.api_key", itch.api_key, itch.api_key_file),
        ("itch.next_api_key", itch.next_api_key, itch.next_api_key_file),
    ]
    return [KeySlot(setting, key, file=file) for setting, key, file in places if key is not None]


def _find_proxy(basics: Basics) -> Callable[[], ProxyUrl] | None:
    itch, events = basics.settings.itch, basics.events
    if itch.proxy is None:
        return None
    place = ProxyPlace(
        itch.proxy,
        file=itch.proxy_file,
        clock=basics.clock,
        reloaded=events.key_reloaded,
        unreadable=events.key_unreadable,
    )
    return place.current


def _open_budget(basics: Basics, address: StoreAddress, redis: RedisClient | None) -> ProcessBudget | ClusterBudget:
    itch, replicas = basics.settings.itch, basics.settings.replicas
    timeout = timedelta(seconds=itch.timeout_seconds) / 2
    own = ProcessBudget(
        rate=itch.rate / replicas,
        burst=max(1, itch.burst // replicas),
        timeout=timeout,
        clock=basics.clock,
        paused=basics.events.paused,
        resumed=basics.events.resumed,
    )
    if redis is None:
        return own
    budget = ClusterBudget(
        own=own,
        client=redis,
        key=budget_key(basics.keys.naming, address.environment),
        rate=itch.rate,
        burst=itch.burst,
        timeout=timeout,
        clock=basics.clock,
    )
    basics.stack.push_async_callback(budget.close)
    return budget
