"""Refusals in Redis: how many are written, who can read them, and what is not believed."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

import pytest
from redis.asyncio import Redis

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints, derive_keys, refusal_key
from service.cache.refusal_history import RefusalHistory
from service.cache.refusal_memory import CountedRefusal, RefusalMemory
from service.cache.replicated_table import ReplicatedTable
from service.cache.results import CacheResult
from service.cache.shared_refusals import (
    FREE_FOR_OTHERS,
    KEPT,
    WRITES_A_SECOND,
    WRITES_OF_A_CALLER,
    SharedRefusals,
)
from service.observability.plain_metrics import CounterValue
from service.ownership import GameId
from service.redis.acl import KEYS
from service.redis.connect import RedisClient, connect
from service.secret import RedisUrl, SealingSecret
from tests.cache.conftest import close
from tests.cache.refused import note_refusal
from tests.clock import FakeClock
from tests.gateways import until
from tests.redis_server import RedisServer

GAME: Final = GameId(3)
SECRET: Final = "a secret of thirty-two characters and more"
STEPS: Final = 20
FLOOD: Final = 10_000


class CountedOffers:
    """The way to Redis, and how many writes were asked for."""

    def __init__(self, shared: SharedRefusals) -> None:
        self.shared = shared
        self.count = 0

    def offer(self, refusal: CountedRefusal) -> None:
        """Hand it on; one that waits already is written once."""
        self.count += not refusal.due
        self.shared.offer(refusal)


class Replica:
    """One process, with its memory of refusals and what it has in Redis."""

    def __init__(self, client: RedisClient, clock: FakeClock, secret: str = SECRET) -> None:
        self.clock = clock
        self.counts = {result: CounterValue("") for result in CacheResult}
        keys = derive_keys(SealingSecret(secret))
        self.fingerprints = KeyedFingerprints(keys.naming, "test")
        self.shared = SharedRefusals(
            client=client,
            fingerprints=self.fingerprints,
            key=keys.refusals,
            clock=clock,
            counts=self.counts,
        )
        self.offers = CountedOffers(self.shared)
        self.memory = RefusalMemory(cause=lambda: None, sharing=self.offers)
        self.table = ReplicatedTable(clock=clock, on_overflow=lambda *_: None)
        self.history = RefusalHistory(
            memory=self.memory,
            shared=self.shared,
            fingerprints=self.fingerprints,
            invalidations=SharedInvalidations(self.table),
        )
        self._made = 0

    def refuse(self, subject: str = "aa", *, caller: str = "lobby", account: str | None = None) -> str:
        """Refuse a question, and return the decision's id."""
        self._made += 1
        decision_id = f"{id(self)}-{self._made}"
        return note_refusal(
            self.memory, decision_id, now=self.clock.now(), subject=subject, caller=caller, account=account
        )

    @property
    def results(self) -> dict[CacheResult, int]:
        """The count of each result, without those that never were."""
        return {result: value.count for result, value in self.counts.items() if value.count}

    async def settle(self) -> None:
        """Return once nothing more is written before time passes."""
        await until(lambda: sum(self.results.values()) == self.offers.count or self.clock.sleepers)

    def key_of(self, decision_id: str) -> str:
        """Return where Redis has it."""
        return refusal_key(self.fingerprints.of_decision(decision_id))

    def key_of_list(self, log_name: str) -> str:
        """Return where Redis has the last ones of a player."""
        return refusal_key(self.fingerprints.of_refused(GAME, log_name))


@pytest.fixture
async def replica(redis_url: str, empty_redis: Redis, clock: FakeClock) -> AsyncIterator[Callable[..., Replica]]:
    """Make replicas at one Redis."""
    async with AsyncExitStack() as stack:

        def make(secret: str = SECRET) -> Replica:
            client = connect(RedisUrl(redis_url))
            stack.push_async_callback(close, client)
            made = Replica(client, clock, secret)
            stack.push_async_callback(made.shared.close)
            return made

        yield make


