"""Refusals in the memory of a process: what counts as one, how many there are, and what is forgotten."""

from datetime import timedelta
from typing import Final

import pytest

from service.cache.refusal_memory import MOST_IDS, ONE_REFUSAL, RefusalMemory, RememberedRefusal
from service.causes import Cause
from service.ownership import CacheTier, Decision, GameId, Method, Reason
from tests.cache.refused import note_refusal
from tests.clock import START, FakeClock

GAME: Final = GameId(3)


class Noter:
    """A memory of refusals, and questions that are refused."""

    def __init__(self, *, most: int = 100) -> None:
        self.clock = FakeClock()
        self.cause: Cause | None = None
        self.memory = RefusalMemory(cause=lambda: self.cause, most=most)
        self._made = 0

    def refuse(
        self,
        subject: str = "aa",
        *,
        caller: str = "lobby",
        reason: Reason = Reason.NO_DOWNLOAD_KEY,
        game_id: GameId = GAME,
        account: str | None = None,
    ) -> str:
        """Note a refusal, and return its id."""
        self._made += 1
        return note_refusal(
            self.memory,
            f"D{self._made}",
            now=self.clock.now(),
            subject=subject,
            caller=caller,
            account=account,
            reason=reason,
            game_id=game_id,
        )

    def found(self, decision_id: str) -> RememberedRefusal:
        """Return the one with this id."""
        found = self.memory.find(decision_id)
        assert found is not None
        return found


async def test_equal_ones_of_a_minute_are_one() -> None:
    """It has a count, and the instants of the first and the last."""
    noter = Noter()

    first = noter.refuse()
    await noter.clock.advance(ONE_REFUSAL - timedelta(seconds=1))
    second = noter.refuse()
    await noter.clock.advance(timedelta(seconds=1))
    third = noter.refuse()

    one, other = noter.found(first), noter.found(third)
    assert (one.count, one.ids, one.at, one.last_at) == (2, (first, second), START, START + timedelta(seconds=59))
    assert (other.count, other.ids) == (1, (third,))


@pytest.mark.parametrize(
    "other",
    [{"subject": "bb"}, {"caller": "other"}, {"reason": Reason.OVERLOADED}, {"game_id": GameId(4)}],
    ids=lambda other: next(iter(other)),
)
def test_different_ones_are_not(other: dict[str, object]) -> None:
    """Player, caller, reason and game make the difference."""
    noter = Noter()

    first = noter.refuse()
    second = noter.refuse(**other)  # type: ignore[arg-type]

    assert (noter.found(first).ids, noter.found(second).ids) == ((first,), (second,))


def test_players_are_known_by_their_id_alone() -> None:
    """Names stay nowhere in the memory."""
    noter = Noter()
    refused = noter.refuse("aa")

    assert noter.found(refused).player_id == 7
    assert "nia" not in repr(noter.memory.of(GAME, "aa")).lower()


def test_a_decision_may_name_no_player() -> None:
    """One by e-mail."""
    noter = Noter()
    decision = Decision(Reason.NO_DOWNLOAD_KEY, GAME, Method.EMAIL)
    noter.memory.note(
        decision, "D1", caller="lobby", cache=CacheTier.NONE, subject="aa", account=None, now=noter.clock.now()
    )

    assert noter.found("D1").player_id is None


def test_it_is_found_by_the_first_id_and_the_latest() -> None:
    """A player is shown the last one; a game server may have logged the first."""
    noter = Noter()

    ids = [noter.refuse() for _ in range(MOST_IDS + 3)]

    assert noter.found(ids[-1]).ids == (ids[0], *ids[-MOST_IDS + 1 :])
    assert noter.memory.find(ids[1]) is None
    assert noter.found(ids[0]).count == MOST_IDS + 3


def test_one_caller_takes_half_of_the_room_at_most() -> None:
    """Those of others stay."""
    noter = Noter(most=10)
    others = [noter.refuse(f"b{number}", caller="quiet") for number in range(4)]

    own = [noter.refuse(f"a{number}", caller="noisy") for number in range(50)]

    assert all(noter.memory.find(one) for one in others)
    assert [one for one in own if noter.memory.find(one)] == own[-5:]


def test_the_oldest_makes_room() -> None:
    """There are never more than may be."""
    noter = Noter(most=10)

    ids = [noter.refuse(f"a{number}", caller=f"caller-{number}") for number in range(30)]

    assert [one for one in ids if noter.memory.find(one)] == ids[-10:]
    assert noter.refuse("a0", caller="caller-0")
    assert noter.found("D31").count == 1


def test_what_a_caller_had_too_much_of_makes_no_second_room() -> None:
    """Only one that can still be found counts as the oldest."""
    noter = Noter(most=4)

    noisy = [noter.refuse(f"a{number}", caller="noisy") for number in range(3)]
    quiet = [noter.refuse(f"b{number}", caller=f"quiet-{number}") for number in range(3)]

    assert [one for one in noisy + quiet if noter.memory.find(one)] == [noisy[-1], *quiet]


def test_what_is_forgotten_is_not_found() -> None:
    """By credential, by account, and by game."""
    noter = Noter()
    ids = [
        noter.refuse("aa"),
        noter.refuse("bb", account="aa"),
        noter.refuse("cc"),
        noter.refuse("aa", game_id=GameId(4)),
    ]

    noter.memory.forget(GAME, "aa")
    assert [noter.memory.find(one) is None for one in ids] == [True, True, False, False]
    noter.memory.forget(GAME, None)
    assert [noter.memory.find(one) is None for one in ids] == [True, True, True, False]


def test_the_latest_come_first() -> None:
    """Those of an account are found as those of a credential are."""
    noter = Noter()
    first, second = noter.refuse("aa"), noter.refuse("bb", account="aa")

    assert [one.as_it_is().ids for one in noter.memory.of(GAME, "aa")] == [(second,), (first,)]


def test_the_cause_is_kept_where_the_store_gave_no_answer() -> None:
    """A no has none."""
    noter = Noter()
    noter.cause = Cause.TLS_EXPIRED

    no, unknown = noter.refuse("aa"), noter.refuse("bb", reason=Reason.SOURCE_UNAVAILABLE)

    assert (noter.found(no).cause, noter.found(unknown).cause) == (None, Cause.TLS_EXPIRED)
