"""The replicated table against programs that can write to Redis: they make the gateway neither forget nor remember."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.cache.keys import derive_keys
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.table_entry import (
    LARGEST_ENTRY,
    PLACE_BYTES,
    WHOLE_GAME,
    TableEntry,
    TableKind,
    TableSealer,
)
from service.cache.table_exchange import MOST_AT_ONCE, TableExchange
from service.ownership import Fingerprint
from service.secret import SealingSecret
from tests.cache.invalidated import KEY, OURS, Cluster, Kinds, Replica
from tests.cache.samples import DAY, GAME, KEYS, NAME, OTHER_NAME, SECOND, name_of
from tests.clock import START, FakeClock, WrongClock
from tests.cluster.promises import Variant, promised, variants

OTHER_KEY: Final = derive_keys(SealingSecret("another secret, long enough")).table


def entry_for(name: Fingerprint, *, made_at: timedelta = timedelta()) -> TableEntry:
    """Return an invalidation, made so long after the start."""
    return TableEntry(TableKind.INVALIDATED, GAME, name, stamp(START + made_at), START + made_at + 3 * DAY)


def sealed(name: Fingerprint, *, made_at: timedelta = timedelta()) -> bytes:
    """Return an invalidation as a gateway of ours seals it."""
    return TableSealer(KEYS.table).seal(entry_for(name, made_at=made_at))


def forged(name: Fingerprint, *, made_at: timedelta = timedelta()) -> bytes:
    """Return an invalidation whose seal is another one's."""
    return sealed(name, made_at=made_at)[:-16] + bytes(16)


async def plant(redis: Redis, fields: Mapping[bytes | str, bytes | str | int]) -> None:
    """Put fields there as a program with access to Redis could."""
    arguments = [part for field in fields.items() for part in field]
    await redis.execute_command("HSET", KEY, *arguments)  # type: ignore[no-untyped-call]


async def plant_entries(redis: Redis, *entries: bytes) -> None:
    """Put entries there as our script does."""
    await plant(redis, {"first": 1, "last": len(entries)})
    for number, entry in enumerate(entries, start=1):
        await plant(redis, {str(number): entry, entry[:PLACE_BYTES]: number})


class GullibleSealer(TableSealer):
    """Broken: every seal is good."""

    def _hash(self, unsealed: bytes) -> bytes:  # noqa: ARG002 - it is always the same
        """Return the one that is easily forged."""
        return bytes(16)


class Gullible(TableExchange):
    """Broken: believes everything in Redis."""

    def __init__(self, **collaborators: object) -> None:
        """Take another sealer."""
        super().__init__(**{**collaborators, "sealer": GullibleSealer(KEYS.table)})  # type: ignore[arg-type]  # as given


@variants(OURS, gullible=Kinds(exchange=Gullible))
async def test_nobody_can_make_us_forget_by_writing_to_redis(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis
) -> None:
    """Redis is trusted with nothing: proven owners keep their grace."""
    await plant_entries(empty_redis, forged(NAME), forged(WHOLE_GAME))

    replica = await cluster.join(empty_redis, kinds=variant.make)

    with promised(variant):
        assert replica.invalidated_before(NAME) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"nonsense", b"-1", b"1e9", b"0x10", b" 1", b"9" * 16, b"9" * 500, b"1.5", b"nan", b"\xff" * 121],
)
@pytest.mark.parametrize("field", ["first", "last", "1", "2", "index"])
async def test_garbage_is_ignored_and_keeps_no_place(
    cluster: Cluster, empty_redis: Redis, field: str, text: bytes
) -> None:
    """With anything in a field of ours, invalidations reach those who are there and those who come."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    one.invalidate(OTHER_NAME, before=START)
    await cluster.pass_time()

    await plant(empty_redis, {sealed(NAME)[:PLACE_BYTES] if field == "index" else field: text})
    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()
    one.invalidate(name_of(7), before=START + SECOND)
    await cluster.pass_time()

    assert [other.invalidated_before(name) for name in (NAME, OTHER_NAME, name_of(7))] == [
        START + SECOND,
        START,
        START + SECOND,
    ]


@pytest.mark.parametrize("bounds", [(1, 10**15), (10**15, 10**15), (5, 2), (0, 0), (1, 50_000)])
async def test_numbers_that_cannot_be_end(cluster: Cluster, empty_redis: Redis, bounds: tuple[int, int]) -> None:
    """Neither does a replica read for ever, nor does an invalidation get lost."""
    one = await cluster.join(empty_redis)
    one.invalidate(OTHER_NAME, before=START)
    await cluster.rest()

    await plant(empty_redis, {"first": bounds[0], "last": bounds[1]})
    await cluster.rest()
    one.invalidate(NAME, before=START)
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert late.invalidated_before(NAME) == START


class Polite(TableExchange):
    """Broken: does not insist where something else stands."""

    def _take_over(self, answer: Any, telling: list[tuple[TableEntry, bytes]]) -> None:
        """Look at nothing that was in the way."""
        answer.in_place.clear()
        super()._take_over(answer, telling)


@pytest.mark.parametrize("ahead", [timedelta(), 4 * SECOND, 30 * SECOND, 300 * DAY])
async def test_what_is_no_invalidation_keeps_none_from_the_others(
    cluster: Cluster, empty_redis: Redis, ahead: timedelta
) -> None:
    """A planted value may say that it is newer: it makes room for what a gateway has sealed."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    await plant_entries(empty_redis, forged(NAME, made_at=SECOND + ahead))

    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()

    assert other.invalidated_before(NAME) == START + SECOND


