"""The revocation guard: counting with others through Redis, with anything in Redis, and the entries of its verdict."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from redis.asyncio import Redis

from service.cache.entry import CLOCK_TOLERANCE
from service.cache.keys import rechecks_key
from service.cache.replicated_table import ReplicatedTable
from service.cache.revocation_guard import SharedRechecks, SharedRevocationGuard
from service.cache.table_entry import GUARD, OPERATOR, WHOLE_GAME, TableEntry, TableKind
from service.redis.connect import RedisClient, connect
from service.secret import RedisUrl
from service.verification.rechecks import CALM, ENOUGH_NOES, WINDOW, Recheck
from tests.cache.invalidated import Cluster, Replica
from tests.cache.samples import DAY, GAME, KEYS, NAME, OTHER_GAME, SECOND, name_of
from tests.cache.wire import server_that_says
from tests.clock import START, FakeClock
from tests.redis_server import RedisServer

STORE: Final = "https://api.itch.io current"
KEY: Final = rechecks_key(KEYS.naming, STORE, GAME)

MakeShared = Callable[[RedisClient], SharedRechecks]


@pytest.fixture
async def make_shared(clock: FakeClock) -> AsyncIterator[MakeShared]:
    """Make one replica's way to the answers in Redis."""
    made: list[SharedRechecks] = []

    def make(client: RedisClient) -> SharedRechecks:
        made.append(
            SharedRechecks(client=client, table_key=KEYS.table, naming_key=KEYS.naming, environment=STORE, clock=clock)
        )
        return made[-1]

    yield make
    for shared in made:
        await shared.close()


@pytest.fixture
def shared(make_shared: MakeShared, empty_redis: Redis) -> SharedRechecks:
    """The answers in an empty Redis."""
    return make_shared(empty_redis)


def no(number: int, ago: timedelta = timedelta()) -> Recheck:
    """Return a no about one of many owners."""
    return Recheck(name_of(number), START - ago, owned=False)


async def test_each_answer_is_there_for_the_next(shared: SharedRechecks) -> None:
    """Of all owners, in any order."""
    for number in range(2):
        await shared.add(GAME, no(number))

    answers = await shared.add(GAME, no(2))

    assert sorted(answers, key=lambda one: one.owner) == [no(0), no(1), no(2)]


async def test_of_one_owner_the_latest_answer_counts(shared: SharedRechecks) -> None:
    """Also if it arrives first."""
    yes = Recheck(NAME, START, owned=True)
    await shared.add(GAME, yes)
    await shared.add(GAME, Recheck(NAME, START - SECOND, owned=False))

    answers = await shared.add(GAME, no(7))

    assert sorted(answers, key=lambda one: one.at) == sorted([yes, no(7)], key=lambda one: one.at)


async def test_there_is_room_for_eighty(shared: SharedRechecks, empty_redis: Redis) -> None:
    """The oldest give way."""
    for number in range(99):
        await shared.add(GAME, no(number, ago=(100 - number) * SECOND))

    answers = await shared.add(GAME, no(99, ago=SECOND))

    assert await empty_redis.hlen(KEY) == 80
    assert set(answers) >= {no(number, ago=(100 - number) * SECOND) for number in range(20, 100)}


async def test_what_is_too_old_gives_way_first(shared: SharedRechecks, clock: FakeClock, empty_redis: Redis) -> None:
    """And is no longer told."""
    await shared.add(GAME, no(0))
    clock.jump(WINDOW)

    answers = await shared.add(GAME, Recheck(name_of(1), clock.now(), owned=False))

    assert [answer.owner for answer in answers] == [name_of(1)]
    assert await empty_redis.hlen(KEY) == 1


async def test_games_do_not_mix(shared: SharedRechecks, empty_redis: Redis) -> None:
    """Not even if Redis holds one's answers under the other's name."""
    await shared.add(GAME, no(0))
    other = rechecks_key(KEYS.naming, STORE, OTHER_GAME)
    await empty_redis.copy(KEY, other)

    assert await shared.add(OTHER_GAME, no(1)) == [no(1)]