async def scripts_run(redis: Redis) -> int:
    """Return how many scripts Redis was asked to run."""
    stats = await redis.info("commandstats")
    calls = {name: int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval")}
    failed = int(stats.get("cmdstat_evalsha", {}).get("failed_calls", 0))
    return calls["evalsha"] + calls["eval"] - failed


@pytest.mark.parametrize("callers", [1, 100], ids=["one caller", "many callers"])
async def test_a_flood_costs_few_writes(replica: Callable[..., Replica], empty_redis: Redis, callers: int) -> None:
    """Of 10 000 refusals a second at most 50 are written in any second, and of one caller's at most 10.

    All are counted, and none is waited for.
    """
    flooded = replica()
    await empty_redis.config_resetstat()
    written: list[int] = []
    for step in range(3 * STEPS):
        for number in range(FLOOD // STEPS):
            flooded.refuse(f"{step}-{number}", caller=f"caller-{number % callers}")
        await flooded.settle()
        written.append(await scripts_run(empty_redis))
        await flooded.clock.advance(timedelta(seconds=1) / STEPS)

    most = WRITES_OF_A_CALLER if callers == 1 else WRITES_A_SECOND
    in_a_second = [after - before for before, after in zip(written, written[STEPS - 1 :], strict=False)]
    assert most * 2 < written[-1] <= 3 * most
    assert max(in_a_second) <= most
    await flooded.shared.close()  # the last step of the clock has begun writes
    counted = flooded.results
    assert counted[CacheResult.STORED] == await scripts_run(empty_redis)
    assert counted[CacheResult.DROPPED] >= 3 * FLOOD - written[-1] - WRITES_A_SECOND
    assert set(counted) == {CacheResult.STORED, CacheResult.DROPPED}


async def test_a_noisy_caller_takes_no_others_room(replica: Callable[..., Replica]) -> None:
    """Those of a quiet one are stored meanwhile."""
    one = replica()
    for number in range(FLOOD):
        one.refuse(str(number), caller="noisy")

    quiet = one.refuse("quiet", caller="quiet")
    await one.settle()

    assert await one.shared.find(quiet) is not None
    assert one.results[CacheResult.STORED] == WRITES_OF_A_CALLER + 1


async def test_another_replica_finds_it(replica: Callable[..., Replica]) -> None:
    """By its first id and the latest with the count so far, by the credential and by the account."""
    one, other = replica(), replica()
    first, second = one.refuse("aa", account="cc"), one.refuse("aa", account="cc")
    await one.settle()

    found = await other.shared.find(second)

    assert found is not None
    assert (found.ids, found.count, found.caller, found.player_id) == ((first, second), 2, "lobby", 7)
    assert await other.shared.find(first) == found
    assert await other.shared.of(GAME, "aa") == await other.shared.of(GAME, "cc") == [found]
    assert await other.shared.of(GameId(4), "aa") == await other.shared.of(GAME, "bb") == []


@pytest.mark.parametrize("tries", [7, 100])
async def test_the_latest_id_is_found_however_often_a_player_has_tried(
    replica: Callable[..., Replica], tries: int
) -> None:
    """It is the one on the player's screen; a game server may have logged the first."""
    one, other = replica(), replica()
    ids = []
    for _ in range(tries):
        ids.append(one.refuse())
        await one.settle()
        await one.clock.advance(timedelta(seconds=0.5))

        for decision_id in (ids[0], ids[-1]):
            found = await other.history.find(decision_id)
            assert found is not None
            assert (found.count, found.ids[-1]) == (len(ids), ids[-1])
    assert one.results == {CacheResult.STORED: tries}


async def test_one_that_waits_is_written_once_as_it_is_then(replica: Callable[..., Replica]) -> None:
    """Under the id that is the latest when it is sent."""
    one, other = replica(), replica()
    for number in range(WRITES_A_SECOND):
        one.refuse(str(number), caller=f"caller-{number % STEPS}")
    await one.settle()

    ids = [one.refuse("aa", caller="quiet") for _ in range(2 * WRITES_OF_A_CALLER)]
    assert await other.history.find(ids[0]) is None
    await one.clock.advance(timedelta(seconds=1))
    await one.settle()

    assert one.results == {CacheResult.STORED: WRITES_A_SECOND + 1}
    found = await other.history.find(ids[-1])
    assert found is not None
    assert (found.count, found.ids) == (len(ids), (ids[0], *ids[-4:]))


async def test_a_player_who_tries_on_and_on_leaves_room_to_others(replica: Callable[..., Replica]) -> None:
    """Half of what the caller may write in a second; all in all it is no more."""
    one = replica()
    for _ in range(FLOOD):
        one.refuse("stubborn")
        if one.results.get(CacheResult.STORED, 0) < WRITES_OF_A_CALLER:
            await one.settle()
    stubborn = one.results[CacheResult.STORED]

    others = [one.refuse(str(number)) for number in range(WRITES_OF_A_CALLER)]
    await one.settle()

    assert stubborn == WRITES_OF_A_CALLER - FREE_FOR_OTHERS
    assert [await one.shared.find(other) is not None for other in others] == (
        [True] * FREE_FOR_OTHERS + [False] * stubborn
    )
    assert one.results[CacheResult.STORED] == WRITES_OF_A_CALLER


async def test_the_last_five_of_a_player_are_listed(replica: Callable[..., Replica]) -> None:
    """The latest first; it is for 72 hours."""
    one, other = replica(), replica()
    ids = []
    for _ in range(7):
        ids.append(one.refuse())
        await one.settle()
        await one.clock.advance(timedelta(minutes=1))

    assert [found.ids[0] for found in await other.history.of(GAME, "aa")] == ids[:1:-1]
    assert [found.ids[0] for found in await one.history.of(GAME, "aa")] == ids[:1:-1]


async def test_it_ends(replica: Callable[..., Replica], empty_redis: Redis) -> None:
    """After 72 hours, also where Redis was made to keep it."""
    one, other = replica(), replica()
    decision_id = one.refuse()
    await one.settle()

    left = await empty_redis.pttl(one.key_of(decision_id))
    assert 0 < left <= KEPT / timedelta(milliseconds=1)
    await one.clock.advance(KEPT)
    assert await other.shared.find(decision_id) is not None
    await one.clock.advance(timedelta(seconds=1))
    assert await other.shared.find(decision_id) is None


async def test_nothing_can_be_read_in_redis(replica: Callable[..., Replica], empty_redis: Redis) -> None:
    """Neither in keys nor in values."""
    one = replica()
    decision_id = one.refuse("5ec7e75ec7e75ec7", caller="lobby-of-a-game")
    await one.settle()

    stored = b"".join([key + (await empty_redis.get(key) or b"") async for key in empty_redis.scan_iter(KEYS)])
    for secret in (b"5ec7e75ec7e75ec7", b"lobby-of-a-game", decision_id.encode(), b"no_download_key"):
        assert secret not in stored
    assert len(stored) > 100


async def test_what_others_have_planted_is_not_shown(replica: Callable[..., Replica], empty_redis: Redis) -> None:
    """Neither what another secret has sealed, nor a copy in another place, nor the name of another player's."""
    one, stranger = replica(), replica(SECRET[::-1])
    real, copied = one.refuse("aa"), one.refuse("bb")
    foreign = stranger.refuse("aa")
    await one.settle()
    await stranger.settle()
    sealed = [await empty_redis.get(key) for key in (stranger.key_of(foreign), one.key_of(copied))]

    for planted in (*sealed, b"", b"x" * 100_000):
        await empty_redis.set(one.key_of(real), planted or b"")
        assert await one.shared.find(real) is None
        assert await one.shared.of(GAME, "aa") == []
    await empty_redis.set(one.key_of_list("aa"), one.fingerprints.of_decision(copied) * 5)
    assert await one.shared.of(GAME, "aa") == []
    assert [found.ids for found in await one.shared.of(GAME, "bb")] == [(copied,)]


async def test_what_is_put_back_after_an_invalidation_is_not_shown(
    replica: Callable[..., Replica], empty_redis: Redis
) -> None:
    """Neither to the replica that was told, nor to any that knows of the invalidation."""
    one, other = replica(), replica()
    decision_id = one.refuse("aa", account="cc")
    await one.settle()
    stored = {key: await empty_redis.get(key) async for key in empty_redis.scan_iter(KEYS)}
    before = one.clock.now() + timedelta(microseconds=1)

    await one.history.forget(GAME, "cc", before=before)
    assert await empty_redis.get(one.key_of(decision_id)) is None
    assert await empty_redis.get(one.key_of_list("cc")) is None
    for key, value in stored.items():
        await empty_redis.set(key, value or b"")

    assert await one.shared.find(decision_id) is not None  # Redis has it again
    assert await one.history.find(decision_id) is None
    assert await one.history.of(GAME, "aa") == await one.history.of(GAME, "cc") == []
    assert await other.history.find(decision_id) is not None  # which has not heard of it
    await one.clock.advance(timedelta(seconds=1))
    later = one.refuse("aa", account="cc")
    assert await one.history.find(later) is not None


async def test_values_of_other_programs_make_room(replica: Callable[..., Replica], empty_redis: Redis) -> None:
    """A hash, and a list."""
    one = replica()
    decision_id = f"{id(one)}-1"
    await empty_redis.hset(one.key_of_list("aa"), mapping={"a": "b"})
    await empty_redis.rpush(one.key_of(decision_id), "a")
    assert await one.shared.find(decision_id) is None
    assert await one.shared.of(GAME, "aa") == []

    one.refuse("aa")
    await one.settle()

    assert await one.shared.find(decision_id) is not None
    assert len(await one.shared.of(GAME, "aa")) == 1


async def test_a_redis_that_is_away_costs_nothing(own_redis: RedisServer, clock: FakeClock) -> None:
    """A write that failed is counted, and the process still finds its own."""
    client = connect(RedisUrl(own_redis.url))
    one = Replica(client, clock)
    own_redis.kill()

    decision_id = one.refuse()
    await one.settle()

    assert one.results == {CacheResult.FAILED: 1}
    assert await one.history.find(decision_id) is not None
    assert await one.history.find("another") is None
    assert len(await one.history.of(GAME, "aa")) == 1
    await one.history.forget(GAME, "aa", before=clock.now() + timedelta(seconds=1))
    assert await one.history.find(decision_id) is None
    await one.shared.close()
    await close(client)


async def test_what_waits_counts_when_it_is_sent(replica: Callable[..., Replica]) -> None:
    """Ten of a caller in a second, also if there was room for more when they began to wait."""
    one = replica()
    half = WRITES_OF_A_CALLER // 2
    for number in range(half):
        one.refuse(f"first {number}")
    await one.settle()
    for number in range(WRITES_OF_A_CALLER):
        one.refuse(f"then {number}")
    assert one.results == {CacheResult.STORED: half}  # all wait, and none is dropped yet

    await one.settle()

    assert one.results == {CacheResult.STORED: WRITES_OF_A_CALLER, CacheResult.DROPPED: half}


async def test_a_copy_under_another_id_of_the_same_player_is_not_shown(
    replica: Callable[..., Replica], empty_redis: Redis
) -> None:
    """Each is bound to its place."""
    one = replica()
    first = one.refuse("aa")
    await one.settle()
    await one.clock.advance(timedelta(minutes=1))
    second = one.refuse("aa")
    await one.settle()
    assert len(await one.shared.of(GAME, "aa")) == 2

    await empty_redis.set(one.key_of(first), await empty_redis.get(one.key_of(second)) or b"")

    assert [found.ids for found in await one.shared.of(GAME, "aa")] == [(second,)]
