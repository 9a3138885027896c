"""The counting of players who show a download key: in a real Redis for three replicas, and in one process."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final, cast

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from service.cache.counted_players import KNOWN_FOR, MOST_KEYS, MOST_KNOWN, CountedPlayers
from service.cache.keys import Keys, derive_keys, players_key
from service.clock import SystemClock
from service.key_use import MOST_KEY_PLAYERS, KeyUse
from service.ownership import Fingerprint
from service.redis.connect import MAX_CONNECTIONS, RedisClient
from service.redis.script import AT_ONCE
from service.redis.timeouts import REPLY_TIMEOUT
from service.secret import SealingSecret
from service.settings.docs import documented_settings
from tests.clock import FakeClock
from tests.gateways import SECRET
from tests.redis_server import RedisServer

KEYS: Final[Keys] = derive_keys(SealingSecret(SECRET))
NAME: Final = Fingerprint(bytes(range(16)))
OTHER: Final = Fingerprint(bytes(range(16, 32)))
MONTH: Final = timedelta(days=30)
WITHIN: Final = timedelta(seconds=3)

Make = Callable[..., CountedPlayers]


@pytest.fixture
async def make(clock: FakeClock) -> AsyncIterator[Make]:
    """Make replicas: at the Redis of that URL, or alone. Their clients are patient: a busy machine is no failure."""
    async with AsyncExitStack() as stack:

        def patient(url: str) -> RedisClient:
            pool = BlockingConnectionPool.from_url(url, max_connections=MAX_CONNECTIONS, timeout=10, socket_timeout=10)
            client = Redis.from_pool(pool)
            stack.push_async_callback(client.aclose)
            return client

        def make_one(url: str | None = None, keys: Keys = KEYS) -> CountedPlayers:
            client = None if url is None else patient(url)
            players = CountedPlayers(client=client, key=keys.players, clock=clock)
            stack.push_async_callback(players.close)
            return players

        yield make_one


@pytest.fixture(params=["Redis", "process"])
def players(request: pytest.FixtureRequest, make: Make, redis_url: str, empty_redis: Redis) -> CountedPlayers:
    """One that counts, with Redis and without."""
    return make(redis_url if request.param == "Redis" else None)


async def shown(players: CountedPlayers, *refs: str, name: Fingerprint = NAME, most: int = 2) -> str:
    """Return the results for these players, one after the other."""
    uses = [await players.judge(name, ref, most=most, lasts=MONTH, within=WITHIN) for ref in refs]
    return " ".join(uses)


async def test_each_player_counts_once(players: CountedPlayers) -> None:
    """And stays counted after others came."""
    assert await shown(players, "a", "a", "b", "c", "d", "a", "b") == "new known new over over known known"
    assert await shown(players, "c", name=OTHER) == "new"


async def test_who_is_counted_stays_so_under_a_lower_limit(players: CountedPlayers) -> None:
    await shown(players, "a", "b")
    assert await shown(players, "b", "a", "c", most=1) == "known known over"


async def test_the_most_that_may_be_configured(players: CountedPlayers) -> None:
    """As many as fit in what is read, and those who are known still found."""
    refs = [str(number) for number in range(MOST_KEY_PLAYERS + 1)]
    assert await shown(players, *refs, most=MOST_KEY_PLAYERS) == " ".join(["new"] * MOST_KEY_PLAYERS + ["over"])
    assert await shown(players, *refs[:-1], most=MOST_KEY_PLAYERS) == " ".join(["known"] * MOST_KEY_PLAYERS)


def test_the_setting_allows_no_more() -> None:
    (setting,) = [setting for setting in documented_settings() if setting.toml == "games.<slug>.key_players"]
    assert setting.type == f"a whole number from 0 to {MOST_KEY_PLAYERS}"


async def test_forgotten(players: CountedPlayers) -> None:
    """The players of one key; those of another stay."""
    await shown(players, "a", "b")
    await shown(players, "a", "b", name=OTHER)

    assert await players.forget(NAME)

    assert await shown(players, "c", "d", "a") == "new new over"
    assert await shown(players, "c", "b", name=OTHER) == "over known"


# In Redis


async def stored(redis: Redis, name: Fingerprint) -> bytes:
    """Return what Redis has for a key."""
    value = await redis.get(players_key(name))
    assert isinstance(value, bytes)
    return value


async def test_no_more_than_the_limit_whoever_is_first(make: Make, redis_url: str, empty_redis: Redis) -> None:
    """A hundred at once at three replicas: exactly three are let in, and they stay so everywhere."""
    replicas = [make(redis_url) for _ in range(3)]
    refs = [f"player-{number}" for number in range(100)]

    uses = await asyncio.gather(
        *(replicas[at % 3].judge(NAME, ref, most=3, lasts=MONTH, within=WITHIN) for at, ref in enumerate(refs))
    )

    assert sorted(uses) == ["new"] * 3 + ["over"] * 97
    first = [ref for ref, use in zip(refs, uses, strict=True) if use is KeyUse.NEW]
    for replica in (*replicas, make(redis_url)):
        assert await shown(replica, *first, most=3) == "known known known"


async def test_the_same_player_at_once(make: Make, redis_url: str, empty_redis: Redis) -> None:
    """Asked about at three replicas, it is one player."""
    replicas = [make(redis_url) for _ in range(3)]
    uses = await asyncio.gather(
        *(replicas[at % 3].judge(NAME, "a", most=1, lasts=MONTH, within=WITHIN) for at in range(30))
    )
    assert sorted(uses) == ["known"] * 29 + ["new"]


async def test_counted_for_a_time_after_the_last_new_one(make: Make, redis_url: str, empty_redis: Redis) -> None:
    players = make(redis_url)
    await shown(players, "a")
    await empty_redis.pexpire(players_key(NAME), 1000)
    await shown(make(redis_url), "a")
    assert await empty_redis.pttl(players_key(NAME)) <= 1000

    await shown(players, "b")

    left = timedelta(milliseconds=await empty_redis.pttl(players_key(NAME)))
    assert MONTH - timedelta(minutes=5) < left <= MONTH


async def test_the_known_are_not_read_again_for_a_while(
    make: Make, redis_url: str, empty_redis: Redis, clock: FakeClock
) -> None:
    players = make(redis_url)
    await shown(players, "a", "b")
    await empty_redis.flushall()

    clock.jump(KNOWN_FOR - timedelta(seconds=1))
    assert await shown(players, "a") == "known"
    assert await empty_redis.keys() == []

    clock.jump(timedelta(seconds=1))
    assert await shown(players, "a", "a") == "new known"


async def test_the_known_are_ten_thousand(make: Make, redis_url: str, empty_redis: Redis) -> None:
    """Of more, the one who was learned first is read again."""
    players = make(redis_url)
    names = [Fingerprint(number.to_bytes(16, "big")) for number in range(MOST_KNOWN + 1)]
    await shown(players, "a", name=names[0])
    for at in range(1, len(names), 100):
        await asyncio.gather(
            *(players.judge(name, "a", most=1, lasts=MONTH, within=WITHIN) for name in names[at : at + 100])
        )
    await empty_redis.flushall()

    uses = [
        await players.judge(name, "a", most=1, lasts=MONTH, within=WITHIN)
        for name in (names[MOST_KNOWN // 2], names[-1], names[0])
    ]

    assert uses == ["known", "known", "new"]


@pytest.mark.parametrize("planted", ["random", "foreign", "truncated", "another version", "large", "hash"])
async def test_what_was_not_made_here_is_as_if_absent(
    planted: str, make: Make, redis_url: str, empty_redis: Redis
) -> None:
    """And is gone with the next player."""
    owner, stranger, place = make(redis_url), make(redis_url), players_key(NAME)
    await shown(owner, "a", "b", name=OTHER)
    copied = await stored(empty_redis, OTHER)
    noise = random.Random(1).randbytes(50_000_000 if planted == "large" else 512)
    values = {
        "random": b"\x01" + noise,
        "foreign": copied,
        "truncated": copied[:8],
        "another version": b"\x02" + copied[1:],
        "large": b"\x01" + noise,
    }
    if planted == "hash":
        await empty_redis.hset(place, "a", "b")
    else:
        await empty_redis.set(place, values[planted])

    assert await shown(stranger, "x", "y", "z") == "new new over"
    assert await empty_redis.strlen(place) == 1 + 2 * 16


async def test_our_members_are_found_beside_others(make: Make, redis_url: str, empty_redis: Redis) -> None:
    """Bytes put behind, and copies of a member, take nothing away and fill nothing."""
    await shown(make(redis_url), "a")
    ours = await stored(empty_redis, NAME)
    await empty_redis.set(players_key(NAME), ours + ours[1:] * 5 + b"?" * 7)

    assert await shown(make(redis_url), "a", "b", "c") == "known new over"


async def test_a_dump_tells_neither_who_plays_nor_that_two_are_one(
    make: Make, redis_url: str, empty_redis: Redis
) -> None:
    """Not even a gateway with another secret finds a player there."""
    players = make(redis_url)
    canary = "canary-of-a-player"
    await shown(players, canary, name=NAME)
    await shown(players, canary, name=OTHER)

    assert len(await empty_redis.keys()) == 2
    values = [await stored(empty_redis, name) for name in (NAME, OTHER)]
    assert not any(canary.encode() in value for value in values)
    halves = [value[at : at + 8] for value in values for at in (1, 9)]
    assert len(set(halves)) == 4
    other_secret = derive_keys(SealingSecret("another secret, which is of more than 32 characters"))
    assert await shown(make(redis_url, other_secret), canary, most=1) == "new"


class Restless:
    """A Redis in which another program changes the value before each command of ours."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.changes = 0

    async def evalsha(self, sha: str, count: int, key: str, *arguments: bytes | int) -> object:
        """Change the value, then run the script."""
        self.changes += 1
        await self._redis.set(key, f"change {self.changes}")
        return await self._redis.evalsha(sha, count, key, *arguments)


