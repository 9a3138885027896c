"""The bounds of the replicated table: too much of one kind for one game concerns that game, and no other."""

from datetime import datetime, timedelta
from typing import Final

import pytest
from redis.asyncio import Redis

from service.cache.replicated_table import ReplicatedTable
from service.cache.table_entry import INVALIDATING, NO_GAME, WHOLE_GAME, TableEntry, TableKind
from service.ownership import Fingerprint, GameId
from tests.cache.invalidated import INSTANT, OURS, Cluster, Kinds, Replica
from tests.cache.samples import DAY, GAME, NAME, OTHER_GAME, SECOND, name_of
from tests.clock import START, FakeClock
from tests.cluster.promises import Variant, promised, variants

MOST: Final = 100


def fill(replica: Replica, kind: TableKind, count: int, *, game: GameId = GAME) -> None:
    """Invalidate so many names, in an order that is neither theirs nor random."""
    for number in range(count):
        place = number * 79 % count
        instant = START + place * INSTANT
        if kind is TableKind.INVALIDATED:
            replica.invalidate(name_of(place), before=instant, game=game)
        else:
            replica.invalidations.overruled(None if game == NO_GAME else game, name_of(place), instant, None)


def before(replica: Replica, name: Fingerprint, game: GameId = GAME) -> datetime:
    """Return the instant from which on observations count, if any."""
    return replica.invalidated_before(name, game) or START - DAY


class OneTable(ReplicatedTable):
    """Broken: all games and kinds share one bound, and all pay."""

    def _keep_bounds(self, _kind: TableKind, _game_id: GameId, names: dict[Fingerprint, TableEntry]) -> None:
        """Count all."""
        if sum(1 for _ in self._all()) > self._most_entries:
            for _, game in list(self.tables):
                self.put(TableKind.INVALIDATED, game, WHOLE_GAME, max(entry.version for entry in names.values()))


@pytest.mark.parametrize("game", [GAME, NO_GAME])
@pytest.mark.parametrize("kind", INVALIDATING)
@variants(OURS, one_table=Kinds(table=OneTable))
def test_too_many_concern_their_game_alone(
    variant: Variant[Kinds], clock: FakeClock, kind: TableKind, game: GameId
) -> None:
    """Of another game, only what was named is invalidated."""
    replica = Replica(None, clock, kinds=variant.make, most_entries=MOST)
    replica.invalidate(NAME, before=START, game=OTHER_GAME)

    fill(replica, kind, MOST + 1, game=game)

    with promised(variant):
        assert before(replica, name_of(MOST * 2), OTHER_GAME) == START - DAY
        assert before(replica, NAME, OTHER_GAME) == START
        assert replica.overflows == [(kind, game)]


@pytest.mark.parametrize("kind", INVALIDATING)
@pytest.mark.parametrize("rounds", [1, 5])
def test_too_many_become_later_never_earlier(clock: FakeClock, kind: TableKind, rounds: int) -> None:
    """Each name is asked about again at least as much as before, and memory stays bounded."""
    replica = Replica(None, clock, most_entries=MOST)
    count = rounds * MOST + 1

    fill(replica, kind, count)

    assert all(before(replica, name_of(number)) >= START + number * INSTANT for number in range(count))
    assert replica.entries <= MOST + 1
    assert replica.table.fullest(kind) <= MOST
    assert len(replica.table.untold(10 * count)) <= MOST + 1


@pytest.mark.parametrize("kind", INVALIDATING)
def test_of_too_many_the_newer_half_stay_as_they_are(clock: FakeClock, kind: TableKind) -> None:
    """Names without an entry of their own lose only observations from before the older half."""
    replica = Replica(None, clock, most_entries=MOST)

    fill(replica, kind, MOST + 1)

    assert START < before(replica, name_of(MOST * 2)) <= START + MOST // 2 * INSTANT
    assert before(replica, name_of(MOST)) == START + MOST * INSTANT


def test_each_kind_has_its_own_bound(clock: FakeClock) -> None:
    """Noes of the store that overrule a yes take no room from the word of operators."""
    replica = Replica(None, clock, most_entries=MOST)

    for kind in INVALIDATING:
        fill(replica, kind, MOST)

    assert replica.overflows == []
    assert [replica.table.fullest(kind) for kind in INVALIDATING] == [MOST, MOST]


def test_an_instant_before_that_of_the_whole_game_is_not_stored(clock: FakeClock) -> None:
    """The earlier instant would make no difference."""
    replica = Replica(None, clock)
    replica.invalidate(None, before=START)

    replica.invalidate(NAME, before=START - SECOND)

    assert (replica.invalidated_before(NAME), replica.entries) == (START, 1)


def test_what_has_ended_makes_room(clock: FakeClock) -> None:
    """After three days nothing is left that it could exclude; nothing overflows."""
    replica = Replica(None, clock, most_entries=MOST)
    fill(replica, TableKind.OVERRULED, MOST)
    clock.jump(3 * DAY + SECOND)

    replica.invalidations.overruled(GAME, NAME, clock.now(), None)
    replica.invalidate(NAME, before=START)

    assert (replica.entries, replica.overflows) == (1, [])


def test_entries_that_are_told_again_take_turns(clock: FakeClock) -> None:
    """Each comes before any comes twice, some at a time; one that has ended meanwhile is left out."""
    replica = Replica(None, clock)
    for place in range(5):
        replica.invalidate(name_of(place), before=START)

    turns = [{entry.name for entry in replica.table.next_known(2)} for _ in range(4)]

    assert [len(turn) for turn in turns] == [2, 2, 1, 2]
    assert set().union(*turns[:3]) == {name_of(place) for place in range(5)}
    clock.jump(90 * DAY)
    assert replica.table.next_known(2) == []


async def test_an_overflow_reaches_all_replicas(cluster: Cluster, empty_redis: Redis) -> None:
    """All come to the same, and one that starts later too, however much Redis still has."""
    one, other = [await cluster.join(empty_redis, most_entries=MOST) for _ in range(2)]
    other.invalidate(NAME, before=START, game=OTHER_GAME)
    fill(one, TableKind.INVALIDATED, 3 * MOST)
    await cluster.pass_time()
    late = await cluster.join(empty_redis, most_entries=MOST)

    places = [(name_of(number), GAME) for number in range(4 * MOST)] + [(NAME, OTHER_GAME), (name_of(1), OTHER_GAME)]
    known = [[before(replica, name, game) for name, game in places] for replica in (one, other, late)]
    assert known[0] == known[1] == known[2]
    assert known[0][-2:] == [START, START - timedelta(days=1)]