@pytest.mark.parametrize("value", [b"", b"x", b"x" * 49, b"\xff" * 49, b"\0" * 49, b"x" * 5_000_000])
async def test_garbage_counts_for_nothing_and_keeps_no_place(
    shared: SharedRechecks, empty_redis: Redis, value: bytes
) -> None:
    """Values that no gateway has sealed."""
    for slot in range(80):
        await empty_redis.hset(KEY, str(slot), value if len(value) < 100 or slot < 3 else b"")

    await shared.add(GAME, no(0))
    answers = await shared.add(GAME, no(1))

    assert {answer.owner for answer in answers} == {name_of(0), name_of(1)}


async def test_sealed_answers_cannot_be_changed(shared: SharedRechecks, empty_redis: Redis) -> None:
    """Not one byte of them."""
    await shared.add(GAME, no(0))
    sealed = await empty_redis.hget(KEY, "0")
    assert isinstance(sealed, bytes)
    for position in range(len(sealed)):
        spoilt = bytes(byte ^ (1 if at == position else 0) for at, byte in enumerate(sealed))
        await empty_redis.hset(KEY, "0", spoilt)
        answers = await shared.add(GAME, no(1))
        assert {answer.owner for answer in answers} == {name_of(1)}, position
        await empty_redis.delete(KEY)


async def test_answers_from_the_future_give_way(shared: SharedRechecks, clock: FakeClock, empty_redis: Redis) -> None:
    """A clock was wrong when they were made."""
    clock.jump(DAY)
    for number in range(80):
        await shared.add(GAME, Recheck(name_of(number), clock.now(), owned=False))
    clock.set_back(DAY - CLOCK_TOLERANCE / 2)

    answers = await shared.add(GAME, no(100))

    assert [answer.owner for answer in answers] == [name_of(100)]


async def _a_string(redis: Redis) -> object:
    return await redis.set(KEY, b"nonsense")


async def _a_list(redis: Redis) -> object:
    return await redis.lpush(KEY, b"nonsense")


@pytest.mark.parametrize("plant", [_a_string, _a_list])
async def test_other_types_are_replaced(
    shared: SharedRechecks, empty_redis: Redis, plant: Callable[[Redis], Awaitable[object]]
) -> None:
    """Any program may have written there."""
    await plant(empty_redis)

    assert await shared.add(GAME, no(0)) == [no(0)]


@pytest.mark.parametrize("reply", [b"*2\r\n$3\r\nabc\r\n:7\r\n", b"$3\r\nabc\r\n", b"*1\r\n$-1\r\n", b"-ERR no\r\n"])
async def test_whatever_it_says(make_shared: MakeShared, reply: bytes) -> None:
    """A server that is no Redis of ours tells nothing."""
    async with server_that_says(reply) as url:
        client = connect(RedisUrl(url))

        assert await make_shared(client).add(GAME, no(0)) == []

        await client.aclose()


async def test_everything_ends_by_itself(shared: SharedRechecks, empty_redis: Redis) -> None:
    """Ten minutes after the last answer."""
    await shared.add(GAME, no(0))

    assert 0 < await empty_redis.pttl(KEY) <= WINDOW / timedelta(milliseconds=1)


async def test_without_redis_a_replica_counts_alone(
    make_shared: MakeShared, own_redis: RedisServer, clock: FakeClock
) -> None:
    """Its own noes are held from the twentieth on."""
    client = connect(RedisUrl(own_redis.url))
    own_redis.kill()
    guard = SharedRevocationGuard(table=Replica(None, clock).table, shared=make_shared(client), clock=clock)

    held = [await is_held_after(guard, number) for number in range(ENOUGH_NOES)]

    assert held == [False] * 19 + [True]
    await client.aclose()


async def test_redis_that_has_lost_all_takes_nothing_from_what_is_known(
    shared: SharedRechecks, empty_redis: Redis, clock: FakeClock
) -> None:
    """A replica counts what it has seen itself, too."""
    guard = SharedRevocationGuard(table=Replica(None, clock).table, shared=shared, clock=clock)
    for number in range(ENOUGH_NOES - 1):
        assert not await is_held_after(guard, number)
    await empty_redis.flushall()

    assert await is_held_after(guard, 100)


