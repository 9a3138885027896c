"""Overrides on replicas with a real Redis: what one is told all hold, for as long as was said, and nothing else."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Final

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.cache.override_notes import MOST_OWN, OverrideNote, OverrideNotes
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.shared_overrides import (
    LONGEST_OVERRIDE,
    MOST_UNCONFIGURED_GAMES,
    SharedOverrides,
    StandingOverride,
)
from service.cache.table_entry import PLACE_BYTES, TableKind, TableSealer
from service.cache.table_exchange import LOOK_EVERY
from service.errors import TooManyOverrides
from service.ownership import AssertedUser, DownloadKey, Fingerprint, GameId, OverrideWord, PlayerId, VerifiedEmail
from service.redis.timeouts import REPLY_TIMEOUT
from tests.cache.invalidated import KEY, OURS, Cluster, Kinds, Replica
from tests.cache.samples import DAY, GAME, KEYS, NAME, OTHER_GAME, SECOND, name_of
from tests.cache.test_invalidations_planted import plant, plant_entries
from tests.clock import START, FakeClock, WrongClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import until
from tests.redis_server import RedisServer

AMOS: Final = AssertedUser(PlayerId(1994))
ADDRESS: Final = VerifiedEmail("amos@example.com")
DOWNLOAD_KEY: Final = DownloadKey("dBDGsR2tPqvKbUvFFZ3n")
WEEK: Final = timedelta(days=7)
BAN, GRANT = OverrideWord.BAN, OverrideWord.GRANT


def said(replica: Replica, subject: AssertedUser | VerifiedEmail | DownloadKey = AMOS, game: GameId = GAME) -> str:
    """Return what holds about a subject, `-` for nothing."""
    override = replica.overrides.about(game, subject)
    return "-" if override is None else override.reason.removeprefix("operator_")


def ban(replica: Replica, subject: AssertedUser | VerifiedEmail | DownloadKey = AMOS, **how: timedelta) -> None:
    """Ban a subject there, for a week unless it is said otherwise."""
    replica.overrides.set(GAME, subject, BAN, holds_for=how.get("holds_for", WEEK))


def take_back(replica: Replica) -> None:
    """Take back all that holds there."""
    for override in replica.overrides.of_game(GAME):
        replica.overrides.remove(override)


async def stored(redis: Redis) -> dict[bytes | str, bytes | str | int]:
    """Return all fields of the table in Redis."""
    return {**await redis.hgetall(KEY)}


# What all replicas come to hold


@pytest.mark.parametrize("subject", [AMOS, ADDRESS, DOWNLOAD_KEY])
async def test_five_replicas_hold_what_one_is_told(
    cluster: Cluster, empty_redis: Redis, subject: AssertedUser | VerifiedEmail | DownloadKey
) -> None:
    """Within two seconds, and so does one that starts later; all of them until the end."""
    five = [await cluster.join(empty_redis) for _ in range(5)]

    ban(five[0], subject)
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert [said(replica, subject) for replica in (*five, late)] == ["ban"] * 6
    assert [replica.overrides.of_game(GAME) for replica in five] == [five[0].overrides.of_game(GAME)] * 5
    await cluster.pass_time(timedelta(minutes=1))
    take_back(late)
    await cluster.pass_time()
    assert [said(replica, subject) for replica in (*five, late)] == ["-"] * 6


class Forgetful(SharedOverrides):
    """Broken: what is taken back is known only as long as other entries."""

    def _put(self, game_id: GameId, name: Fingerprint, *, value: bytes, holds_for: timedelta) -> object:  # type: ignore[override]  # broken
        """Forget what was there before."""
        if value:
            return super()._put(game_id, name, value=value, holds_for=holds_for)
        version = self._table.all_of(TableKind.OVERRIDE, game_id)[0].version + 1
        self._table.put(TableKind.OVERRIDE, game_id, name, version, ends_at=self._clock.now() + DAY)
        return None


@variants(OURS, forgetful=Kinds(overrides=Forgetful))
async def test_one_that_is_put_back_after_it_was_taken_back_changes_nothing(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis, clock: FakeClock
) -> None:
    """For as long as it would have held, while one replica lives that knows it: also where Redis knows nothing else."""
    knowing = await cluster.join(empty_redis, kinds=variant.make)
    ban(knowing)
    await cluster.pass_time()
    copy = await stored(empty_redis)
    take_back(knowing)
    await cluster.pass_time()
    empty_now = await cluster.join(empty_redis)

    await empty_redis.delete(KEY)
    await plant(empty_redis, copy)
    await cluster.pass_time()
    late = await cluster.join(empty_redis)
    await cluster.pass_time()
    at_once = [said(replica) for replica in (knowing, empty_now, late)]
    clock.jump(timedelta(days=6))
    await empty_redis.delete(KEY)
    await plant(empty_redis, copy)
    await cluster.pass_time()
    last = await cluster.join(empty_redis)
    await cluster.pass_time()

    with promised(variant):
        assert at_once == ["-"] * 3
        assert [said(replica) for replica in (knowing, empty_now, late, last)] == ["-"] * 4


async def test_one_that_was_replaced_by_a_shorter_one_does_not_come_back(cluster: Cluster, empty_redis: Redis) -> None:
    """The copy of a grant for a week is put back after the minute that took its place."""
    replica = await cluster.join(empty_redis)
    replica.overrides.set(GAME, AMOS, GRANT, holds_for=WEEK)
    await cluster.pass_time()
    copy = await stored(empty_redis)
    replica.overrides.set(GAME, AMOS, BAN, holds_for=timedelta(minutes=1))
    await cluster.pass_time(timedelta(minutes=2))

    await empty_redis.delete(KEY)
    await plant(empty_redis, copy)
    await cluster.pass_time()

    assert said(replica) == "-"


async def test_redis_that_was_emptied_is_told_again(cluster: Cluster, empty_redis: Redis) -> None:
    """Overrides that hold, and that were taken back, reach also a replica that starts then."""
    one = await cluster.join(empty_redis)
    ban(one)
    ban(one, ADDRESS)
    one.overrides.remove(one.overrides.of_game(GAME)[0])
    await cluster.pass_time()
    held = (said(one), said(one, ADDRESS))

    await empty_redis.flushall()
    await cluster.pass_time()
    late = await cluster.join(empty_redis)

    assert sorted(held) == ["-", "ban"]
    assert (said(late), said(late, ADDRESS)) == held


async def test_it_outlives_three_days_in_redis(cluster: Cluster, empty_redis: Redis, clock: FakeClock) -> None:
    """A replica that starts after all others are gone, on the 89th day, finds it; on the 91st it has ended."""
    one = await cluster.join(empty_redis)
    ban(one, holds_for=LONGEST_OVERRIDE)
    await cluster.pass_time()

    assert timedelta(milliseconds=await empty_redis.pttl(KEY)) > LONGEST_OVERRIDE - timedelta(minutes=10)
    clock.jump(timedelta(days=89))
    late = await cluster.join(empty_redis)
    assert (said(one), said(late)) == ("ban", "ban")
    clock.jump(timedelta(days=2))
    assert (said(one), said(late)) == ("-", "-")


async def test_the_later_word_counts_on_all(cluster: Cluster, empty_redis: Redis, clock: FakeClock) -> None:
    """Wherever it was said; also if the clock there was set back meanwhile."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    ban(one)
    await cluster.pass_time()
    other.overrides.set(GAME, AMOS, GRANT, holds_for=WEEK)
    await cluster.pass_time()
    later = [said(one), said(other)]
    clock.set_back(2 * SECOND)
    ban(one)
    await cluster.pass_time()

    assert (later, [said(one), said(other)]) == (["grant"] * 2, ["ban"] * 2)


