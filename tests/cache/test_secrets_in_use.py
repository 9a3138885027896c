"""Digests of the secrets that replicas use: what they tell of them, and what Redis may hold in their place."""

import asyncio
import re

import pytest
from redis.asyncio import Redis

from service.cache.keys import derive_keys, secrets_key
from service.cache.secrets_in_use import (
    COUNTS_FOR,
    TELL_EVERY,
    SecretComparison,
    SecretsDigest,
    SharedSecret,
    secrets_in_use,
)
from service.redis.connect import connect
from service.secret import RedisUrl, SealingSecret, SellerKey
from tests.cache.samples import SECOND
from tests.cache.told_secrets import age
from tests.clock import FakeClock
from tests.gateways import until
from tests.redis_server import RedisServer

SECRET = "a secret of the operator, long enough"
OLD, NEW = SellerKey("old-seller-key"), SellerKey("new-seller-key")


def digest(secret: str = SECRET, *seller_keys: SellerKey) -> SecretsDigest:
    """Return the digest of a replica with these secrets."""
    return SecretsDigest.of(derive_keys(SealingSecret(secret)).comparing, seller_keys or [OLD])


@pytest.mark.parametrize("other", [f"{SECRET}\r", f'"{SECRET}"', f"\ufeff{SECRET}", SECRET.upper()])
def test_secrets_that_look_the_same_differ(other: str) -> None:
    """A carriage return, quotes or a byte order mark make another secret."""
    assert digest(SECRET).differs(digest(other)) is SharedSecret.SEALING
    assert digest(SECRET).differs(digest(SECRET)) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "differs"),
    [
        ([OLD], [OLD], None),
        ([OLD], [NEW], SharedSecret.SELLER_KEY),
        ([OLD, NEW], [OLD], None),
        ([OLD, NEW], [NEW, NEW], None),
        ([NEW, NEW], [OLD, OLD], SharedSecret.SELLER_KEY),
    ],
)
def test_sellers_keys_differ_when_replicas_have_none_in_common(
    ours: list[SellerKey], theirs: list[SellerKey], differs: SharedSecret | None
) -> None:
    """While one key replaces another, replicas that have read their files at different times still have one."""
    assert digest(SECRET, *ours).differs(digest(SECRET, *theirs)) is differs
    assert digest(SECRET, *theirs).differs(digest(SECRET, *ours)) is differs


def test_what_is_told_is_read_again() -> None:
    """The text holds the whole digest, and only hexadecimal digits."""
    for told in (digest(), digest(SECRET, OLD, NEW), digest(SECRET, OLD, OLD)):
        assert SecretsDigest.read(told.tell().encode()) == told
        assert re.fullmatch(r"[0-9a-f]{64,96}", told.tell())


@pytest.mark.parametrize("told", [b"", b"x" * 64, b"\xff" * 64, b"0" * 32, b"0" * 65, b"0" * 128, b"A" * 64])
def test_what_no_replica_tells_is_not_read(told: bytes) -> None:
    """Something else in the place of a digest is none."""
    assert SecretsDigest.read(told) is None


def test_a_digest_is_worth_nothing_without_the_secret() -> None:
    """The digest of a seller's key is another one under another secret: no list of keys can be tried on it."""
    one, other = digest("one secret of 32 characters and more"), digest("another secret of 32 characters, too")

    assert not one.seller_keys & other.seller_keys
    assert not one.seller_keys & {one.sealing}


