"""The list of what makes passes void, made of the table that all replicas have in common."""

from datetime import timedelta
from typing import Final

import msgspec

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints, derive_keys
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.shared_overrides import SharedOverrides
from service.cache.table_entry import GUARD, TableKind, instant_value
from service.ownership import Fingerprint, GameId, PlayerId
from service.passes.handles import Handles
from service.passes.void_passes import FOR_GOOD, VoidPasses
from service.verification.policy import GameRules
from tests.clock import FakeClock

GAME: Final = GameId(3)
OTHER: Final = GameId(4)
SECOND: Final = timedelta(seconds=1)
NAMES: Final = [Fingerprint(bytes([number]) * 16) for number in range(1, 6)]


class Rig:
    """A list, what it is made of, and the rules of the configured games."""

    def __init__(self, *rules: GameRules, most: int = 10_000) -> None:
        self.clock = FakeClock()
        keys = derive_keys(None)
        fingerprints = KeyedFingerprints(keys.naming, "store")
        self.table = ReplicatedTable(clock=self.clock, on_overflow=lambda *_: None)
        self.invalidations = SharedInvalidations(self.table)
        self.handles = Handles(keys.handles, fingerprints)
        self.rules = list(rules)
        self.void = VoidPasses(
            table=self.table,
            invalidations=self.invalidations,
            overrides=SharedOverrides(
                table=self.table, fingerprints=fingerprints, key=keys.overrides, clock=self.clock
            ),
            handles=self.handles,
            games=lambda: self.rules,
            longest=timedelta(minutes=15),
            clock=self.clock,
            most=most,
        )

    def listed(self) -> dict[str, float]:
        """Return the list of a second later."""
        self.clock.jump(SECOND)
        before: dict[str, float] = msgspec.json.decode(self.void.listed().body)["before"]
        return before

    def invalidate(self, name: Fingerprint, game: GameId = GAME) -> None:
        """Invalidate that name now."""
        self.invalidations.invalidate(game, name, before=self.clock.now())


def test_of_too_many_only_the_game_is_listed() -> None:
    """Then all of its passes are void, and those of other games are not."""
    rig = Rig(GameRules(GAME, "x-moon"), GameRules(OTHER, "sun-garden"), most=4)
    for name in NAMES[:4]:
        rig.invalidate(name)
    rig.invalidate(NAMES[0], OTHER)
    few = rig.listed()

    rig.invalidate(NAMES[4])

    assert len(few) == 5
    assert rig.listed() == {
        rig.handles.of_game(GAME): FOR_GOOD,
        rig.handles.of_name(OTHER, NAMES[0]): few[rig.handles.of_name(OTHER, NAMES[0])],
    }


def test_a_no_that_is_held_back_is_not_listed() -> None:
    """Its owner plays on, and is listed once the noes count."""
    rig = Rig(GameRules(GAME, "x-moon"))
    now = rig.clock.now()
    rig.invalidations.overruled(GAME, NAMES[0], now, None)
    assert list(rig.listed()) == [rig.handles.of_name(GAME, NAMES[0])]
    since = instant_value(now - timedelta(minutes=1))
    rig.table.put(TableKind.REVOCATIONS, GAME, GUARD, stamp(rig.clock.now()), value=since)

    assert rig.listed() == {}


def test_games_that_are_not_configured_are_listed_too() -> None:
    """A gateway without configured games is asked about any."""
    rig = Rig()
    rig.invalidate(NAMES[0])

    assert list(rig.listed()) == [rig.handles.of_name(GAME, NAMES[0])]


def test_a_grant_that_is_gone_is_that_games_alone() -> None:
    """The same player's grant for another game stays, and the list forgets when no such pass can be left."""
    granted = frozenset({PlayerId(2007)})
    rig = Rig(GameRules(GAME, "x-moon", grant_user_ids=granted), GameRules(OTHER, "sun-garden", grant_user_ids=granted))
    assert rig.listed() == {}

    rig.rules[0] = GameRules(GAME, "x-moon")

    assert len(rig.listed()) == 1
    rig.clock.jump(timedelta(minutes=15))
    assert rig.listed() == {}
