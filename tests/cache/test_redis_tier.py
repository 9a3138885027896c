"""The second tier on a real Redis: entries that it writes, and values that it finds there."""

import asyncio
import random
from datetime import timedelta

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.cache.keys import derive_keys, redis_key
from service.cache.redis_tier import RedisTier
from service.cache.results import CacheOperation, CacheResult
from service.cache.scripts import DELETE_SAME, PUT_NEWEST
from service.cache.sealing import HEADER, LARGEST_SEALED, Sealer, stamp
from service.ownership import AppJwt, DownloadKey, Evidence, GameId, ProofKind, VerifiedEmail
from service.redis.connect import connect
from service.secret import RedisUrl
from tests.cache.conftest import MakeTier
from tests.cache.samples import (
    DAY,
    GAME,
    NAME,
    OTHER_NAME,
    SECOND,
    Recorder,
    entry,
    fingerprints,
    identity,
    name_of,
    no,
    refusal,
    sealer,
    yes,
)
from tests.clock import START, FakeClock

GET, PUT = CacheOperation.GET, CacheOperation.PUT
KEY = redis_key(NAME)


@pytest.fixture
def tier(make_tier: MakeTier, redis_url: str, empty_redis: Redis) -> RedisTier:
    """A tier on a Redis in which there is nothing."""
    return make_tier(redis_url)


async def test_what_was_put_is_found(tier: RedisTier, recorder: Recorder) -> None:
    """An observation and its lifetime come back as they went."""
    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) == entry(yes())
    assert (recorder.results(PUT), recorder.results(GET)) == ([CacheResult.STORED], [CacheResult.HIT])


async def test_what_was_not_put_is_a_miss(tier: RedisTier, recorder: Recorder) -> None:
    await tier.put(OTHER_NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) is None
    assert recorder.results(GET) == [CacheResult.MISS]


async def test_another_replica_finds_it(tier: RedisTier, make_tier: MakeTier, redis_url: str) -> None:
    """An observation of one gateway is known to another with the same secret."""
    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await make_tier(redis_url).get(NAME) == entry(yes())


async def test_newer_replaces_older(tier: RedisTier) -> None:
    """A no after a yes is what counts from then on."""
    await tier.put(NAME, entry(yes()), game_id=GAME)

    await tier.put(NAME, entry(no(START + SECOND)), game_id=GAME)

    assert await tier.get(NAME) == entry(no(START + SECOND))


async def test_older_does_not_replace_newer(tier: RedisTier, recorder: Recorder) -> None:
    """A slow look-up that says yes does not undo a later no, not even by a microsecond."""
    await tier.put(NAME, entry(no()), game_id=GAME)

    await tier.put(NAME, entry(yes(START - timedelta(microseconds=1))), game_id=GAME)

    assert await tier.get(NAME) == entry(no())
    assert recorder.results(PUT) == [CacheResult.STORED, CacheResult.SUPERSEDED]


@pytest.mark.parametrize("order", [(yes(), no()), (no(), yes())])
async def test_at_the_same_instant_the_no_wins(tier: RedisTier, order: tuple[Evidence, Evidence]) -> None:
    """The order in which the two arrive makes no difference."""
    for observation in order:
        await tier.put(NAME, entry(observation), game_id=GAME)

    assert await tier.get(NAME) == entry(no())


async def test_of_a_hundred_at_once_the_newest_wins(tier: RedisTier, clock: FakeClock) -> None:
    """The order in which writes reach Redis makes no difference."""
    observations = [yes(START + number * timedelta(microseconds=1)) for number in range(100)]
    random.Random(7).shuffle(observations)

    await asyncio.gather(*(tier.put(NAME, entry(observation), game_id=GAME) for observation in observations))

    assert await tier.get(NAME) == entry(yes(START + timedelta(microseconds=99)))


async def test_a_hundred_reads_at_once_get_their_own(tier: RedisTier) -> None:
    """No reply ends up at another's question."""
    for number in range(100):
        await tier.put(name_of(number), entry(yes(id=number)), game_id=GAME)

    found = await asyncio.gather(*(tier.get(name_of(number)) for number in range(100)))

    assert found == [entry(yes(id=number)) for number in range(100)]


@pytest.mark.parametrize("lifetime", [timedelta(seconds=45), DAY, 3 * DAY])
async def test_redis_forgets_it_no_later_than_it_may_be_used(
    tier: RedisTier, empty_redis: Redis, lifetime: timedelta
) -> None:
    """Every key ends, a little before its time and never after it."""
    await tier.put(NAME, entry(yes(), lifetime), game_id=GAME)

    milliseconds = lifetime // timedelta(milliseconds=1)
    assert 0.98 * milliseconds < await empty_redis.pttl(KEY) <= milliseconds


