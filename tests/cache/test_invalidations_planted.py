"""Invalidations against programs that can write to Redis: they make the gateway neither forget nor remember."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.cache.invalidations import EVERYTHING, LARGEST_SKEW, LOOK_EVERY, MOST_FIELDS, SharedInvalidations
from service.cache.keys import derive_keys
from service.cache.sealing import stamp
from service.ownership import Fingerprint
from service.secret import SealingSecret
from tests.cache.invalidated import KEY, Cluster, Make, invalidations
from tests.cache.samples import KEYS, NAME, OTHER_NAME, SECOND
from tests.clock import START, FakeClock
from tests.cluster.promises import Variant, promised, variants


class Gullible(SharedInvalidations):
    """Broken: believes every value in Redis."""

    def _unseal(self, name: Fingerprint, sealed: bytes) -> datetime | None:
        """Read the digits."""
        digits = sealed[:16]
        return START if digits == FORGED[:16] else super()._unseal(name, sealed)


FORGED: Final = b"%016d" % stamp(START) + bytes(16)


async def plant(redis: Redis, fields: dict[bytes, Any]) -> None:
    """Put fields there as a program with access to Redis could, and make it look like news."""
    for name, text in {**fields, b"version": b"news"}.items():
        await redis.execute_command("HSET", KEY, name, text)  # type: ignore[no-untyped-call]


@variants(SharedInvalidations, gullible=Gullible)
async def test_nobody_can_make_us_forget_by_writing_to_redis(
    variant: Variant[Make], cluster: Cluster, empty_redis: Redis
) -> None:
    """Redis is trusted with nothing: proven owners keep their grace."""
    await plant(empty_redis, {bytes(NAME): FORGED, bytes(EVERYTHING): FORGED})

    replica = await cluster.join(empty_redis, kind=variant.make)

    with promised(variant):
        assert replica.invalidated_before(NAME) is None


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"-000000000000001", b"\xff" * 32, b"9" * 16, b"9" * 500, b"%016d" % stamp(START)]
)
async def test_garbage_is_ignored(cluster: Cluster, empty_redis: Redis, text: bytes) -> None:
    """A value that is no invalidation is ignored, and good ones next to it count."""
    one = await cluster.join(empty_redis)
    one.invalidate(OTHER_NAME, before=START)
    await cluster.rest()

    await plant(empty_redis, {bytes(NAME): text, b"": text, b"\xff\x00 nonsense": text})
    late = await cluster.join(empty_redis)

    assert (late.invalidated_before(NAME), late.invalidated_before(OTHER_NAME)) == (None, START)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"\xff" * 32, b"9" * 16, FORGED])
async def test_garbage_does_not_keep_its_place(cluster: Cluster, empty_redis: Redis, text: bytes) -> None:
    """Neither by being no number, nor by being a larger one than ever comes."""
    await plant(empty_redis, {bytes(NAME): text})
    one = await cluster.join(empty_redis)

    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()

    assert (await cluster.join(empty_redis)).invalidated_before(NAME) == START + SECOND


class Polite(SharedInvalidations):
    """Broken: does not insist where something else stands."""

    def _send(self, name: Fingerprint) -> None:
        """Send it if there is room."""
        if name not in self._in_redis:
            super()._send(name)


@pytest.mark.parametrize("noticed", [True, False])
@variants(SharedInvalidations, polite=Polite)
async def test_what_is_no_floor_keeps_none_from_the_others(
    variant: Variant[Make],
    cluster: Cluster,
    empty_redis: Redis,
    noticed: bool,  # noqa: FBT001 - drawn
) -> None:
    """A planted value with an instant a little ahead of the clocks keeps no invalidation from the other replicas."""
    one, other = await cluster.join(empty_redis, kind=variant.make), await cluster.join(empty_redis)
    ahead = b"%016d" % stamp(START + 30 * SECOND) + bytes(16)
    if noticed:
        await plant(empty_redis, {bytes(NAME): ahead})
        await cluster.pass_time()
    else:
        await empty_redis.hset(KEY, bytes(NAME), ahead)

    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()

    with promised(variant):
        assert other.invalidated_before(NAME) == START + SECOND


async def test_everything_of_gateways_with_another_secret_stays(cluster: Cluster, empty_redis: Redis) -> None:
    """While a secret is changed, neither drives out the other's again and again."""
    stranger = await cluster.join(
        empty_redis, key=derive_keys(SealingSecret("another secret, long enough")).invalidations
    )
    one = await cluster.join(empty_redis)
    stranger.invalidate(EVERYTHING, before=START + SECOND)
    await cluster.pass_time()
    theirs = (await empty_redis.hgetall(KEY))[bytes(EVERYTHING)]

    one.invalidate(EVERYTHING, before=START)
    await cluster.pass_time()

    assert (await empty_redis.hgetall(KEY))[bytes(EVERYTHING)] == theirs


