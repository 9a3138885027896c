"""The last refusals of a player: which they are, and how few of thousands are looked at."""

from datetime import timedelta
from typing import Final

import pytest

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints, derive_keys
from service.cache.refusal_history import RefusalHistory
from service.cache.replicated_table import MOST_ENTRIES, ReplicatedTable
from service.cache.shared_refusals import MOST_LISTED
from service.ownership import Fingerprint, GameId
from tests.cache.test_refusal_memory import GAME, Noter

MANY: Final = 5000
"""The refusals of one caller that a process remembers."""


class CountingFingerprints(KeyedFingerprints):
    """Keyed hashes, and how many of those that name a player's refusals were taken."""

    hashed = 0

    def of_refused(self, game_id: GameId, log_name: str) -> Fingerprint:
        """Name them, and count that."""
        self.hashed += 1
        return super().of_refused(game_id, log_name)


class Looker:
    """The refusals of one process, for people who look."""

    def __init__(self) -> None:
        self.noter = Noter(most=2 * MANY)
        self.fingerprints = CountingFingerprints(derive_keys(None).naming, "test")
        self.overflowed = 0
        self.invalidations = SharedInvalidations(
            ReplicatedTable(clock=self.noter.clock, on_overflow=lambda *_: self._overflow())
        )
        self.history = RefusalHistory(
            memory=self.noter.memory,
            shared=None,
            fingerprints=self.fingerprints,
            invalidations=self.invalidations,
        )

    def _overflow(self) -> None:
        self.overflowed += 1

    async def last(self, log_name: str) -> list[str]:
        """Return the first ids of the last ones of a player; only the hashes for that are counted."""
        self.fingerprints.hashed = 0
        return [one.ids[0] for one in await self.history.of(GAME, log_name)]

    def forget(self, log_name: str, *, after: timedelta = timedelta()) -> None:
        """Hear from another replica that those of a player are invalidated."""
        name = self.fingerprints.of_refused(GAME, log_name)
        self.invalidations.invalidate(GAME, name, before=self.noter.clock.now() + after)


async def test_a_flood_of_one_account_costs_what_five_cost() -> None:
    """A keyed hash for the account, and one for each that is shown."""
    looker = Looker()
    ids = [looker.noter.refuse(f"jwt {number}", account="banned") for number in range(MANY)]

    assert await looker.last("banned") == ids[: -MOST_LISTED - 1 : -1]
    assert looker.fingerprints.hashed == MOST_LISTED + 1


@pytest.mark.parametrize("invalidated", ["banned", "key"])
async def test_an_invalidated_flood_costs_less(invalidated: str) -> None:
    """A mark is looked up once, whether it is of the name that was asked for or of the other one."""
    looker = Looker()
    for _ in range(100):
        looker.noter.refuse("key", account="banned")
        await looker.noter.clock.advance(timedelta(minutes=1))
    looker.forget(invalidated)
    later = [looker.noter.refuse("key", account="banned")]

    assert await looker.last("banned") == await looker.last("key") == later
    assert looker.fingerprints.hashed == 2
    looker.forget(invalidated, after=timedelta(seconds=1))
    assert await looker.last("banned") == []
    assert looker.fingerprints.hashed <= 2


async def test_one_that_was_repeated_lately_is_among_the_last() -> None:
    """Though others began after it."""
    looker = Looker()
    first = looker.noter.refuse("jwt", account="banned")
    others = []
    for number in range(MOST_LISTED):
        await looker.noter.clock.advance(timedelta(seconds=5))
        others.append(looker.noter.refuse(f"jwt {number}", account="banned"))
    await looker.noter.clock.advance(timedelta(seconds=5))
    looker.noter.refuse("jwt", account="banned")

    assert await looker.last("banned") == [first, *others[:0:-1]]


async def test_an_invalidated_one_leaves_its_place_to_the_next() -> None:
    """Of an account by one of its credentials."""
    looker = Looker()
    ids = []
    for number in range(MOST_LISTED + 1):
        ids.append(looker.noter.refuse(f"jwt {number}", account="banned"))
        await looker.noter.clock.advance(timedelta(seconds=5))
    looker.forget(f"jwt {MOST_LISTED}")

    assert await looker.last("banned") == ids[-2::-1]


async def test_there_is_room_for_half_as_many_players_as_marks() -> None:
    """An invalidation of a player is one mark for what was observed, and one for the refusals."""
    looker = Looker()
    before = looker.noter.clock.now()

    async def invalidate(number: int) -> None:
        looker.invalidations.invalidate(GAME, Fingerprint(number.to_bytes(16, "big")), before=before)
        await looker.history.forget(GAME, f"{number:016x}", before=before)

    for number in range(1, MOST_ENTRIES // 2 + 1):
        await invalidate(number)
    assert looker.overflowed == 0
    await invalidate(MOST_ENTRIES)
    assert looker.overflowed == 1