async def test_nothing_is_kept_longer_than_three_days(tier: RedisTier, empty_redis: Redis) -> None:
    """An entry expires then even if it was to be used for longer."""
    await tier.put(NAME, entry(yes(), 30 * DAY), game_id=GAME)

    assert await empty_redis.pttl(KEY) <= 3 * DAY // timedelta(milliseconds=1)


async def test_keys_of_one_moment_do_not_end_together(tier: RedisTier, empty_redis: Redis) -> None:
    """Lifetimes are spread."""
    for number in range(20):
        await tier.put(name_of(number), entry(yes()), game_id=GAME)

    assert len({await empty_redis.pexpiretime(redis_key(name_of(number))) // 10 for number in range(20)}) > 10


async def test_what_is_past_its_time_is_a_miss(tier: RedisTier, clock: FakeClock, recorder: Recorder) -> None:
    """The sealed lifetime counts, not what Redis makes of it."""
    await tier.put(NAME, entry(yes(), DAY), game_id=GAME)
    clock.jump(DAY)

    assert await tier.get(NAME) is None
    assert recorder.results(GET) == [CacheResult.MISS]


async def test_what_is_past_its_time_still_keeps_the_older_out(tier: RedisTier) -> None:
    """A refusal that is remembered for no time at all ends the yes before it."""
    await tier.put(NAME, entry(yes(START - SECOND)), game_id=GAME)

    await tier.put(NAME, entry(no(), timedelta(0)), game_id=GAME)

    assert await tier.get(NAME) is None


async def test_an_observation_of_the_future_is_a_miss_and_stays(
    tier: RedisTier, clock: FakeClock, empty_redis: Redis
) -> None:
    """A replica whose clock is behind does not believe it, and leaves it to the others."""
    await tier.put(NAME, entry(yes()), game_id=GAME)
    clock.set_back(timedelta(seconds=61))

    assert await tier.get(NAME) is None
    assert await empty_redis.exists(KEY)


GARBAGE = {
    "empty": b"",
    "short": b"\x01\x00garbage"[:9],
    "text": b"hello, this is not an entry at all, but quite long",
    "stamp of 1970": bytes(50),
    "stamp of the future": b"\x01\x01" + b"\xff" * 60,
    "another name's": sealer().seal(OTHER_NAME, entry(yes())),
    "another secret's": Sealer(derive_keys(None).sealing).seal(NAME, entry(yes())),
    "cut": sealer().seal(NAME, entry(yes()))[:-1],
    "flipped": sealer().seal(NAME, entry(yes()))[:-1] + b"\x00",
}


@pytest.mark.parametrize("planted", [blob for blob in GARBAGE.values() if blob[:1] == b"\x01" or 0 < len(blob) < 38])
async def test_what_is_not_ours_is_rejected_and_deleted(
    tier: RedisTier, empty_redis: Redis, recorder: Recorder, planted: bytes
) -> None:
    """A program that can write to Redis cannot make an owner."""
    await empty_redis.set(KEY, planted)

    found = await tier.get(NAME)
    await tier.close()

    assert (found, recorder.results(GET)) == (None, [CacheResult.REJECTED])
    assert not await empty_redis.exists(KEY)


@pytest.mark.parametrize("begins", [b"", b"\x01", sealer().seal(NAME, entry(yes()))])
async def test_what_is_longer_than_ours_is_rejected_and_deleted(
    tier: RedisTier, empty_redis: Redis, recorder: Recorder, begins: bytes
) -> None:
    """However long it is."""
    await empty_redis.set(KEY, begins.ljust(LARGEST_SEALED + 1_000_000, b"\x00"))

    found = await tier.get(NAME)
    await tier.close()

    assert (found, recorder.results(GET)) == (None, [CacheResult.REJECTED])
    assert not await empty_redis.exists(KEY)


async def test_what_is_longer_than_is_read_back_is_not_stored(
    tier: RedisTier, empty_redis: Redis, recorder: Recorder
) -> None:
    """So no entry of ours is ever taken for a planted one."""
    many = replace(yes(), proofs=yes().proofs * 1_000)

    await tier.put(NAME, entry(many), game_id=GAME)

    assert recorder.results(PUT) == [CacheResult.DROPPED]
    assert not await empty_redis.exists(KEY)


@pytest.mark.parametrize("planted", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_is_overwritten(tier: RedisTier, empty_redis: Redis, planted: bytes) -> None:
    """No value can hold a key against what was really observed."""
    await empty_redis.set(KEY, planted)

    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) == entry(yes())


async def test_an_entry_of_another_version_is_a_miss_and_stays(
    tier: RedisTier, empty_redis: Redis, recorder: Recorder
) -> None:
    """During an update, either version leaves the other's entries alone."""
    other_version = b"\x02" + sealer().seal(NAME, entry(yes()))[1:]
    await empty_redis.set(KEY, other_version)

    assert await tier.get(NAME) is None
    assert (recorder.results(GET), await empty_redis.get(KEY)) == ([CacheResult.MISS], other_version)


async def test_a_newer_entry_of_another_version_is_not_overwritten(tier: RedisTier, empty_redis: Redis) -> None:
    """The newest observation wins across versions too."""
    other_version = b"\x02" + sealer().seal(NAME, entry(no(START + SECOND)))[1:]
    await empty_redis.set(KEY, other_version)

    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await empty_redis.get(KEY) == other_version


async def test_a_value_of_a_foreign_type_is_rejected(tier: RedisTier, empty_redis: Redis, recorder: Recorder) -> None:
    """The value is no entry of ours, and says nothing about Redis."""
    await empty_redis.rpush(KEY, "1")

    for _ in range(4):
        await tier.get(NAME)

    assert (recorder.results(GET), recorder.states) == ([CacheResult.REJECTED] * 4, [True])


async def test_a_value_of_a_foreign_type_spoils_no_other_read(tier: RedisTier, empty_redis: Redis) -> None:
    """Reads that travel together fail apart."""
    await tier.put(OTHER_NAME, entry(yes()), game_id=GAME)
    await empty_redis.rpush(KEY, "1")

    of_foreign_type, good = await asyncio.gather(tier.get(NAME), tier.get(OTHER_NAME))

    assert (of_foreign_type, good) == (None, entry(yes()))


async def test_a_value_of_a_foreign_type_is_overwritten(tier: RedisTier, empty_redis: Redis) -> None:
    """A put repairs the key."""
    await empty_redis.rpush(KEY, "1")

    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) == entry(yes())


async def test_only_the_bytes_that_were_read_are_deleted(redis_url: str, empty_redis: Redis) -> None:
    """A good entry that was stored since the corrupt one was read stays."""
    async with connect(RedisUrl(redis_url)) as client:
        await empty_redis.set(KEY, b"good")

        for read in (b"corrupt", b"goo", b"good and more"):
            assert await DELETE_SAME.run(client, KEY, read, 100) == 0
    assert await empty_redis.get(KEY) == b"good"


async def test_instants_beyond_the_precision_of_lua_are_garbage(redis_url: str, empty_redis: Redis) -> None:
    """The largest stamp there can be is compared as a number, and does not hold the key."""
    await empty_redis.set(KEY, HEADER.pack(1, 0, 2**64 - 1))
    entry = HEADER.pack(1, 0, stamp(START))
    async with connect(RedisUrl(redis_url)) as client:
        assert await PUT_NEWEST.run(client, KEY, entry, 1000, stamp(START)) == 1
    assert await empty_redis.get(KEY) == entry


async def test_bytes_that_a_locale_would_sort_otherwise_are_numbers(redis_url: str, empty_redis: Redis) -> None:
    """Stamps that contain zeros, letters and high bytes are compared by value."""
    stamps = [0, 1, 0x61, 0x41, 0x7F, 0x80, 0xFF, 0x100, 0xFF00, 0x1_0000, 2**53 - 1, 2**53]
    async with connect(RedisUrl(redis_url)) as client:
        for number in random.Random(7).sample(stamps, len(stamps)):
            await PUT_NEWEST.run(client, KEY, HEADER.pack(1, 0, number), 60_000, 2**53)

    assert await empty_redis.get(KEY) == HEADER.pack(1, 0, 2**53)


async def test_nothing_in_redis_can_be_read(tier: RedisTier, empty_redis: Redis) -> None:
    """Neither keys nor values show a credential, a player or a game."""
    names = fingerprints()
    email, key, jwt = VerifiedEmail("amos@example.com"), DownloadKey("YWKse5jeAeuZ8w3a5qO2"), AppJwt("eyJh.eyJz.c2ln")
    game = GameId(0x6162636465)
    for name in (
        names.of_question(game, email, ProofKind),
        names.of_question(game, key, ProofKind),
        names.of_token(jwt, GameId(3)),
    ):
        await tier.put(name, entry(yes()), game_id=GAME)
    await tier.put(NAME, entry(identity()), game_id=GAME)
    await tier.put(OTHER_NAME, entry(refusal()), game_id=GAME)

    stored = [str(part) for key in await empty_redis.keys() for part in (key, await empty_redis.get(key))]
    in_clear = ("amos", "Amos", "example", "YWKse5", "eyJh", "abcde", "refused", "download")
    assert len(stored) == 10
    assert not [text for text in in_clear for part in stored if text in part]