async def test_a_gateway_that_does_not_insist_is_noticed(cluster: Cluster, empty_redis: Redis) -> None:
    """A control: without insisting, the planted value keeps the invalidation from the other."""
    one, other = await cluster.join(empty_redis, kinds=Kinds(exchange=Polite)), await cluster.join(empty_redis)
    await plant_entries(empty_redis, forged(NAME, made_at=4 * SECOND))

    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()

    assert other.invalidated_before(NAME) is None


async def test_a_flood_of_fields_is_not_read(cluster: Cluster, empty_redis: Redis) -> None:
    """Replicas read what is new by its number, and stand still for nothing else; nothing is lost."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    await plant(empty_redis, {b"flood %d" % number: forged(NAME) for number in range(30_000)})
    await empty_redis.config_resetstat()
    one.invalidate(OTHER_NAME, before=START)
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert [replica.entries for replica in (one, other, late)] == [2] * 3
    assert (await empty_redis.info("commandstats"))["cmdstat_hget"]["calls"] < MOST_AT_ONCE


async def test_no_value_is_read_that_is_longer_than_ours(cluster: Cluster, empty_redis: Redis) -> None:
    """Neither a planted entry, nor a number, nor what stands in an entry's place."""
    huge = bytes(2_000_000)
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    one.invalidate(OTHER_NAME, before=START)
    await cluster.pass_time()
    await plant(empty_redis, {"last": 3, "2": huge, "3": huge, sealed(NAME)[:PLACE_BYTES]: huge})
    before = (await empty_redis.info("stats"))["total_net_output_bytes"]

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert (await empty_redis.info("stats"))["total_net_output_bytes"] - before < len(huge)
    assert other.invalidated_before(NAME) == START


@pytest.mark.parametrize("command", [("SET", KEY, "x"), ("RPUSH", KEY, "x"), ("SADD", KEY, "x")])
async def test_a_foreign_value_makes_room(cluster: Cluster, empty_redis: Redis, command: tuple[str, ...]) -> None:
    """A value of a foreign type under our key is replaced."""
    await empty_redis.execute_command(*command)  # type: ignore[no-untyped-call]
    one, other = [await cluster.join(empty_redis) for _ in range(2)]

    one.invalidate(NAME, before=START)
    await cluster.pass_time()

    assert other.invalidated_before(NAME) == START


async def test_an_invalidation_cannot_be_copied_to_another_place(cluster: Cluster, empty_redis: Redis) -> None:
    """The seal is for one kind, game, name, version and end."""
    good = sealed(NAME)
    whole = good[:9] + WHOLE_GAME + good[25:]
    other = good[:9] + OTHER_NAME + good[25:]
    later = good[:25] + (stamp(START) + 1).to_bytes(8, "big") + good[33:]
    overruled = b"\2" + good[1:]

    await plant_entries(empty_redis, whole, other, later, overruled)
    late = await cluster.join(empty_redis)

    assert late.entries == 0


async def test_gateways_with_another_secret_are_not_believed(cluster: Cluster, empty_redis: Redis) -> None:
    """Their names are other ones anyway."""
    stranger = await cluster.join(empty_redis, key=OTHER_KEY)

    stranger.invalidate(NAME, before=START)
    await cluster.rest()

    assert (await cluster.join(empty_redis)).invalidated_before(NAME) is None


def test_an_entry_of_a_later_version_is_left_alone() -> None:
    """Another kind is sealed with our key, and nothing that this version understands."""
    sealer = TableSealer(KEYS.table)
    later = sealer.seal(replace(entry_for(NAME), kind=9))

    assert sealer.unseal(later) is None


