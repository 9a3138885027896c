"""The way to the store: its clients, the seller's key and the budget, or the sandbox in the store's address."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Final

from msgspec import Struct

from service.cache.keys import budget_key
from service.errors import NoAnswer
from service.itch.dialect import Dialect
from service.itch.requests import StoreRequests
from service.itch.seller_key import KeySlot, SellerKeyRing
from service.itch.source import ItchSource
from service.limits.cluster_budget import ClusterBudget
from service.limits.credential_pause import CredentialPause
from service.limits.fair_queue import FairQueue
from service.limits.store_budget import ProcessBudget
from service.redis.connect import RedisClient
from service.secret import ProxyUrl
from service.secret_file import SecretFile, SecretPlace
from service.secret_text import read_proxy_url
from service.settings import Settings
from service.stores.client import Client, Network, OpenedInBackground, store_client
from service.wiring.basics import Basics
from service.wiring.version import VERSION

_LEARN_AGAIN_AFTER: Final = timedelta(seconds=30)
_RATE: Final = 6.0
_UNPACED: Final = 1_000_000
"""Requests a second, and at once, to a sandbox of the gateway's own: more than a machine can send."""

Queueing = Callable[[], AbstractContextManager[None]]
"""Entered by look-ups while they wait for their turn: being cancelled there costs nothing."""


class StoreAddress(Struct, frozen=True):
    """The address of the store, in one dialect, and the seller's keys for it."""

    dialect: Dialect
    base_url: str
    slots: list[KeySlot]
    world: int | None = None
    """The number of the world in a sandbox of the gateway's own, None for any other store."""

    @property
    def environment(self) -> str:
        """The store that answers come from: part of every cache entry's name.

        A sandbox of the gateway's own gets another port each time, and another number at each reset: what was
        remembered of it before is found no more.
        """
        place = f"{self.dialect} {self.base_url}"
        return place if self.world is None else f"{place} world {self.world}"


class Upstream(Struct, frozen=True):
    """The source of evidence, what it may be asked, and the clients behind it."""

    address: StoreAddress
    source: ItchSource
    budget: ProcessBudget | ClusterBudget
    queue: FairQueue
    key_ring: SellerKeyRing
    seller_changed: asyncio.Event
    """Set when another of the seller's keys is in use, which may belong to another account."""
    learned: asyncio.Event
    """Set once it is known whose the seller's key is, and which games it sees."""
    forget_refusals: Callable[[], None]
    """Called when a sandbox is well again: nothing is left of what it refused."""
    clients: tuple[OpenedInBackground, ...]

    def is_sandbox(self) -> bool:
        """Whether answers come from a sandbox: the gateway's own, or one that `itch.base_url` leads to."""
        return self.address.world is not None or self.source.sandbox_seen

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
                self.learned.set()
                await self.seller_changed.wait()


async def open_upstream(
    basics: Basics,
    *,
    network: Network,
    redis: RedisClient | None,
    queueing: Queueing = nullcontext,
    address: StoreAddress | None = None,
    listen: Callable[[Client], Client] = lambda client: client,
) -> Upstream:
    """Open the way to the store. It need not be there; `redis` is where replicas share a budget.

    `address` is that of a sandbox of the gateway's own, None for the store in the settings. `listen` stands something
    in front of each client that hears what is asked and answered.
    """
    settings, clock = basics.settings, basics.clock
    address = address or _find_store(settings)
    own_budget = _own_budget(basics, address)
    budget = own_budget if redis is None or address.world is not None else _share(own_budget, basics, address, redis)
    pauses = CredentialPause(clock=clock)
    queue = FairQueue(
        budget=budget, clock=clock, longest=timedelta(milliseconds=settings.deadline_ms), queueing=queueing
    )
    basics.stack.push_async_callback(queue.close)
    proxy = _find_proxy(basics)
    clients = tuple(
        store_client(
            base_url=address.base_url,
            user_agent=user_agent(settings),
            network=network,
            proxy=proxy,
            also_imported=("jwt",),
        )
        for _ in range(2)
    )
    for client in clients:
        basics.stack.push_async_callback(client.close)
    seller_client, player_client = map(listen, clients)
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
        pauses=pauses,
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

    def forget_refusals() -> None:
        own_budget.forget_refusals()
        pauses.clear()
        key_ring.forget_refusals()

    return Upstream(address, source, budget, queue, key_ring, changes.event, asyncio.Event(), forget_refusals, clients)


def user_agent(settings: Settings) -> str:
    """Return an honest User-Agent, with a page that says whom to ask about this traffic where one is configured."""
    page = settings.itch.contact_url or settings.links.base_url
    return f"ownership-gateway/{VERSION}" if page is None else f"ownership-gateway/{VERSION} (+{page})"


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


def _find_store(settings: Settings) -> StoreAddress:
    slots = _key_slots(settings)
    if not slots:
        raise AssertionError("the settings were loaded without a source")
    return StoreAddress(Dialect(settings.itch.dialect.value), settings.itch.effective_base_url, slots)


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
    place = SecretPlace(
        "itch.proxy",
        itch.proxy,
        file=None if itch.proxy_file is None else SecretFile(itch.proxy_file, read=read_proxy_url),
        monotonic=basics.clock.monotonic,
        reloaded=events.key_reloaded,
        unreadable=events.key_unreadable,
    )
    return place.current


def _own_budget(basics: Basics, address: StoreAddress) -> ProcessBudget:
    """Return the part of this replica. A sandbox of the gateway's own bears any pace, unless one is configured."""
    itch, replicas = basics.settings.itch, basics.settings.replicas
    rate, burst = itch.rate or _RATE, itch.burst
    if itch.rate is None and address.world is not None:
        rate, burst = _UNPACED, _UNPACED
    return ProcessBudget(
        rate=rate / replicas,
        burst=max(1, burst // replicas),
        timeout=_longest_wait(basics),
        clock=basics.clock,
        paused=basics.events.paused,
        resumed=basics.events.resumed,
    )


def _share(own: ProcessBudget, basics: Basics, address: StoreAddress, redis: RedisClient) -> ClusterBudget:
    """Return the budget of all replicas; a sandbox of the gateway's own is asked by no other one."""
    itch = basics.settings.itch
    budget = ClusterBudget(
        own=own,
        client=redis,
        key=budget_key(basics.keys.naming, address.environment),
        rate=itch.rate or _RATE,
        burst=itch.burst,
        timeout=_longest_wait(basics),
        clock=basics.clock,
    )
    basics.stack.push_async_callback(budget.close)
    return budget


def _longest_wait(basics: Basics) -> timedelta:
    return timedelta(seconds=basics.settings.itch.timeout_seconds) / 2
