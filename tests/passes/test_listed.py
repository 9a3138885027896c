"""The list of what makes passes void, made of the table that all replicas have in common."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints, derive_keys
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.shared_overrides import SharedOverrides
from service.cache.table_entry import GUARD, TableKind, instant_value
from service.ownership import AssertedUser, Fingerprint, GameId, OverrideWord, PlayerId
from service.passes.handles import Handles
from service.passes.pass_claims import PassClaims
from service.passes.void_passes import FOR_GOOD, VoidPasses
from service.verification.policy import GameRules
from tests.calls import counted
from tests.clock import FakeClock
from tests.passes.make_forged import CLAIMS

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
        self.rules = rules
        self.overrides = SharedOverrides(
            table=self.table, fingerprints=fingerprints, key=keys.overrides, clock=self.clock
        )
        self.void = VoidPasses(
            table=self.table,
            invalidations=self.invalidations,
            overrides=self.overrides,
            handles=self.handles,
            games=lambda: self.rules,
            longest=timedelta(minutes=15),
            clock=self.clock,
            most=most,
            many_names=8,
        )

    def configure(self, rules: GameRules) -> None:
        """Have the configuration read again, with other rules of the first game."""
        self.rules = (rules, *self.rules[1:])

    def listed(self) -> dict[str, float]:
        """Return the list of a second later."""
        self.clock.jump(SECOND)
        before: dict[str, float] = msgspec.json.decode(self.void.listed().body)["before"]
        return before

    def is_void(self, *handles: str, game: GameId = GAME) -> bool:
        """Whether a pass with these handles, from a minute ago, is void here."""
        decided_at = (self.clock.now() - timedelta(minutes=1)).timestamp()
        ours = [self.handles.of_game(game), *handles]
        claims = msgspec.convert({**CLAIMS, "game": game, "handles": ours, "observed_at": decided_at}, PassClaims)
        return self.void.is_void(self._rules_of(game), claims)

    def _rules_of(self, game: GameId) -> GameRules:
        return next((one for one in self.rules if one.game_id == game), GameRules(game, str(game)))

    def invalidate(self, name: Fingerprint, game: GameId = GAME) -> None:
        """Invalidate that name now."""
        self.invalidations.invalidate(game, name, before=self.clock.now())


PLAYER: Final = AssertedUser(PlayerId(1994))
HOUR: Final = timedelta(hours=1)


def ban_and_let_in_again(rig: Rig) -> None:
    """Take a ban back at once."""
    rig.overrides.remove(rig.overrides.set(GAME, PLAYER, OverrideWord.BAN, holds_for=HOUR))


def ban_for_a_second(rig: Rig) -> None:
    """Have a ban take the place of a grant, and end by itself."""
    rig.overrides.set(GAME, PLAYER, OverrideWord.GRANT, holds_for=HOUR)
    rig.overrides.set(GAME, PLAYER, OverrideWord.BAN, holds_for=SECOND)
    rig.clock.jump(2 * SECOND)


def grant_and_take_back(rig: Rig) -> None:
    """Take a grant back at once."""
    rig.overrides.remove(rig.overrides.set(GAME, PLAYER, OverrideWord.GRANT, holds_for=HOUR))


def ban_in_the_file(rig: Rig) -> None:
    """Have the configuration read again, with a ban."""
    rig.configure(replace(rig.rules[0], ban_user_ids=frozenset({PLAYER.player_id})))


def invalidate_after_a_no(rig: Rig) -> None:
    """Have the store say no an hour ago, and an operator speak now."""
    rig.invalidations.overruled(GAME, NAMES[0], rig.clock.now() - HOUR, None)
    rig.invalidate(NAMES[0])


def grant_no_more(rig: Rig) -> None:
    """Have the configuration read again, without a grant."""
    rig.configure(GameRules(GAME, "x-moon"))


WAYS: Final[dict[str, Callable[[Rig], object]]] = {
    "nothing": lambda _: None,
    "invalidated": lambda rig: rig.invalidate(NAMES[0]),
    "of the other game": lambda rig: rig.invalidate(NAMES[0], OTHER),
    "the whole game": lambda rig: rig.invalidations.invalidate(GAME, None, before=rig.clock.now()),
    "a no": lambda rig: rig.invalidations.overruled(GAME, NAMES[0], rig.clock.now(), None),
    "after a no": invalidate_after_a_no,
    "long ago": lambda rig: rig.invalidations.invalidate(GAME, NAMES[0], before=rig.clock.now() - HOUR),
    "banned": lambda rig: rig.overrides.set(GAME, PLAYER, OverrideWord.BAN, holds_for=HOUR),
    "granted": lambda rig: rig.overrides.set(GAME, PLAYER, OverrideWord.GRANT, holds_for=HOUR),
    "banned no more": ban_and_let_in_again,
    "banned a while": ban_for_a_second,
    "grant taken back": grant_and_take_back,
    "banned in the file": ban_in_the_file,
    "granted in the file no more": grant_no_more,
}
ENDS: Final = {
    "proven": set[str](),
    "granted": {"banned no more", "banned a while", "grant taken back"},
    "granted in the file": {"granted in the file no more"},
}
"""The ways in which a pass ends with the grant that it is from; another grant of the same player may stand."""

VOID: Final = WAYS.keys() - {*chain(*ENDS.values()), "nothing", "of the other game", "long ago", "granted"}


@pytest.mark.parametrize("source", ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_the_gateway_and_the_list_agree(way: str, source: str) -> None:
    """A pass from a minute ago is void to both, or to neither; the end of a grant voids only those that it gave."""
    in_file = frozenset({PLAYER.player_id} if source == "granted in the file" else ())
    rig = Rig(GameRules(GAME, "x-moon", grant_user_ids=in_file), GameRules(OTHER, "sun-garden"))
    handles = [rig.handles.of_game(GAME), rig.handles.of_name(GAME, NAMES[0]), rig.handles.of_word(GAME, PLAYER)]
    if source != "proven":
        handles.append(rig.handles.of_grant(GAME, PLAYER))
    assert not rig.is_void(*handles)
    assert rig.listed() == {}

    WAYS[way](rig)

    void = rig.is_void(*handles)
    decided_at = (rig.clock.now() - timedelta(minutes=1)).timestamp()
    before = rig.listed()
    assert void is any(decided_at < before.get(handle, 0.0) for handle in handles)
    assert void is (way in VOID or way in ENDS[source])


def test_a_grant_that_stands_keeps_passes_good() -> None:
    """Of two grants of one player, the first that ends voids nothing, and the second everything, in either order."""
    in_file = GameRules(GAME, "x-moon", grant_user_ids=frozenset({PLAYER.player_id}))
    for first, second in (("word", "file"), ("file", "word")):
        rig = Rig(in_file, GameRules(OTHER, "sun-garden"))
        word = rig.overrides.set(GAME, PLAYER, OverrideWord.GRANT, holds_for=HOUR)
        end = {"word": partial(rig.overrides.remove, word), "file": partial(grant_no_more, rig)}
        handle = rig.handles.of_grant(GAME, PLAYER)
        seen = []
        for one in (first, second):
            rig.clock.jump(SECOND)
            end[one]()
            seen.append((rig.is_void(handle), handle in rig.listed()))

        assert seen == [(False, False), (True, True)], first


def test_what_was_known_before_there_were_passes_counts() -> None:
    """Replicas that tell what they know at the start of this one tell it first."""
    rig = Rig()
    rig.invalidate(NAMES[0])
    later = VoidPasses(
        table=rig.table,
        invalidations=rig.invalidations,
        overrides=rig.overrides,
        handles=rig.handles,
        games=tuple,
        longest=HOUR,
        clock=rig.clock,
    )
    rig.void = later

    assert rig.is_void(rig.handles.of_name(GAME, NAMES[0]))


def test_a_pass_of_another_secret_is_void() -> None:
    """It has no handle by which it could be taken back here."""
    rig = Rig(GameRules(GAME, "x-moon"))
    claims = msgspec.convert(CLAIMS, PassClaims)

    assert rig.void.is_void(rig.rules[0], claims)
    assert not rig.void.is_void(rig.rules[0], replace(claims, handles=(rig.handles.of_game(GAME),)))


def test_handles_are_found_however_many_were_known() -> None:
    """Names that the table has forgotten are dropped, and none that it has."""
    rig = Rig()
    for number in range(1, 100):
        rig.clock.jump(SECOND)
        rig.invalidate(Fingerprint(bytes([number]) * 16))
        rig.invalidations.invalidate(OTHER, None, before=rig.clock.now())
        if number % 5 == 0:
            rig.clock.jump(SECOND)
            rig.invalidations.invalidate(GAME, None, before=rig.clock.now())
        else:
            assert rig.handles.of_name(GAME, Fingerprint(bytes([number]) * 16)) in rig.void._names
        assert len(rig.void._names) <= 8
    assert rig.is_void(rig.handles.of_game(GAME))


def test_showing_a_pass_costs_the_same_however_much_is_void() -> None:
    """Also where something new became void just before."""
    calls = []
    for many in (10, 1000):
        rig = Rig(GameRules(GAME, "x-moon"))
        for number in range(1, many):
            rig.invalidate(Fingerprint(number.to_bytes(16, "big")))
        handles = (rig.handles.of_game(GAME), rig.handles.of_name(GAME, Fingerprint((1).to_bytes(16, "big"))))
        rig.is_void(*handles)
        rig.invalidate(NAMES[0])
        with counted() as count:
            assert rig.is_void(*handles)
        calls.append(count())

    assert calls[0] == calls[1]


class Walked(tuple[GameRules, ...]):
    """Rules that count how often all of them are gone through."""

    __slots__ = ()
    walks = 0

    def __iter__(self) -> Iterator[GameRules]:
        """Count it."""
        Walked.walks += 1
        return super().__iter__()


def test_showing_a_pass_costs_the_same_however_many_games_there_are() -> None:
    """No game is looked at but the one that the pass is for."""
    rig = Rig(GameRules(GAME, "x-moon"))
    rig.rules, (rules,) = Walked(rig.rules), rig.rules
    claims = msgspec.convert({**CLAIMS, "handles": [rig.handles.of_game(GAME)]}, PassClaims)
    rig.void.is_void(rules, claims)
    before = Walked.walks

    assert not rig.void.is_void(rules, claims)
    assert Walked.walks == before


def test_news_of_one_game_cost_the_same_however_much_is_void_of_another() -> None:
    """The list is public: those who fetch it must not have the gateway work through all games each time."""
    calls = []
    for many in (10, 1000):
        rig = Rig(GameRules(GAME, "x-moon"), GameRules(OTHER, "sun-garden"))
        for number in range(1, many):
            rig.invalidate(Fingerprint(number.to_bytes(16, "big")), OTHER)
        rig.listed()
        rig.invalidate(NAMES[0])
        rig.clock.jump(SECOND)
        with counted() as count:
            rig.void.listed()
        calls.append(count())

    assert calls[0] == calls[1]


def test_what_a_wrong_clock_has_listed_is_corrected() -> None:
    """Once it is set back, passes from now on are good."""
    rig = Rig(GameRules(GAME, "x-moon"))
    name = rig.handles.of_name(GAME, NAMES[0])
    rig.invalidations.invalidate(GAME, NAMES[0], before=rig.clock.now() + timedelta(seconds=4))
    assert rig.listed()[name] > rig.clock.now().timestamp()
    rig.clock.set_back(HOUR)

    rig.invalidations.invalidated_before(GAME, NAMES[0])

    assert rig.listed()[name] == (rig.clock.now() - SECOND).timestamp()


@pytest.mark.parametrize("whole_game", [False, True])
def test_of_too_many_the_oldest_become_one(whole_game: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Passes of that game from before them are void, new ones and those of other games are not, and bans stay."""
    rig = Rig(GameRules(GAME, "x-moon"), GameRules(OTHER, "sun-garden"), most=5)
    rig.overrides.set(GAME, PLAYER, OverrideWord.BAN, holds_for=HOUR)
    if whole_game:
        rig.invalidations.invalidate(GAME, None, before=rig.clock.now())
    at = {}
    for name in NAMES[:2]:
        rig.clock.jump(SECOND)
        rig.invalidate(name)
        at[name] = rig.clock.now().timestamp()
    rig.invalidate(NAMES[0], OTHER)
    few = rig.listed()
    assert rig.handles.of_name(GAME, NAMES[0]) in few

    for name in NAMES[2:]:
        rig.clock.jump(SECOND)
        rig.invalidate(name)
        at[name] = rig.clock.now().timestamp()

    assert rig.listed() == {
        rig.handles.of_word(GAME, PLAYER): FOR_GOOD,
        rig.handles.of_game(GAME): at[NAMES[1]],
        rig.handles.of_name(GAME, NAMES[2]): at[NAMES[2]],
        rig.handles.of_name(GAME, NAMES[3]): at[NAMES[3]],
        rig.handles.of_name(GAME, NAMES[4]): at[NAMES[4]],
        rig.handles.of_name(OTHER, NAMES[0]): few[rig.handles.of_name(OTHER, NAMES[0])],
    }


def test_of_too_many_bans_only_the_game_is_listed() -> None:
    """Then all of its passes are void: none of those who are banned may be left out."""
    banned = frozenset(PlayerId(number) for number in range(1, 6))
    rig = Rig(GameRules(GAME, "x-moon", ban_user_ids=banned), most=4)

    before = rig.listed()

    assert (len(before), before[rig.handles.of_game(GAME)]) == (4, FOR_GOOD)


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

    rig.configure(GameRules(GAME, "x-moon"))

    assert len(rig.listed()) == 1
    rig.clock.jump(timedelta(minutes=15))
    assert rig.listed() == {}