async def test_a_clock_that_was_ahead_does_not_make_it_longer(
    cluster: Cluster, empty_redis: Redis, clock: FakeClock
) -> None:
    """It holds from when it is known, for as long as was said."""
    wrong = await cluster.join(empty_redis, machine=WrongClock(clock, ahead=timedelta(days=300)))
    other = await cluster.join(empty_redis)
    ban(wrong, holds_for=timedelta(hours=1))
    await cluster.pass_time()
    before = [said(wrong), said(other)]
    clock.jump(timedelta(hours=1))

    assert (before, [said(wrong), said(other)]) == (["ban"] * 2, ["-"] * 2)


@pytest.mark.parametrize("ahead", [timedelta(seconds=seconds) for seconds in (-120, 60, 90, 120)])
async def test_the_later_word_counts_beside_a_clock_that_is_wrong(
    cluster: Cluster, empty_redis: Redis, clock: FakeClock, ahead: timedelta
) -> None:
    """Replica for replica in turn, each a second after the one before, and it ends for all at the same time."""
    wrong = await cluster.join(empty_redis, machine=WrongClock(clock, ahead=ahead))
    right = await cluster.join(empty_redis)
    held = []
    for teller, word in ((wrong, BAN), (right, GRANT), (wrong, BAN), (right, GRANT)):
        teller.overrides.set(GAME, AMOS, word, holds_for=timedelta(hours=1))
        await clock.advance(SECOND)
        held.append(said(teller))
    await cluster.pass_time()
    both = [said(wrong), said(right)]
    take_back(wrong)
    await cluster.pass_time()
    taken_back = [said(wrong), said(right)]
    ban(wrong, holds_for=timedelta(hours=1))
    await cluster.pass_time()
    clock.jump(timedelta(hours=1) - 2 * SECOND - timedelta(microseconds=1))
    last = [said(wrong), said(right)]
    clock.jump(timedelta(microseconds=1))

    assert held == ["ban", "grant", "ban", "grant"]
    assert (both, taken_back, last) == (["grant"] * 2, ["-"] * 2, ["ban"] * 2)
    assert [said(wrong), said(right)] == ["-"] * 2


