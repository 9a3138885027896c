"""Values that another program has put under the gateway's names in Redis, larger than any of its own.

No answer is another one for it. Nothing is read to its end: what Redis sends, and the memory that it takes to answer
with, are counted in bytes. Nothing large is freed while all others wait: Redis counts what it frees beside its work.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct
from redis.asyncio import Redis

from service.sandbox import seed
from tests.fault_proxy import FaultProxy
from tests.redis_server import RedisServer
from tests.reliability.test_redis_corpus import Cluster, all_is_well

LONG: Final = 2**20
"""Bytes of a text; each of ours has less than a hundredth of it."""

MANY: Final = 20_000
"""Members of a value; those that a Redis frees at once are fewer than a hundred."""

LONG_TEXT: Final = "redis.call('SETRANGE', KEYS[1], ARGV[1] - 1, 'x')"
LONG_FIELDS: Final = """
    for _, field in ipairs({'tokens', 'counted_at', 'share', 'paused_until', 'refusals', 'first', 'last', '1'}) do
        redis.call('HSET', KEYS[1], field, string.rep('1', ARGV[1]))
    end"""
LONG_VALUES: Final = {
    b"e": ("an entry", LONG_TEXT),
    b"l": ("a lease", LONG_TEXT),
    b"s": ("the secrets", LONG_TEXT),
    b"b": ("the budget", LONG_FIELDS),
    b"t": ("the table", LONG_FIELDS),
}
"""The largest values of the type that is expected, by the part of the names that says what it is."""

MANY_MEMBERS: Final = {
    "a list": "redis.call('RPUSH', KEYS[1], string.rep('x', 100) .. i)",
    "a set": "redis.call('SADD', KEYS[1], 'member ' .. i)",
    "a sorted set": "redis.call('ZADD', KEYS[1], i, 'member ' .. i)",
    "a stream": "redis.call('XADD', KEYS[1], i .. '-0', 'field', string.rep('x', 100))",
}
TEMPLATE: Final = "planted"
PATIENCE_SECONDS: Final = 60
"""Of a busy machine, on which Redis is left alone now and then."""


class Seen(Struct, frozen=True):
    """The figures of a run: bytes that Redis has sent, and taken to answer with; values planted, and freed beside."""

    sent: int
    taken: int
    planted: int
    freed_beside: int


@pytest.fixture
async def operator(own_redis: RedisServer) -> AsyncIterator[Redis]:
    """A client for the test, beside the gateways."""
    async with Redis.from_url(own_redis.url) as client:
        yield client


async def plant(operator: Redis, kinds: Collection[bytes]) -> int:
    """Copy the template to every name of these kinds in Redis, the leases of its entries too; return their number."""
    found = {bytes(name) async for name in operator.scan_iter("og:v2:*")}
    found |= {name.replace(b":e:", b":l:") for name in found if b":e:" in name}  # some are held at this moment
    names = [name for name in found if name.split(b":")[2] in kinds]
    assert {name.split(b":")[2] for name in names} == set(kinds)
    for name in names:
        await operator.copy(TEMPLATE, name.decode(), replace=True)
    return len(names)


async def live_through(
    directory: Path,
    server: RedisServer,
    operator: Redis,
    *,
    kinds: Collection[bytes],
    enough: Callable[[Seen], bool] = lambda _: True,
) -> Seen:
    """Fill Redis, plant, and ask the gateway that filled it and one that starts then, until that is enough."""
    cluster, sizes = Cluster(directory), list[int]()
    async with FaultProxy(server.port, answered=lambda data: sizes.append(len(data))) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with cluster.gateway(url) as one:
            await all_is_well(one)
            forgotten = await one.post("/admin/invalidate", json={"game": seed.GAME_ID, "user_id": seed.STRANGER_ID})
            assert forgotten.is_success
            while not await operator.keys("og:v2:t:*"):
                continue  # the other gateways are told without waiting
            # The gateway finds some of them while the others are still being planted.
            freed: int = (await operator.info("memory"))["lazyfreed_objects"]
            planted = await plant(operator, kinds)
            sizes.clear()
            peak: int = (await operator.info("memory"))["used_memory_peak"]
            async with cluster.gateway(url) as other, asyncio.timeout(PATIENCE_SECONDS):
                seen = None
                while seen is None or not enough(seen):
                    for gateway in (other, one, other):
                        await all_is_well(gateway)
                    after: Any = await operator.info("memory")
                    seen = Seen(
                        sent=sum(sizes),
                        taken=after["used_memory_peak"] - peak,
                        planted=planted,
                        freed_beside=after["lazyfreed_objects"] - freed,
                    )
    assert not cluster.log.lines("bug")
    return seen


@pytest.mark.parametrize(
    ("kind", "planting"),
    [(kind, planting) for kind, (_, planting) in LONG_VALUES.items()],
    ids=[what for what, _ in LONG_VALUES.values()],
)
async def test_no_value_is_read_that_is_longer_than_ours(
    kind: bytes, planting: str, tmp_path: Path, own_redis: RedisServer, operator: Redis
) -> None:
    """Neither the gateway nor Redis takes in as much as one such value."""
    await operator.eval(planting, 1, TEMPLATE, LONG)

    seen = await live_through(tmp_path, own_redis, operator, kinds=[kind])

    assert max(seen.sent, seen.taken) < LONG / 2


@pytest.mark.parametrize("adding", MANY_MEMBERS.values(), ids=MANY_MEMBERS)
async def test_no_value_of_many_members_is_freed_while_others_wait(
    adding: str, tmp_path: Path, own_redis: RedisServer, operator: Redis
) -> None:
    """All of them make room, sooner or later, and none holds up what Redis does for others."""
    await operator.eval(f"for i = 1, ARGV[1] do {adding} end", 1, TEMPLATE, MANY)

    seen = await live_through(
        tmp_path,
        own_redis,
        operator,
        kinds=LONG_VALUES,
        enough=lambda seen: seen.freed_beside >= seen.planted,
    )

    assert seen.freed_beside == seen.planted
