"""The turns of replicas at a real Redis; time passes there because its times are moved into the past."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.cache.entry import CacheEntry
from service.cache.keys import KeyedFingerprints, canaries_key, derive_keys
from service.cache.sealing import Sealer
from service.canaries.canary import Canary, Expectation
from service.canaries.turns import CanaryTurn, ClusterTurns, OwnTurns
from service.ownership import Evidence, Fingerprint, GameId, Identity, Player, PlayerId, Proof, ProofKind
from service.redis.acl import COMMANDS, KEYS, as_rules
from service.redis.connect import connect
from service.secret import RedisUrl, SealingSecret
from service.verification.policy import GameRules
from tests.canaries.watched import FIVE_MINUTES, TEN_SECONDS, age
from tests.clock import START, FakeClock
from tests.gateways import SECRET
from tests.redis_server import RedisServer

RULES: Final = GameRules(GameId(3), "x-moon")
OWNER: Final = Canary(RULES, Expectation.OWNER, PlayerId(1994))
STRANGER: Final = Canary(RULES, Expectation.STRANGER, PlayerId(2007))
YES: Final = Evidence(START, (Proof(ProofKind.PURCHASE, 7),))
NO: Final = Evidence(START)
DERIVED: Final = derive_keys(SealingSecret(SECRET))
KEY: Final = canaries_key(DERIVED.naming, "store")

MakeTurns = Callable[..., ClusterTurns]


@pytest.fixture
async def replica(empty_redis: Redis) -> AsyncIterator[MakeTurns]:
    """Make replicas, which have one secret unless told otherwise."""
    async with AsyncExitStack() as stack:

        def make(secret: str = SECRET, *, client: Redis | None = None) -> ClusterTurns:
            keys = derive_keys(SealingSecret(secret))
            turns = ClusterTurns(
                client=client or empty_redis,
                key=KEY,
                fingerprints=KeyedFingerprints(keys.naming, "store"),
                sealer=Sealer(keys.sealing),
                clock=FakeClock(),
            )
            stack.push_async_callback(turns.close)
            return turns

        yield make


@pytest.fixture
async def one(replica: MakeTurns, empty_redis: Redis) -> ClusterTurns:
    """A replica, ten seconds after the first look at an empty Redis."""
    turns = replica()
    assert not (await take(turns, OWNER)).granted
    await age(empty_redis, TEN_SECONDS)
    return turns


@pytest.fixture
def other(replica: MakeTurns) -> ClusterTurns:
    """Another replica."""
    return replica()


async def take(turns: ClusterTurns, canary: Canary) -> CanaryTurn:
    """Return the reply, which must be there."""
    turn = await turns.take(canary)
    assert turn is not None
    return turn


def waits(turn: CanaryTurn) -> tuple[float, float]:
    """Return both waits, in seconds."""
    return turn.wait.total_seconds(), turn.canary_wait.total_seconds()


def about(duration: timedelta) -> Any:
    """Return what equals a duration of which some has passed meanwhile: machines are busy."""
    return pytest.approx(duration.total_seconds() * 3 / 4, rel=1 / 3)


async def test_without_redis_each_turn_is_ones_own() -> None:
    """The rota keeps the distance."""
    turns = OwnTurns()
    await turns.tell(OWNER, YES)

    assert await turns.take(OWNER) == CanaryTurn()


async def test_a_redis_that_has_forgotten_gives_no_turn_for_ten_seconds(replica: MakeTurns, empty_redis: Redis) -> None:
    """The last one may have been just now."""
    turns = replica()
    first = await take(turns, OWNER)
    await age(empty_redis, TEN_SECONDS)

    assert waits(first) == (about(TEN_SECONDS), 0)
    assert (await take(turns, OWNER)).granted


async def test_one_of_many_who_ask_at_once_gets_the_turn(one: ClusterTurns, other: ClusterTurns) -> None:
    """Be it for one canary or for two."""
    taken = await asyncio.gather(*(take(turns, canary) for turns in (one, other) for canary in (OWNER, STRANGER)))

    assert [turn.granted for turn in taken].count(True) == 1


async def test_the_next_turn_comes_ten_seconds_later(
    one: ClusterTurns, other: ClusterTurns, empty_redis: Redis
) -> None:
    """For every replica."""
    assert (await take(one, OWNER)).granted
    await age(empty_redis, TEN_SECONDS / 2)
    early = await take(other, STRANGER)
    await age(empty_redis, TEN_SECONDS / 2)

    assert waits(early) == (about(TEN_SECONDS / 2), 0)
    assert (await take(other, STRANGER)).granted


async def test_a_canary_comes_back_after_five_minutes(
    one: ClusterTurns, other: ClusterTurns, empty_redis: Redis
) -> None:
    """On any replica, and the turns of others are free meanwhile."""
    assert (await take(one, OWNER)).granted
    await one.tell(OWNER, YES)
    await age(empty_redis, TEN_SECONDS)
    again = await take(other, OWNER)
    await age(empty_redis, FIVE_MINUTES - 2 * TEN_SECONDS)
    early = await take(other, OWNER)
    await age(empty_redis, TEN_SECONDS)

    assert waits(again) == (0, about(FIVE_MINUTES))
    assert waits(early) == (0, about(TEN_SECONDS))
    assert (await take(other, OWNER)).granted


async def test_answers_are_told(one: ClusterTurns, other: ClusterTurns, empty_redis: Redis) -> None:
    """The last one of each canary, also to the replica that asks next."""
    for canary, evidence in ((OWNER, NO), (STRANGER, YES), (OWNER, YES)):
        assert (await take(one, canary)).granted
        await one.tell(canary, evidence)
        await age(empty_redis, FIVE_MINUTES)
    turns = [await take(other, OWNER), await take(other, STRANGER)]

    assert [turn.told for turn in turns] == [YES, YES]
    assert [turn.granted for turn in turns] == [True, False]


async def test_only_what_counts_is_told(one: ClusterTurns, other: ClusterTurns) -> None:
    """Names and other proofs stay with the replica that asked."""
    proofs = (Proof(ProofKind.WEB_PURCHASE, 1), Proof(ProofKind.PURCHASE, 7), Proof(ProofKind.DOWNLOAD_KEY, 9))
    await take(one, OWNER)
    await one.tell(OWNER, Evidence(START, proofs, Player(PlayerId(1994), "amos"), sandbox=True))
    turn = await take(other, OWNER)

    assert turn.told == Evidence(START, (Proof(ProofKind.PURCHASE, 7),), sandbox=True)


async def test_while_one_asks_the_others_look_again_soon(
    one: ClusterTurns, other: ClusterTurns, empty_redis: Redis
) -> None:
    """Until they know what came of it, be it nothing, they come back in ten seconds; then in five minutes."""
    await take(one, OWNER)
    await one.tell(OWNER, NO)
    await age(empty_redis, FIVE_MINUTES)
    await take(one, OWNER)
    await age(empty_redis, TEN_SECONDS)
    meanwhile = await take(other, OWNER)
    await one.tell(OWNER, None)
    after = await take(other, OWNER)

    assert waits(meanwhile) == (0, about(TEN_SECONDS))
    assert waits(after) == (0, about(FIVE_MINUTES))
    assert meanwhile.told == after.told == NO


async def test_it_is_forgotten_after_a_day_without_canaries(one: ClusterTurns, empty_redis: Redis) -> None:
    """Redis keeps none of it for ever."""
    await take(one, OWNER)
    taken = await empty_redis.pttl(KEY)
    await one.tell(OWNER, YES)

    day = 86_400_000
    assert day / 2 < taken <= day
    assert day / 2 < await empty_redis.pttl(KEY) <= day
    assert await empty_redis.keys("*") == [KEY.encode()]


async def test_another_secret_sees_no_answer(one: ClusterTurns, replica: MakeTurns) -> None:
    """No answer can be read, and none can be made."""
    await take(one, OWNER)
    await one.tell(OWNER, YES)
    turn = await take(replica("another secret, which also has 32 characters"), OWNER)

    assert turn.told is None


async def fields_of(redis: Redis) -> list[str]:
    """Return the names of all fields."""
    return [str(field, "ascii") for field in map(bytes, await redis.hkeys(KEY))]  # type: ignore[arg-type]  # never text here


async def answer_field(redis: Redis) -> str:
    """Return the field of the one answer that there is."""
    [field] = [field for field in await fields_of(redis) if field.startswith("o:")]
    return field


@pytest.mark.parametrize("planted", [b"", b"x", b"\1" * 200, b"x" * 1025, b"x" * 100_000])
async def test_what_was_planted_is_no_answer(
    one: ClusterTurns, other: ClusterTurns, empty_redis: Redis, planted: bytes
) -> None:
    """The next answer takes its place."""
    await take(one, OWNER)
    await one.tell(OWNER, YES)
    await empty_redis.hset(KEY, await answer_field(empty_redis), planted)
    seen = await take(other, OWNER)
    await one.tell(OWNER, NO)
    after = await take(other, OWNER)

    assert (seen.told, after.told) == (None, NO)


async def test_the_answer_about_another_canary_is_none(
    one: ClusterTurns, other: ClusterTurns, empty_redis: Redis
) -> None:
    """Each is bound to its own."""
    await take(one, OWNER)
    await one.tell(OWNER, YES)
    field = await answer_field(empty_redis)
    copied = await empty_redis.hget(KEY, field)
    await empty_redis.hdel(KEY, field)
    await one.tell(STRANGER, NO)
    await empty_redis.hset(KEY, await answer_field(empty_redis), copied)
    turn = await take(other, STRANGER)

    assert turn.told is None


@pytest.mark.parametrize(
    "observation",
    [
        Identity(START, Player(PlayerId(1994))),
        Evidence(START + timedelta(minutes=1)),
        Evidence(START - 2 * timedelta(days=1)),
    ],
    ids=["no evidence", "from the future", "too old"],
)
async def test_what_counts_no_more_is_not_told(
    one: ClusterTurns, other: ClusterTurns, empty_redis: Redis, observation: Any
) -> None:
    """Even if it is sealed for that canary."""
    await take(one, OWNER)
    await one.tell(OWNER, YES)
    field = await answer_field(empty_redis)
    name = Fingerprint(bytes.fromhex(field.removeprefix("o:")))
    entry = CacheEntry(observation, observation.observed_at + timedelta(days=1))
    await empty_redis.hset(KEY, field, Sealer(DERIVED.sealing).seal(name, entry))
    turn = await take(other, OWNER)

    assert turn.told is None


async def test_an_answer_for_a_player_is_none_for_a_canary(
    one: ClusterTurns, other: ClusterTurns, empty_redis: Redis
) -> None:
    """The cache has the same question under another name, so neither can be put in the place of the other."""
    await take(one, OWNER)
    await one.tell(OWNER, YES)
    field = await answer_field(empty_redis)
    question = KeyedFingerprints(DERIVED.naming, "store").of_question(GameId(3), OWNER.subject, RULES.accept)
    await empty_redis.hset(KEY, field, Sealer(DERIVED.sealing).seal(question, CacheEntry(NO, START + FIVE_MINUTES)))
    turn = await take(other, OWNER)

    assert field != f"o:{question.hex()}"
    assert turn.told is None


@pytest.mark.parametrize("planted", ["nonsense", "-1", "9" * 16, "1" * 40, "nan", "1e3", ""])
@pytest.mark.parametrize("which", ["asked_at", "a:", "t:"])
async def test_times_that_cannot_be_true_are_not_believed(
    one: ClusterTurns, empty_redis: Redis, which: str, planted: str
) -> None:
    """A last turn that is still to come was just now; that of a canary was not."""
    await take(one, OWNER)
    await one.tell(OWNER, YES)
    await age(empty_redis, FIVE_MINUTES)
    field = next(field for field in await fields_of(empty_redis) if field.startswith(which))
    await empty_redis.hset(KEY, field, planted)
    first = await take(one, OWNER)
    await age(empty_redis, TEN_SECONDS)

    assert first.granted is (which != "asked_at")
    assert (await take(one, OWNER)).granted is (which == "asked_at")


async def test_a_value_of_another_type_is_replaced(one: ClusterTurns, empty_redis: Redis) -> None:
    """It would be in the way for ever."""
    await empty_redis.set(KEY, "of another program")
    await one.tell(OWNER, YES)
    first = await take(one, OWNER)
    await age(empty_redis, TEN_SECONDS)

    assert waits(first) == (about(TEN_SECONDS), 0)
    assert (await take(one, OWNER)).granted


async def test_without_a_right_to_the_key_there_is_no_turn(own_redis: RedisServer, replica: MakeTurns) -> None:
    """With the documented rights there is, and Redis refuses nothing."""
    async with Redis.from_url(own_redis.url) as operator:
        rules = ["-@all", *as_rules(*COMMANDS).split()]
        await operator.acl_setuser("og", enabled=True, passwords=["+pw"], keys=[KEYS], commands=rules)
        async with connect(RedisUrl(own_redis.url.replace("//", "//og:pw@"))) as client:
            turns = replica(client=client)
            first = await take(turns, OWNER)
            await turns.tell(OWNER, YES)
            refused = await operator.acl_log()
            await operator.acl_setuser("og", enabled=True, reset_keys=True)
            after = await turns.take(OWNER)
            await turns.tell(OWNER, YES)
            await turns.close()

    assert waits(first) == (about(TEN_SECONDS), 0)
    assert refused == []
    assert after is None


def answering(said: object) -> type[Redis]:
    """Return a client to which every script says the same."""

    class Answering(Redis):
        async def evalsha(self, sha: str, *arguments: Any) -> Any:  # noqa: ARG002 - whatever is asked
            return said

    return Answering


@pytest.mark.parametrize("said", [1, b"OK", [], [0, 0], [0, -1, b""], [b"0", 0, b""], [0, 0, 7], [10**10, 0, b""]])
async def test_a_reply_of_another_kind_is_no_turn(redis_url: str, replica: MakeTurns, said: object) -> None:
    """As while Redis is away."""
    async with answering(said).from_url(redis_url) as client:
        turns = replica(client=client)

        assert await turns.take(OWNER) is None
        await turns.close()