@pytest.mark.parametrize("ahead", [timedelta(seconds=seconds) for seconds in (60, 90, 120)])
async def test_a_word_from_before_a_wrong_clock_learned_the_time(
    cluster: Cluster, own_redis: RedisServer, clock: FakeClock, ahead: timedelta
) -> None:
    """It holds everywhere once Redis is there, no longer than was said, and what is said then takes its place."""
    own_redis.kill()
    async with Redis.from_url(own_redis.url) as client:
        wrong = await cluster.join(client, machine=WrongClock(clock, ahead=ahead))
        right = await cluster.join(client)
        ban(wrong, holds_for=timedelta(hours=1))
        alone = [said(wrong), said(right)]
        own_redis.start()
        await cluster.pass_time()
        both = [said(wrong), said(right)]
        right.overrides.set(GAME, AMOS, GRANT, holds_for=timedelta(hours=1))
        await cluster.pass_time()
        granted = [said(wrong), said(right)]
        ban(wrong, ADDRESS, holds_for=timedelta(minutes=1))
        await cluster.pass_time()
        clock.jump(timedelta(minutes=1))

        assert (alone, both, granted) == (["ban", "-"], ["ban"] * 2, ["grant"] * 2)
        assert [said(replica, ADDRESS) for replica in (wrong, right)] == ["-"] * 2


# What others put into Redis


async def test_redis_shows_neither_the_word_nor_the_player(cluster: Cluster, empty_redis: Redis) -> None:
    """Neither an id nor a word; the same word about the same player has another name in another game."""
    one = await cluster.join(empty_redis)
    ban(one)
    one.overrides.set(OTHER_GAME, AMOS, BAN, holds_for=WEEK)
    await cluster.pass_time()

    everything = b"".join(value for value in (await empty_redis.hgetall(KEY)).values() if isinstance(value, bytes))
    first, second = (one.overrides.of_game(game)[0] for game in (GAME, OTHER_GAME))
    assert AMOS.player_id.to_bytes(8, "big") not in everything
    assert bytes.fromhex(first.subject) not in everything
    assert (first.subject, first.name == second.name) == (second.subject, False)