class Told:
    """A replica that compares its secrets in a Redis; `compared` has what was found, each time."""

    def __init__(self, client: Redis, clock: FakeClock, *, secret: str = SECRET, seller_key: SellerKey = OLD) -> None:
        self.compared: list[frozenset[SharedSecret]] = []
        self.seller_key = seller_key
        self._comparison = SecretComparison(
            client=client,
            comparing_key=derive_keys(SealingSecret(secret)).comparing,
            seller_keys=lambda: [self.seller_key],
            clock=clock,
            compared=self.compared.append,
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Compare for the first time, and go on."""
        self._running = asyncio.ensure_future(self._comparison.run())
        await until(lambda: self.compared)

    async def stop(self) -> None:
        """Compare no more, as a replica that was killed."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait([self._running])


async def pass_time(redis: Redis, clock: FakeClock, *replicas: Told) -> None:
    """Let five seconds pass, for Redis too, in which each of the replicas compares once more."""
    await age(redis, 5000)
    for replica in replicas:
        replica.compared.clear()
    await clock.advance(TELL_EVERY)
    await until(lambda: all(replica.compared for replica in replicas))


NONE: frozenset[SharedSecret] = frozenset()
SEALING, SELLER = frozenset({SharedSecret.SEALING}), frozenset({SharedSecret.SELLER_KEY})


async def test_a_difference_is_known_to_both_within_fifteen_seconds_and_ends_by_itself(
    empty_redis: Redis, clock: FakeClock
) -> None:
    """The first replica learns of the second with its next look, and forgets it fifteen seconds after it has gone."""
    one, other = Told(empty_redis, clock), Told(empty_redis, clock, secret="of another operator, long enough too")
    await one.start()
    await other.start()
    alone, at_once = one.compared[-1], other.compared[-1]
    await pass_time(empty_redis, clock, one, other)
    both = [one.compared[-1], other.compared[-1]]
    await other.stop()
    afterwards = []
    for _ in range(4):
        await pass_time(empty_redis, clock, one)
        afterwards.append(one.compared[-1])
    await one.stop()

    assert (alone, at_once, both) == (NONE, SEALING, [SEALING, SEALING])
    assert afterwards == [SEALING, SEALING, NONE, NONE]
    assert TELL_EVERY * 3 <= COUNTS_FOR <= 15 * SECOND


async def test_another_sellers_key_is_a_difference_until_the_file_is_read(empty_redis: Redis, clock: FakeClock) -> None:
    """The keys are asked for each time, so a key that is replaced on all replicas is the same again."""
    one, other = Told(empty_redis, clock), Told(empty_redis, clock, seller_key=NEW)
    await one.start()
    await other.start()
    different = other.compared[-1]
    one.seller_key = NEW
    for _ in range(4):
        await pass_time(empty_redis, clock, one, other)
    await one.stop()
    await other.stop()

    assert (different, one.compared[-1], other.compared[-1]) == (SELLER, NONE, NONE)


async def test_without_redis_nothing_is_known(own_redis: RedisServer, clock: FakeClock) -> None:
    """The last finding stays, and the comparison goes on when Redis is back."""
    async with connect(RedisUrl(own_redis.url)) as client:
        assert isinstance(client, Redis)
        replica = Told(client, clock)
        await replica.start()
        own_redis.kill()
        await clock.advance(TELL_EVERY)
        await until(lambda: clock.sleepers)
        assert await secrets_in_use(client) is None
        lost = len(replica.compared)
        own_redis.start()
        await until(lambda: clock.sleepers)
        await clock.advance(TELL_EVERY)
        await until(lambda: len(replica.compared) > lost)
        await replica.stop()

    assert (lost, replica.compared) == (1, [NONE, NONE])


async def test_one_who_looks_tells_nothing(empty_redis: Redis) -> None:
    """Looking leaves nothing in Redis."""
    found = await secrets_in_use(empty_redis)

    assert (found, await empty_redis.dbsize()) == ([], 0)


async def test_what_others_put_there_is_put_away(empty_redis: Redis) -> None:
    """Of foreign text, impossible instants and far too many digests little is read, and none of the rest stays."""
    now = int((await empty_redis.time())[0]) * 1000
    planted = f"nonsense\n={now}\n" + "0" * 64 + f"={now + 3_600_000}\n" + "1" * 64 + f"={now - 3_600_000}\n"
    planted += "".join(f"{number:064x}={now}\n" for number in range(500)) + "x" * 1_000_000
    await empty_redis.set(secrets_key(), planted)

    found = await secrets_in_use(empty_redis, ours=digest())

    assert found is not None
    assert 0 < len(found) < 30
    assert await empty_redis.strlen(secrets_key()) < 3_000
    assert 0 < await empty_redis.pttl(secrets_key()) <= 15_000


async def test_a_value_of_another_type_is_replaced(empty_redis: Redis) -> None:
    """It would keep the replicas from comparing for ever."""
    await empty_redis.rpush(secrets_key(), "x")

    assert await secrets_in_use(empty_redis, ours=digest()) == []
    assert await secrets_in_use(empty_redis) == [digest()]


async def test_a_redis_that_refuses_is_no_answer(own_redis: RedisServer) -> None:
    """An error of Redis is not taken for a value that is in the way."""
    async with Redis.from_url(own_redis.url) as client:
        await client.acl_setuser("default", enabled=True, commands=["-getrange"])

        assert await secrets_in_use(client, ours=digest()) is None