@pytest.mark.parametrize("size", [0, 1, 56, LARGEST_ENTRY + 1])
def test_what_has_not_the_size_of_an_entry_is_none(size: int) -> None:
    """Longer and shorter values are not looked at."""
    assert TableSealer(KEYS.table).unseal(bytes(size)) is None


def test_an_entry_is_sealed_with_its_value() -> None:
    """It is the same again when it is unsealed."""
    sealer, entry = TableSealer(KEYS.table), replace(entry_for(NAME), value=b"a value" * 9)

    assert sealer.unseal(sealer.seal(entry)) == entry


class Literal(ReplicatedTable):
    """Broken: an instant of a clock that is ahead is taken as it is."""

    def _correct(self) -> None:
        """Wait until the time has come."""

    def merge(self, entry: TableEntry) -> bool:
        """Take it over."""
        names = self.tables.setdefault((entry.kind, entry.game_id), {})
        names[entry.name] = entry
        return True


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=365)])
@variants(OURS, literal=Kinds(table=Literal))
async def test_what_was_made_by_a_clock_that_was_ahead_counts_as_made_now(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis, clock: FakeClock, ahead: timedelta
) -> None:
    """Once: nothing has to be looked up again and again until the time of that clock has come."""
    machine = WrongClock(clock, ahead)
    replica = Replica(None, clock, machine=machine, kinds=variant.make)
    replica.invalidate(OTHER_NAME, before=START - DAY)
    replica.invalidate(NAME, before=machine.now())
    machine.ahead = timedelta()
    await clock.advance(10 * SECOND)

    first = replica.invalidated_before(NAME)
    await clock.advance(10 * SECOND)

    with promised(variant):
        assert first == replica.invalidated_before(NAME) == START + 10 * SECOND


async def test_what_redis_has_from_the_future_counts_as_made_now(
    cluster: Cluster, empty_redis: Redis, clock: FakeClock
) -> None:
    """Redis may be another one now, with another clock: the first who reads it says so to the others."""
    await plant_entries(empty_redis, sealed(NAME, made_at=DAY))
    one = await cluster.join(empty_redis)
    await cluster.pass_time()

    late = await cluster.join(empty_redis)

    assert one.invalidated_before(NAME) == late.invalidated_before(NAME)
    assert START <= (late.invalidated_before(NAME) or START - DAY) <= START + SECOND


async def test_entries_show_neither_keys_nor_more_than_names(cluster: Cluster, empty_redis: Redis) -> None:
    """A name is a keyed hash already; the key of the seal stays here."""
    one = await cluster.join(empty_redis)
    one.invalidate(NAME, before=START)
    await cluster.rest()

    assert bytes.fromhex(KEYS.table.reveal()) not in (await empty_redis.dump(KEY) or b"")


async def test_old_entries_move_up_where_numbers_lie_far_apart(cluster: Cluster, empty_redis: Redis) -> None:
    """The oldest gets a new number, and is read once more; nothing is lost."""
    await plant_entries(empty_redis, sealed(NAME))
    await plant(empty_redis, {"last": 25_000})
    one = await cluster.join(empty_redis)

    one.invalidate(OTHER_NAME, before=START)
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert [int(bound or 0) for bound in await empty_redis.hmget(KEY, "first", "last")] == [3, 25_002]
    assert (late.invalidated_before(NAME), late.invalidated_before(OTHER_NAME)) == (START, START)


@pytest.mark.parametrize("erased", [True, False])
async def test_entry_that_is_replaced_by_an_older_one_or_erased_is_told_again(
    cluster: Cluster, empty_redis: Redis, *, erased: bool
) -> None:
    """Within half a minute, although no number in the table is new: a replica that starts later knows it, too."""
    one = await cluster.join(empty_redis)
    place = sealed(NAME)[:PLACE_BYTES]

    async def number() -> Any:
        return await empty_redis.execute_command("HGET", KEY, place)  # type: ignore[no-untyped-call]

    one.invalidate(NAME, before=START)
    await cluster.pass_time()
    older = await empty_redis.execute_command("HGET", KEY, await number())  # type: ignore[no-untyped-call]
    one.invalidate(NAME, before=START + SECOND)
    await cluster.pass_time()
    one.invalidate(OTHER_NAME, before=START)
    await cluster.pass_time()

    if erased:
        await empty_redis.execute_command("HDEL", KEY, await number(), place)  # type: ignore[no-untyped-call]
    else:
        await plant(empty_redis, {await number(): older})
    await cluster.pass_time(timedelta(seconds=35))

    late = await cluster.join(empty_redis)
    assert late.invalidated_before(NAME) == START + SECOND