async def test_a_copy_for_another_game_or_player_changes_nothing(
    cluster: Cluster, empty_redis: Redis, clock: FakeClock
) -> None:
    """The seal is for one kind, game, name, version and end."""
    one = Replica(None, clock)
    ban(one)
    entry = one.table.all_of(TableKind.OVERRIDE, GAME)[0]
    good = TableSealer(KEYS.table).seal(entry)
    other_name = one.overrides._fingerprints.of_override(GAME, ADDRESS)
    other_game = good[:1] + OTHER_GAME.to_bytes(8, "big") + good[9:]

    await plant_entries(empty_redis, other_game, good[:9] + other_name + good[25:], b"\1" + good[1:], good[:-16])
    late = await cluster.join(empty_redis)

    assert late.entries == 0


class Plain(SharedOverrides):
    """Broken: a value is good under any name."""

    def _decrypt(self, game_id: GameId, name: Fingerprint, encrypted: bytes) -> object:  # type: ignore[override]  # broken
        """Take it for that of another name, if it is none of this one."""
        own = self._fingerprints.of_override(GAME, AMOS)
        return super()._decrypt(game_id, name, encrypted) or super()._decrypt(GAME, own, encrypted)


@variants(OURS, plain=Kinds(overrides=Plain))
def test_a_value_belongs_to_its_name(variant: Variant[Kinds], clock: FakeClock) -> None:
    """Even a replica with our secret that mixes them up is not believed."""
    replica = Replica(None, clock, kinds=variant.make)
    ban(replica)
    entry = replica.table.all_of(TableKind.OVERRIDE, GAME)[0]
    other = replica.overrides._fingerprints.of_override(GAME, ADDRESS)
    replica.table.put(TableKind.OVERRIDE, GAME, other, entry.version, ends_at=entry.ends_at, value=entry.value)

    with promised(variant):
        assert said(replica, ADDRESS) == "-"


def test_a_value_of_a_later_version_says_nothing(clock: FakeClock) -> None:
    """A word or a method that this version does not know; what was added behind is not looked at."""
    replica = Replica(None, clock)
    name = replica.overrides._fingerprints.of_override(GAME, AMOS)
    found = []
    for number, packed in enumerate((b"\3\3", b"\2\x09", b"\2\3")):
        value = packed + (60).to_bytes(4, "big") + bytes(16) + b"added"
        sealed = replica.overrides._cipher.seal(value, GAME.to_bytes(8, "big") + name)
        replica.table.put(TableKind.OVERRIDE, GAME, name, number + 1, ends_at=clock.now() + DAY, value=sealed)
        found.append(replica.overrides._decrypt(GAME, name, sealed) is not None)

    assert found == [False, False, True]


async def test_garbage_in_its_place_makes_room(cluster: Cluster, empty_redis: Redis) -> None:
    """A value that is no entry keeps none from the others, however new it says that it is."""
    one, other = [await cluster.join(empty_redis) for _ in range(2)]
    name = one.overrides._fingerprints.of_override(GAME, AMOS)
    place = bytes([TableKind.OVERRIDE]) + GAME.to_bytes(8, "big") + name
    assert len(place) == PLACE_BYTES
    await plant_entries(empty_redis, place + b"\xff" * 16 + bytes(16))

    ban(one)
    await cluster.pass_time()

    assert said(other) == "ban"


# Bounds