async def is_held_after(guard: SharedRevocationGuard, number: int) -> bool:
    """Tell the guard a no; return whether noes are held now."""
    await guard.rechecked(GAME, name_of(number), START, refused_since=START)
    return guard.held_since(GAME) is not None


# --- the verdict ---


@pytest.fixture
def replica(clock: FakeClock) -> Replica:
    """A replica without Redis."""
    return Replica(None, clock, most_entries=100)


@pytest.fixture
def guard(replica: Replica, clock: FakeClock) -> SharedRevocationGuard:
    """Its guard."""
    return SharedRevocationGuard(table=replica.table, shared=None, clock=clock)


async def many(guard: SharedRevocationGuard, clock: FakeClock, *, owned: bool, first: int = 0) -> None:
    """Tell the guard as many answers as are too many if they are noes."""
    for number in range(first, first + ENOUGH_NOES):
        await guard.rechecked(GAME, name_of(number), clock.now(), refused_since=None if owned else clock.now())


async def test_noes_of_the_ten_minutes_before_are_held(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """Those that have tripped it are among them."""
    await many(guard, clock, owned=False)

    assert guard.held_since(GAME) == START - WINDOW
    assert guard.held_since(OTHER_GAME) is None
    assert guard.holds_any


async def test_it_goes_on_while_noes_come(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """Noes that were held at first are held for as long."""
    for _ in range(10):
        await many(guard, clock, owned=False)
        clock.jump(WINDOW)

    assert guard.held_since(GAME) == START - WINDOW


async def test_it_ends_ten_minutes_after_the_yeses(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """Not sooner, and not when the noes have grown old."""
    await many(guard, clock, owned=False)
    await many(guard, clock, owned=True)
    clock.jump(CALM - SECOND)
    assert guard.held_since(GAME) is not None

    clock.jump(SECOND)
    assert guard.held_since(GAME) is None
    assert not guard.holds_any


async def test_it_ends_by_itself_where_nobody_asks(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """Ten minutes after the noes are ten minutes old."""
    await many(guard, clock, owned=False)
    clock.jump(WINDOW + CALM - SECOND)
    assert guard.held_since(GAME) is not None

    clock.jump(SECOND)
    assert guard.held_since(GAME) is None


async def test_believed_noes_do_not_trip_it(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """Until the word of the operator has ended."""
    guard.believe(GAME, believe=True, until=clock.now() + 60 * SECOND)
    await many(guard, clock, owned=False)
    assert guard.held_since(GAME) is None

    clock.jump(60 * SECOND)
    await many(guard, clock, owned=False)
    assert guard.held_since(GAME) is not None


async def test_later_word_counts_although_the_clock_was_set_back(
    guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """The operator is not told that something holds which does not."""
    guard.believe(GAME, believe=False, until=clock.now() + DAY)
    clock.set_back(SECOND)
    guard.believe(GAME, believe=True, until=clock.now() + DAY)

    assert guard.held_since(GAME) is None


async def test_overruled_yeses_count_again_while_noes_are_held(
    replica: Replica, guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """Those of before that do not, nor those that the operator has forgotten."""
    replica.invalidations.overruled(GAME, name_of(1), START - WINDOW - SECOND, None)
    replica.invalidations.overruled(GAME, name_of(2), START - SECOND, None)
    replica.invalidations.overruled(GAME, name_of(3), START - SECOND, None)
    replica.invalidate(name_of(3), before=START - 2 * SECOND)

    await many(guard, clock, owned=False)

    assert replica.invalidated_before(name_of(1)) == START - WINDOW - SECOND
    assert replica.invalidated_before(name_of(2)) is None
    assert replica.invalidated_before(name_of(3)) == START - 2 * SECOND


async def test_held_noes_never_have_a_whole_game_asked_again(
    replica: Replica, guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """However many they are; without the guard that is what too many do."""
    await many(guard, clock, owned=False)

    for number in range(1000):
        replica.invalidations.overruled(GAME, name_of(number), START, None)

    assert replica.overflows == []
    assert replica.table.fullest(TableKind.OVERRULED) <= 100
    assert replica.table.find(TableKind.INVALIDATED, GAME, WHOLE_GAME) is None


async def test_forgetting_a_game_leaves_the_words_about_it(
    replica: Replica, guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """Noes that come later are judged as before."""
    guard.believe(GAME, believe=True, until=clock.now() + DAY)
    await many(guard, clock, owned=False)
    clock.jump(SECOND)

    replica.invalidate(None, before=clock.now())

    assert replica.table.find(TableKind.REVOCATIONS, GAME, OPERATOR) is not None
    assert replica.table.find(TableKind.REVOCATIONS, GAME, GUARD) is None


async def test_words_outlive_a_forgotten_game_in_redis(cluster: Cluster, empty_redis: Redis, clock: FakeClock) -> None:
    """Also when Redis tidies up what is overtaken."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    guard = SharedRevocationGuard(table=one.table, shared=None, clock=one.clock)
    guard.believe(GAME, believe=False, until=clock.now() + DAY)
    await cluster.pass_time()
    one.invalidate(None, before=clock.now())
    await cluster.pass_time()
    for number in range(10):
        one.invalidate(name_of(number), before=clock.now() + SECOND)
        await cluster.pass_time()

    late = await cluster.join(empty_redis)

    assert other.table.held_since(GAME) is not None
    assert late.table.held_since(GAME) is not None


def test_names_of_the_two_are_no_names_of_questions() -> None:
    """They have the length of a name, and differ."""
    assert len({GUARD, OPERATOR, WHOLE_GAME}) == 3
    assert {len(GUARD), len(OPERATOR)} == {16}


# --- after a word that noes count ---


async def test_noes_that_an_operator_believed_are_not_held_after_the_word(
    guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """The word ends the guard's hold."""
    await many(guard, clock, owned=False)
    guard.believe(GAME, believe=True, until=clock.now() + 60 * SECOND)
    assert guard.held_since(GAME) is None

    clock.jump(60 * SECOND)

    assert guard.held_since(GAME) is None


async def test_hold_that_another_replica_has_moved_meanwhile_is_about_later_noes(
    guard: SharedRevocationGuard, replica: Replica, clock: FakeClock
) -> None:
    """It had not heard of the word, and what was believed is not held by that."""
    await many(guard, clock, owned=False)
    hold = replica.table.find(TableKind.REVOCATIONS, GAME, GUARD)
    assert hold is not None
    end = clock.now() + 60 * SECOND
    guard.believe(GAME, believe=True, until=end)

    replica.table.put(
        TableKind.REVOCATIONS, GAME, GUARD, hold.version + 1_000_000, ends_at=hold.ends_at, value=hold.value
    )

    assert guard.held_since(GAME) is None
    clock.jump(60 * SECOND)
    assert guard.held_since(GAME) == end


async def test_each_word_of_an_operator_is_told(clock: FakeClock) -> None:
    """Also the same again: its end is another."""
    told: list[TableEntry] = []
    table = ReplicatedTable(clock=clock, on_overflow=lambda *_: None, on_revocations=told.append)
    guard = SharedRevocationGuard(table=table, shared=None, clock=clock)

    for hours in (1, 2, 3):
        guard.believe(GAME, believe=False, until=clock.now() + hours * 3600 * SECOND)

    assert len(told) == 3


async def test_clock_of_1970_is_survived(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """A machine whose battery is empty begins there."""
    await many(guard, clock, owned=False)

    clock.set_back(START - datetime(1970, 1, 1, tzinfo=UTC))

    assert guard.held_since(GAME) is not None


async def test_noes_that_an_operator_believed_do_not_trip_it_after_the_word(
    guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """Neither those from before the word, nor what the store says about the same owners after it."""
    refused_since = clock.now()
    await many(guard, clock, owned=False)
    guard.believe(GAME, believe=True, until=clock.now() + 60 * SECOND)
    clock.jump(WINDOW + CALM)  # the first hold has ended by itself

    guard.believe(GAME, believe=True, until=clock.now() + 60 * SECOND)
    clock.jump(61 * SECOND)
    for number in range(ENOUGH_NOES):
        await guard.rechecked(GAME, name_of(number), clock.now(), refused_since=refused_since)

    assert guard.held_since(GAME) is None


async def test_first_noes_after_the_word_trip_it(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """All that was believed before stays out."""
    end = clock.now() + 60 * SECOND
    guard.believe(GAME, believe=True, until=end)
    clock.jump(61 * SECOND)

    await many(guard, clock, owned=False)

    assert guard.held_since(GAME) == end


async def test_noes_of_before_the_word_do_not_count_for_those_after(
    guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """Nineteen before, believed, and one after."""
    for number in range(ENOUGH_NOES - 1):
        await guard.rechecked(GAME, name_of(number), clock.now(), refused_since=clock.now())
    guard.believe(GAME, believe=True, until=clock.now() + 60 * SECOND)
    clock.jump(61 * SECOND)

    await guard.rechecked(GAME, name_of(99), clock.now(), refused_since=clock.now())

    assert guard.held_since(GAME) is None


# --- with a clock that is set back ---


async def test_noes_of_the_future_do_not_count(guard: SharedRevocationGuard, clock: FakeClock) -> None:
    """They were given before the clock was set back, and their age is not known."""
    for number in range(ENOUGH_NOES - 1):
        await guard.rechecked(GAME, name_of(number), clock.now(), refused_since=clock.now())
    clock.set_back(WINDOW)

    await guard.rechecked(GAME, name_of(99), clock.now(), refused_since=clock.now())

    assert guard.held_since(GAME) is None


@pytest.mark.parametrize("by_operator", [True, False])
async def test_hold_goes_with_a_clock_that_is_set_back(
    guard: SharedRevocationGuard, clock: FakeClock, *, by_operator: bool
) -> None:
    """Noes of the ten minutes before now are held, as before, and for as long."""
    if by_operator:
        guard.believe(GAME, believe=False, until=clock.now() + WINDOW)
    else:
        await many(guard, clock, owned=False)
    clock.set_back(DAY)

    assert guard.held_since(GAME) == clock.now() - WINDOW
    clock.jump(WINDOW - SECOND)
    assert guard.held_since(GAME) is not None


async def test_word_lasts_as_long_as_was_said_with_a_clock_that_is_set_back(
    guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """Not the time by which it was set back in addition."""
    guard.believe(GAME, believe=True, until=clock.now() + 60 * SECOND)
    await many(guard, clock, owned=False)
    clock.set_back(DAY)
    guard.believe(GAME, believe=True, until=clock.now() + 60 * SECOND)

    clock.jump(61 * SECOND)
    await many(guard, clock, owned=False)

    assert guard.held_since(GAME) is not None


# --- yeses that noes have overruled ---


async def test_first_no_says_whether_it_is_held(
    replica: Replica, guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """A refund from before the store went wrong counts on, although the store says so again meanwhile."""
    replica.invalidations.overruled(GAME, NAME, START - WINDOW - SECOND, None)
    replica.invalidations.overruled(GAME, NAME, START - SECOND, None)
    await many(guard, clock, owned=False)
    replica.invalidations.overruled(GAME, NAME, START, START - 3600 * SECOND)

    assert replica.invalidated_before(NAME) == START


async def test_no_after_another_yes_is_the_first(
    replica: Replica, guard: SharedRevocationGuard, clock: FakeClock
) -> None:
    """The no of before was about a proof of before."""
    replica.invalidations.overruled(GAME, NAME, START - 3600 * SECOND, None)
    await many(guard, clock, owned=False)
    replica.invalidations.overruled(GAME, NAME, START, START - 60 * SECOND)

    assert replica.invalidated_before(NAME) is None
