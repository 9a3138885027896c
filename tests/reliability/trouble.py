"""The faults of the store and Redis, so that any of them can be named, ordered and taken away again."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis.asyncio import Redis

from service.sandbox.faults import Fault
from service.sandbox.store_endpoints import StoreEndpoint
from tests.redis_server import free_port

STORE: Final = {
    "error": Fault(status=500),
    "bad gateway": Fault(status=502),
    "throttled for long": Fault(status=429, retry_after="30"),
    "throttled": Fault(status=429),
    "away": Fault(status=503),
    "challenged": Fault(html_challenge=True),
    "challenged politely": Fault(html_challenge=True, status=200),
    "cut off": Fault(truncated=True),
    "moved": Fault(redirect="https://elsewhere.example/"),
    "empty": Fault(body="{}"),
    "no object": Fault(body="[]"),
    "nonsense": Fault(body="nonsense"),
    "new words": Fault(body='{"errors": ["something new"]}'),
    "no such game": Fault(body='{"errors": ["invalid game"]}', endpoint=StoreEndpoint.DOWNLOAD_KEYS),
    "half of it away": Fault(status=500, rate=0.5),
    "no purchases": Fault(status=500, endpoint=StoreEndpoint.PURCHASES),
    "no keys": Fault(status=500, endpoint=StoreEndpoint.DOWNLOAD_KEYS),
    "no profile": Fault(status=500, endpoint=StoreEndpoint.PROFILE),
    "slow": Fault(latency_ms=1000),
    "silent": Fault(latency_ms=8000),
}
"""Faults of the store, in place of a good answer."""

Entries = dict[bytes, bytes]
Act = Callable[["Redis"], Awaitable[Any]]


async def entries_of(redis: Redis) -> Entries:
    """Return every value that Redis has as plain bytes."""
    found: Entries = {}
    async for key in redis.scan_iter():
        if await redis.type(key) == b"string" and isinstance(value := await redis.get(key), bytes):
            found[key] = value
    return found


async def put_back(redis: Redis, entries: Entries) -> None:
    """Restore these values in Redis, over all newer ones."""
    for key, value in entries.items():
        await redis.set(key, value)


async def flush(redis: Redis) -> None:
    """Forget everything, the scripts too."""
    await redis.flushall()
    await redis.script_flush()


async def flip(redis: Redis) -> None:
    """Change one bit of every value, somewhere else in each."""
    for number, (key, value) in enumerate((await entries_of(redis)).items()):
        changed = bytearray(value)
        changed[(number * 13) % len(changed)] ^= 1 << number % 8
        await redis.set(key, bytes(changed))


async def cut(redis: Redis) -> None:
    """Keep only half of every value."""
    for key, value in (await entries_of(redis)).items():
        await redis.set(key, value[: len(value) // 2])


async def swap(redis: Redis) -> None:
    """Give every value to another key."""
    found = await entries_of(redis)
    for key, value in zip(found, itertools.islice(itertools.cycle(found.values()), 1, None), strict=False):
        await redis.set(key, value)


async def other_version(redis: Redis) -> None:
    """Let every value be one that another version has written."""
    for key, value in (await entries_of(redis)).items():
        await redis.set(key, bytes([(value[0] + 1) % 256]) + value[1:])


async def other_type(redis: Redis) -> None:
    """Put lists where values were, and text where hashes were."""
    async for key in redis.scan_iter():
        kind = await redis.type(key)
        async with redis.pipeline() as at_once:  # else a gateway writes between the two
            at_once.delete(key)
            if kind == b"string":
                at_once.rpush(key, "not", "ours")
            else:
                at_once.set(key, "not ours")
            await at_once.execute()


async def nonsense(redis: Redis) -> None:
    """Replace every value and every field by text."""
    async for key in redis.scan_iter():
        if await redis.type(key) == b"hash":
            for field in await redis.hkeys(key):
                await redis.hset(key, field, "nan")
        else:
            await redis.set(key, '{"allowed": true, "outcome": "owned"}')


async def hang_up(redis: Redis) -> None:
    """Close every connection but this one."""
    await redis.client_kill_filter(_type="normal", skipme=True)


SPOILT: Final[dict[str, Act]] = {
    "flushed": flush,
    "flipped": flip,
    "cut": cut,
    "swapped": swap,
    "of another version": other_version,
    "of another type": other_type,
    "nonsense": nonsense,
    "hung up": hang_up,
}
"""Changes to the entries in Redis, which works as before."""


async def full(redis: Redis) -> None:
    """Take no more."""
    await redis.config_set("maxmemory", "1")


async def evicting(redis: Redis) -> None:
    """Evict an entry for every one that is written."""
    await redis.config_set("maxmemory-policy", "allkeys-random")
    await redis.config_set("maxmemory", "1")


async def demote(redis: Redis) -> None:
    """Become the replica of a master that cannot be reached."""
    await redis.replicaof("127.0.0.1", str(free_port()))


async def heal(redis: Redis) -> None:
    """Be a master with room again."""
    await redis.replicaof("NO", "ONE")
    await redis.config_set("maxmemory", "0")
    await redis.config_set("maxmemory-policy", "noeviction")


UNWELL: Final[dict[str, Act]] = {"full": full, "evicting": evicting, "read-only": demote}
"""Faults of Redis itself, until it is healed."""