async def test_a_value_that_never_rests_is_given_up(make: Make, redis_url: str, empty_redis: Redis) -> None:
    """After as many tries as players could have been added in the meantime; the player is let in."""
    await shown(make(redis_url), "one who has the script known")
    restless = Restless(empty_redis)
    players = CountedPlayers(client=cast(RedisClient, restless), key=KEYS.players, clock=FakeClock())

    assert await shown(players, "a", most=3) == "unknown"
    assert restless.changes == 5
    await players.close()


class Stuck:
    """A Redis that answers nothing until it goes on."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()

    async def evalsha(self, *_: object) -> int:
        """Wait, then write."""
        await self.goes_on.wait()
        return 1


# Redis that does not answer


@pytest.mark.parametrize(
    ("within", "waits"), [(WITHIN, WITHIN), (timedelta(), REPLY_TIMEOUT), (timedelta(seconds=-1), REPLY_TIMEOUT)]
)
async def test_no_caller_waits_longer_than_its_time(within: timedelta, waits: timedelta, clock: FakeClock) -> None:
    """Nor do those who wait for others; one reply may always be waited for, as when evidence is read."""
    stuck = Stuck()
    players = CountedPlayers(client=cast(RedisClient, stuck), key=KEYS.players, clock=clock)
    asked = [players.judge(NAME, str(number), most=2, lasts=MONTH, within=within) for number in range(3 * AT_ONCE)]
    judging = asyncio.gather(*asked)

    await clock.advance(waits - timedelta(milliseconds=1))
    assert not judging.done()
    await clock.advance(timedelta(milliseconds=1))

    assert judging.done()
    assert judging.result() == ["unknown"] * 3 * AT_ONCE
    stuck.goes_on.set()
    await players.close()


async def test_killed_it_denies_no_player(make: Make, own_redis: RedisServer) -> None:
    """Players are let in who cannot be counted; the known are still known, until they are to be forgotten."""
    players, fresh = make(own_redis.url), make(own_redis.url)
    assert await shown(players, "a", "b", "c") == "new new over"

    own_redis.kill()

    assert await shown(players, "a", "b", "c") == "known known unknown"
    assert await shown(fresh, "a", "x", "y", "z") == "unknown unknown unknown unknown"
    assert not await players.forget(NAME)
    assert await shown(players, "a") == "unknown"


async def test_emptied_it_begins_anew(make: Make, redis_url: str, empty_redis: Redis) -> None:
    players, fresh = make(redis_url), make(redis_url)
    await shown(players, "a", "b")
    await empty_redis.flushall()
    assert await shown(fresh, "x", "a") == "new new"
    assert await shown(players, "a", "b") == "known known"


async def test_frozen_it_denies_no_player(connected: Callable[[str], RedisClient], own_redis: RedisServer) -> None:
    """Neither while it is frozen nor after; what was under way then counts no player who was let in as one too many."""
    players = CountedPlayers(client=connected(own_redis.url), key=KEYS.players, clock=SystemClock())
    await shown(players, "a")
    own_redis.pause()
    try:
        uses = await asyncio.gather(
            *(players.judge(NAME, ref, most=2, lasts=MONTH, within=WITHIN) for ref in ("a", "b", "c", "d"))
        )
    finally:
        own_redis.resume()
    await players.close()
    assert uses == ["known", "unknown", "unknown", "unknown"]


# In one process


async def test_the_process_forgets_after_the_time(make: Make, clock: FakeClock) -> None:
    players = make()
    await shown(players, "a", "b")
    clock.jump(MONTH - timedelta(seconds=1))
    assert await shown(players, "c", "a") == "over known"
    clock.jump(timedelta(seconds=1))
    assert await shown(players, "c", "d", "a") == "new new over"


async def test_the_process_counts_for_ten_thousand_keys(make: Make) -> None:
    """The key that was shown longest ago is forgotten first, whether its player was new then or not."""
    players = make()
    names = [Fingerprint(number.to_bytes(16, "big")) for number in range(MOST_KEYS + 1)]
    for name in names[:MOST_KEYS]:
        await shown(players, "a", name=name, most=1)
    assert await shown(players, "b", name=names[0], most=1) == "over"

    await shown(players, "a", name=names[MOST_KEYS], most=1)

    assert await shown(players, "b", name=names[0], most=1) == "over"
    assert await shown(players, "b", name=names[1], most=1) == "new"