def test_a_game_has_so_many_and_no_more(clock: FakeClock) -> None:
    """Overrides that have ended or were taken back make room; other games have room of their own."""
    replica = Replica(None, clock, most_overrides=3)
    users = [AssertedUser(PlayerId(number)) for number in range(1, 6)]
    ban(replica, users[0], holds_for=timedelta(minutes=1))
    ban(replica, users[1])
    ban(replica, users[2])

    with pytest.raises(TooManyOverrides):
        ban(replica, users[3])
    replica.overrides.set(OTHER_GAME, users[3], BAN, holds_for=WEEK)
    ban(replica, users[1])
    clock.jump(timedelta(minutes=1))
    ban(replica, users[3])
    with pytest.raises(TooManyOverrides):
        ban(replica, users[4])
    replica.overrides.remove(replica.overrides.of_game(GAME)[-1])
    ban(replica, users[4])

    assert len(replica.overrides.of_game(GAME)) == 3


class Dropping(ReplicatedTable):
    """Broken: too many become one invalidation, as those of other kinds do."""

    def _keep_bounds(self, kind: TableKind, game_id: GameId, _names: object) -> None:
        """Forget the older half."""
        entries = self.all_of(kind, game_id)
        if len(entries) > self._most_entries:
            for entry in entries[: len(entries) // 2]:
                self._forget(entry)


@variants(OURS, dropping=Kinds(table=Dropping))
async def test_replicas_that_add_at_once_keep_a_little_more(
    variant: Variant[Kinds], cluster: Cluster, empty_redis: Redis
) -> None:
    """None is dropped for another, and the game is not asked about again."""
    two = [await cluster.join(empty_redis, kinds=variant.make, most_entries=60, most_overrides=50) for _ in range(2)]
    for half, replica in enumerate(two):
        for number in range(50):
            ban(replica, AssertedUser(PlayerId(1 + half * 50 + number)))
    await cluster.pass_time()

    with promised(variant):
        assert [len(replica.overrides.of_game(GAME)) for replica in two] == [100, 100]
        assert [replica.overflows for replica in two] == [[], []]
        assert two[0].invalidated_before(NAME) is None


class Refusing(SharedOverrides):
    """Broken: words that are past take the room of others until they would have ended."""

    def _require_room(self, game_id: GameId, name: Fingerprint) -> None:
        if len(self._table.all_of(TableKind.OVERRIDE, game_id)) >= 10 * self._most:
            raise TooManyOverrides
        super()._require_room(game_id, name)


class Hoarding(SharedOverrides):
    """Broken: words that are past are known until they would have ended, however many they are."""

    def _forget_first(self, game_id: GameId) -> None:
        """Forget none."""


def cut_short(replica: Replica, subject: AssertedUser) -> None:
    """Let a minute take the place of the word about a subject."""
    ban(replica, subject, holds_for=timedelta(minutes=1))


@pytest.mark.parametrize("end", [lambda replica, _: take_back(replica), cut_short])
@variants(OURS, refusing=Kinds(overrides=Refusing), hoarding=Kinds(overrides=Hoarding))
async def test_words_that_are_past_are_bounded_and_lock_out_none(
    variant: Variant[Kinds],
    cluster: Cluster,
    empty_redis: Redis,
    clock: FakeClock,
    end: Callable[[Replica, AssertedUser], None],
) -> None:
    """Of more than nine for each that may hold, those are forgotten that would have ended first; on all replicas."""
    two = [await cluster.join(empty_redis, kinds=variant.make, most_overrides=2) for _ in range(2)]
    refused = []
    for hours in range(1, 31):
        user = AssertedUser(PlayerId(hours))
        try:
            ban(two[0], user, holds_for=timedelta(hours=hours))
            end(two[0], user)
        except TooManyOverrides as error:
            refused.append(error)
        await cluster.pass_time(LOOK_EVERY)
        clock.jump(timedelta(minutes=1))
    await cluster.pass_time()
    with suppress(TooManyOverrides):
        ban(two[0], ADDRESS)
    await cluster.pass_time()
    clock.jump(timedelta(minutes=10))
    await cluster.pass_time()

    with promised(variant):
        assert refused == []
        assert [replica.overrides.counts()[BAN] for replica in two] == [1, 1]
        known = [replica.table.all_of(TableKind.OVERRIDE, GAME) for replica in two]
        assert [len(entries) for entries in known] == [19, 19]
        assert min(entry.ends_at for entry in known[1]) > START + timedelta(hours=12)


def test_where_no_game_is_configured_so_many_have_overrides(clock: FakeClock) -> None:
    """A number that names a game costs nothing; one of those that have some may have more."""
    replica = Replica(None, clock)
    games = [GameId(number) for number in range(1, MOST_UNCONFIGURED_GAMES + 2)]
    for game in games[:-1]:
        replica.overrides.require_room_for_game(game)
        replica.overrides.set(game, AMOS, BAN, holds_for=timedelta(minutes=1))

    replica.overrides.require_room_for_game(games[0])
    with pytest.raises(TooManyOverrides):
        replica.overrides.require_room_for_game(games[-1])
    clock.jump(timedelta(minutes=1))
    replica.overrides.require_room_for_game(games[-1])


def test_one_that_lasts_keeps_none_that_has_ended(clock: FakeClock) -> None:
    """Memory is bounded also where the oldest is the one that ends last."""
    replica = Replica(None, clock, most_entries=10, most_overrides=20)
    ban(replica, holds_for=LONGEST_OVERRIDE)
    for number in range(1, 16):
        ban(replica, AssertedUser(PlayerId(number)), holds_for=timedelta(minutes=1))
    clock.jump(timedelta(minutes=1))

    ban(replica, ADDRESS)

    assert (said(replica), said(replica, ADDRESS), replica.entries) == ("ban", "ban", 2)


async def test_the_notes_that_a_process_remembers_are_bounded(clock: FakeClock) -> None:
    """The oldest is lost first."""
    replica, notes = Replica(None, clock), OverrideNotes(client=None, key=KEYS.overrides, clock=clock)
    ban(replica)
    (override,) = replica.overrides.of_game(GAME)
    overrides = [replace(override, name=name_of(number)) for number in range(MOST_OWN + 1)]
    for one in overrides:
        await notes.keep(one, OverrideNote("moderator"))

    assert await notes.read([overrides[0], overrides[1], overrides[-1]]) == [
        None,
        OverrideNote("moderator"),
        OverrideNote("moderator"),
    ]


class OneByOne(OverrideNotes):
    """Broken: each note is asked for when the one before has come."""

    async def read(self, overrides: Sequence[StandingOverride]) -> list[OverrideNote | None]:
        """Wait for each."""
        return [await self._read(one) for one in overrides]


@variants(OverrideNotes, one_by_one=OneByOne)
async def test_the_notes_of_a_game_are_asked_for_together(
    variant: Variant[type[OverrideNotes]], clock: FakeClock, own_redis: RedisServer
) -> None:
    """Redis is not asked as often as there are notes."""
    replica = Replica(None, clock)
    for number in range(1, 301):
        ban(replica, AssertedUser(PlayerId(number)))
    overrides = replica.overrides.of_game(GAME)
    async with Redis.from_url(own_redis.url) as redis, Redis.from_url(own_redis.url) as client:
        teller = OverrideNotes(client=client, key=KEYS.overrides, clock=clock)
        await asyncio.gather(*[teller.keep(one, OverrideNote("moderator", one.name.hex())) for one in overrides])
        reader = variant.make(client=client, key=KEYS.overrides, clock=clock)
        await reader.read(overrides[:1])
        before = (await redis.info("stats"))["total_reads_processed"]

        notes = await reader.read(overrides)

        reads = (await redis.info("stats"))["total_reads_processed"] - before
        await teller.close()
        await reader.close()

    assert notes == [OverrideNote("moderator", one.name.hex()) for one in overrides]
    with promised(variant):
        assert reads < len(overrides) / 5


async def test_a_reply_that_is_late_once_hides_no_note(clock: FakeClock, own_redis: RedisServer) -> None:
    """The first connection may take longer than a reply; the note is asked for once more."""
    replica = Replica(None, clock)
    ban(replica)
    (override,) = replica.overrides.of_game(GAME)
    async with Redis.from_url(own_redis.url) as client:
        teller = OverrideNotes(client=client, key=KEYS.overrides, clock=clock)
        await teller.keep(override, OverrideNote("moderator"))
        await teller.close()
        late = OverrideNotes(client=client, key=KEYS.overrides, clock=clock)
        own_redis.pause()
        reading = asyncio.create_task(late.read([override]))
        await until(lambda: clock.sleepers)
        await clock.advance(REPLY_TIMEOUT)
        await until(lambda: clock.sleepers)
        own_redis.resume()
        notes = await reading
        await late.close()

    assert notes == [OverrideNote("moderator")]


def test_one_that_has_ended_is_not_counted(clock: FakeClock) -> None:
    """Nor one that was taken back; both are known for longer. All games count together."""
    replica = Replica(None, clock)
    for number, game in ((1, GAME), (2, GAME), (3, OTHER_GAME)):
        replica.overrides.set(game, AssertedUser(PlayerId(number)), BAN, holds_for=WEEK)
    replica.overrides.set(GAME, ADDRESS, GRANT, holds_for=WEEK)
    at_first = replica.overrides.counts()

    replica.overrides.set(GAME, ADDRESS, GRANT, holds_for=timedelta(minutes=1))
    replica.overrides.remove(replica.overrides.of_game(OTHER_GAME)[0])
    clock.jump(timedelta(minutes=1) + SECOND)

    assert (at_first, replica.overrides.counts()) == ({GRANT: 1, BAN: 3}, {GRANT: 0, BAN: 2})


# Whether the others can have it


async def test_whether_redis_has_it_is_known_at_once(cluster: Cluster, own_redis: RedisServer) -> None:
    """It has, or it does not answer."""
    async with Redis.from_url(own_redis.url) as client:
        one = await cluster.join(client)
        override = one.overrides.set(GAME, AMOS, BAN, holds_for=WEEK)
        reached = await one.exchange.told(override.place)
        own_redis.kill()
        override = one.overrides.set(GAME, ADDRESS, BAN, holds_for=WEEK)

        assert (reached, await one.exchange.told(override.place)) == (True, False)


async def test_what_is_in_the_way_is_waited_for(cluster: Cluster, empty_redis: Redis) -> None:
    """Garbage in its place makes room at the next try."""
    one = await cluster.join(empty_redis)
    name = one.overrides._fingerprints.of_override(GAME, AMOS)
    newer = stamp(START + 4 * SECOND).to_bytes(8, "big")
    place = bytes([TableKind.OVERRIDE]) + GAME.to_bytes(8, "big") + name
    await plant_entries(empty_redis, place + newer + bytes(24))

    async def tell() -> tuple[bool, bool]:
        override = one.overrides.set(GAME, AMOS, BAN, holds_for=WEEK)
        reached = await one.exchange.told(override.place)
        return reached, one.table.has_to_tell(override.place)

    telling = asyncio.create_task(tell())
    await cluster.pass_time()

    assert telling.result() == (True, False)


class Hasty(FakeClock):
    """A clock for those who wait for no reply."""

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:  # noqa: ARG002 - at once
        """Return a time-out that is over."""
        return asyncio.timeout(0)


async def test_what_nobody_tells_is_not_told(clock: FakeClock, empty_redis: Redis) -> None:
    """After two seconds it is said that it holds here alone."""
    idle = Replica(empty_redis, clock, machine=Hasty())

    assert await idle.exchange.told(idle.overrides.set(GAME, AMOS, BAN, holds_for=WEEK).place) is False


async def test_who_gives_up_waiting_is_left_out(cluster: Cluster, empty_redis: Redis) -> None:
    """A caller that has gone meanwhile."""
    one = await cluster.join(empty_redis)
    override = one.overrides.set(GAME, AMOS, BAN, holds_for=WEEK)
    gone = asyncio.create_task(one.exchange.told(override.place))
    await asyncio.sleep(0)
    gone.cancel()

    assert await one.exchange.told(override.place)
