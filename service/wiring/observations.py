"""The memory of replicas: cache tiers, invalidations, revocations, overrides, leases, and the Redis client behind."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final

from msgspec import Struct

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints, table_key
from service.cache.leases import ClusterLeases
from service.cache.memory import MemoryTier
from service.cache.override_notes import OverrideNotes
from service.cache.redis_tier import RedisTier
from service.cache.replicated_table import MOST_ENTRIES, ReplicatedTable
from service.cache.revocation_guard import SharedRechecks, SharedRevocationGuard
from service.cache.sealing import Sealer
from service.cache.shared_overrides import SharedOverrides
from service.cache.table_entry import NO_GAME, OPERATOR, TableEntry, TableKind, TablePlace, TableSealer
from service.cache.table_exchange import TableExchange
from service.cache.tiers import TieredCache
from service.observability.labels import InvalidationKind
from service.ownership import GameId
from service.redis.connect import RedisClient, close, connect
from service.redis.redis_login import RedisUrlFile
from service.secret_file import SecretFile
from service.secret_text import read_secret
from service.verification.interfaces import LookUpLease, NoLease
from service.wiring.background import run_in_background
from service.wiring.basics import Basics

_MEBIBYTE: Final = 1024 * 1024
_LABELS: Final = {
    TableKind.INVALIDATED: InvalidationKind.INVALIDATED,
    TableKind.OVERRULED: InvalidationKind.OVERRULED,
}


class Observations(Struct, frozen=True):
    """The cache, what may no longer be used of it, and the leases that keep look-ups single in a cluster.

    `guard` is None if the operator wants none. `told` returns whether the other replicas can have an entry of the
    table.
    """

    cache: TieredCache
    invalidations: SharedInvalidations
    guard: SharedRevocationGuard | None
    overrides: SharedOverrides
    notes: OverrideNotes
    told: Callable[[TablePlace], Awaitable[bool]]
    lease: LookUpLease
    table: ReplicatedTable


def open_redis(basics: Basics) -> RedisClient | None:
    """Return a client that connects when it is first used, or None if no Redis is configured."""
    redis = basics.settings.redis
    if redis.url is None:
        return None
    file = None
    if redis.url_file is not None:
        file = RedisUrlFile(
            redis.url,
            reread=SecretFile(redis.url_file, read=read_secret).reread,
            reloaded=partial(basics.events.key_reloaded, "redis.url"),
            unreadable=partial(basics.events.key_unreadable, "redis.url"),
        )
    client = connect(redis.url, file=file, tls_unusable=basics.events.tls_file_unusable)
    basics.stack.push_async_callback(close, client)
    return client


async def open_observations(
    basics: Basics, *, redis: RedisClient | None, environment: str, most_invalidations: int = MOST_ENTRIES
) -> Observations:
    """Open the cache: one tier in memory, and Redis behind it where there is one. `environment` names the store."""
    table, told = await _open_table(basics, redis, environment, most_invalidations)
    invalidations = SharedInvalidations(table)
    cache = _open_cache(basics, redis, invalidations)
    return Observations(
        cache=cache,
        invalidations=invalidations,
        guard=_open_guard(basics, redis, environment, table) if basics.settings.revocation_guard else None,
        overrides=_open_overrides(basics, environment, table),
        notes=_open_notes(basics, redis),
        told=told,
        lease=_open_leases(basics, redis, cache),
        table=table,
    )


async def _open_table(
    basics: Basics, redis: RedisClient | None, environment: str, most_invalidations: int
) -> tuple[ReplicatedTable, Callable[[TablePlace], Awaitable[bool]]]:
    """Return the table, once this replica knows what the others have told, so far as Redis says it at once.

    With it comes the way to know whether the others can have an entry.
    """

    def label_of(game_id: GameId) -> str:
        return "none" if game_id == NO_GAME else basics.current.configuration.games.label_of(game_id)

    def overflowed(kind: TableKind, game_id: GameId) -> None:
        basics.events.invalidations_overflowed(_LABELS[kind], label_of(game_id))

    def held(game_id: GameId) -> bool:
        return table.held_since(game_id) is not None

    def told_of_revocations(entry: TableEntry) -> None:
        game = label_of(entry.game_id)
        basics.metrics.read_revocations(game, partial(held, entry.game_id))
        basics.events.revocations(
            game,
            held=entry.held_since is not None,
            by_operator=entry.name == OPERATOR,
            until=entry.believed_until or entry.ends_at,
        )

    table = ReplicatedTable(
        clock=basics.shared_clock,
        on_overflow=overflowed,
        on_revocations=told_of_revocations,
        most_entries=most_invalidations,
    )
    for kind, label in _LABELS.items():
        basics.metrics.read_invalidations(label, partial(table.fullest, kind))
    if redis is None or basics.cluster_clock is None:
        return table, _told_none
    exchange = TableExchange(
        table=table,
        client=redis,
        key=table_key(basics.keys.naming, environment),
        sealer=TableSealer(basics.keys.table),
        clock=basics.cluster_clock,
    )
    basics.stack.push_async_callback(exchange.close)
    crashed = partial(basics.events.crashed, where="invalidations")
    await run_in_background(basics.stack, exchange.run(), crashed=crashed)
    await exchange.catch_up()
    return table, exchange.told


async def _told_none(_place: TablePlace) -> bool:
    """Return that no other replica is told: there is no Redis to tell it through."""
    return False


def _open_overrides(basics: Basics, environment: str, table: ReplicatedTable) -> SharedOverrides:
    overrides = SharedOverrides(
        table=table,
        fingerprints=KeyedFingerprints(basics.keys.naming, environment),
        key=basics.keys.overrides,
        clock=basics.shared_clock,
    )
    basics.metrics.read_overrides(overrides.counts)
    return overrides


def _open_notes(basics: Basics, redis: RedisClient | None) -> OverrideNotes:
    notes = OverrideNotes(client=redis, key=basics.keys.overrides, clock=basics.shared_clock)
    basics.stack.push_async_callback(notes.close)
    return notes


def _open_guard(
    basics: Basics, redis: RedisClient | None, environment: str, table: ReplicatedTable
) -> SharedRevocationGuard:
    clock, keys = basics.shared_clock, basics.keys
    if redis is None:
        return SharedRevocationGuard(table=table, shared=None, clock=clock)
    shared = SharedRechecks(
        client=redis, table_key=keys.table, naming_key=keys.naming, environment=environment, clock=clock
    )
    basics.stack.push_async_callback(shared.close)
    return SharedRevocationGuard(table=table, shared=shared, clock=clock)


def _open_cache(basics: Basics, redis: RedisClient | None, invalidations: SharedInvalidations) -> TieredCache:
    limits, on_operation = basics.settings.cache, basics.metrics.cache_operation
    memory = MemoryTier(
        max_entries=limits.max_entries, max_bytes=limits.max_mebibytes * _MEBIBYTE, clock=basics.shared_clock
    )
    if basics.cluster_clock is not None:
        basics.cluster_clock.on_set_back(memory.set_back)
    tier = None
    if redis is not None:
        tier = RedisTier(
            client=redis,
            sealer=Sealer(basics.keys.sealing),
            clock=basics.shared_clock,
            on_operation=on_operation,
            on_state=basics.events.redis,
            on_overruled=invalidations.overruled,
        )
    cache = TieredCache(memory=memory, redis=tier, on_operation=on_operation, on_overruled=invalidations.overruled)
    basics.stack.push_async_callback(cache.close)
    return cache


def _open_leases(basics: Basics, redis: RedisClient | None, cache: TieredCache) -> LookUpLease:
    if redis is None:
        return NoLease()
    leases = ClusterLeases(
        client=redis,
        leases_key=basics.keys.leases,
        store=cache,
        clock=basics.shared_clock,
        timeout=timedelta(seconds=basics.settings.itch.timeout_seconds),
        joined=basics.events.joined_replica,
    )
    basics.stack.push_async_callback(leases.close)
    return leases