async def test_a_flood_of_fields_is_put_away(cluster: Cluster, empty_redis: Redis) -> None:
    """Replicas would stand still while they read it; they send their invalidations again."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    one.invalidate(NAME, before=START)
    await cluster.rest()

    await plant(empty_redis, {b"%d" % number: FORGED for number in range(MOST_FIELDS)})
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert await empty_redis.hlen(KEY) == 2
    assert [replica.invalidated_before(NAME) for replica in (one, other, late)] == [START] * 3


@pytest.mark.parametrize("command", [("SET", KEY, "x"), ("RPUSH", KEY, "x"), ("SADD", KEY, "x")])
async def test_a_foreign_value_makes_room(cluster: Cluster, empty_redis: Redis, command: tuple[str, ...]) -> None:
    """A value of a foreign type under our key is replaced."""
    await empty_redis.execute_command(*command)  # type: ignore[no-untyped-call]
    one, other = [await cluster.join(empty_redis) for _ in range(2)]

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert other.invalidated_before(NAME) == START


async def test_an_invalidation_cannot_be_copied_to_another_name(cluster: Cluster, empty_redis: Redis) -> None:
    """The seal is for one name."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()
    sealed = (await empty_redis.hgetall(KEY))[bytes(NAME)]

    await plant(empty_redis, {bytes(EVERYTHING): sealed, bytes(OTHER_NAME): sealed})
    late = await cluster.join(empty_redis)

    assert (late.invalidated_before(NAME), late.invalidated_before(OTHER_NAME)) == (START, None)


async def test_gateways_with_another_secret_are_not_believed(cluster: Cluster, empty_redis: Redis) -> None:
    """Their names are other ones anyway."""
    stranger = await cluster.join(
        empty_redis, key=derive_keys(SealingSecret("another secret, long enough")).invalidations
    )

    stranger.invalidate(NAME, before=START)
    await cluster.rest()

    assert (await cluster.join(empty_redis)).invalidated_before(NAME) is None


@pytest.mark.parametrize(
    ("ahead", "taken"),
    [(timedelta(minutes=30), timedelta(minutes=30)), (timedelta(days=365), LARGEST_SKEW)],
)
async def test_a_clock_that_is_far_ahead_costs_an_hour_at_most(
    cluster: Cluster, empty_redis: Redis, clock: FakeClock, ahead: timedelta, taken: timedelta
) -> None:
    """The store is asked again for that name until our clock has caught up, and that takes no year."""
    replica = await cluster.join(empty_redis)
    wrong = invalidations(empty_redis, FakeClock(START + ahead))
    wrong.invalidate(NAME, before=START + ahead)
    await wrong.close()

    await cluster.pass_time(LOOK_EVERY)

    assert START + taken <= (replica.invalidated_before(NAME) or START) <= clock.now() + taken


async def test_invalidations_show_neither_names_nor_keys(cluster: Cluster, empty_redis: Redis) -> None:
    """A name is a keyed hash already; the key of the seal stays here."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()

    assert bytes.fromhex(KEYS.invalidations.reveal()) not in (await empty_redis.dump(KEY) or b"")
