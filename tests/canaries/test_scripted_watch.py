"""The watch alone, with a store and turns that do what the test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import pytest

from service.canaries.canary import Canary, Expectation
from service.canaries.canary_watch import CanaryWatch
from service.canaries.turns import CanaryTurn, CanaryTurns, OwnTurns
from service.errors import Overloaded, SourceRateLimited
from service.ownership import Evidence, GameId, PlayerId, Proof, ProofKind, Reason
from service.verification.interfaces import Lane, Priority
from service.verification.policy import GameRules, Override
from tests.canaries.watched import FIVE_MINUTES, TEN_SECONDS, pass_time
from tests.clock import FakeClock
from tests.core.fakes import PlainOverrides, ScriptedSource

RULES: Final = GameRules(GameId(3), "x-moon")
OWNER: Final = Canary(RULES, Expectation.OWNER, PlayerId(1994))
STRANGER: Final = Canary(RULES, Expectation.STRANGER, PlayerId(2007))
YES: Final = (Proof(ProofKind.PURCHASE, 7),)


class Heard:
    """A record of what was said about canaries: `ok`, by expectation, or why it is not asked."""

    def __init__(self) -> None:
        self.ok: dict[str, bool | str] = {}
        self.checked_at: dict[str, datetime] = {}

    def canary(self, game: str, expect: str, *, ok: bool, checked_at: datetime) -> None:
        """Note an answer."""
        assert game == "x-moon"
        self.ok[expect], self.checked_at[expect] = ok, checked_at

    def canary_not_asked(self, game: str, expect: str, why: str) -> None:
        """Note that it is not asked."""
        assert game == "x-moon"
        self.ok[expect] = why

    def canary_gone(self, game: str, expect: str) -> None:
        """Note that nothing is said of it any more."""
        assert game == "x-moon"
        self.ok.pop(expect, None)


class Room:
    """Room for all but the lanes of those in `full`."""

    def __init__(self) -> None:
        self.full: set[Canary] = set()
        self.lanes: list[Lane] = []

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Admit it, unless there is no room."""
        assert not within
        self.lanes.append(lane)
        if any(canary.lane == lane for canary in self.full):
            raise Overloaded


class ToldTurns:
    """Turns of a cluster in which another replica has told something; None stands for a Redis that is away."""

    def __init__(self) -> None:
        self.turn: CanaryTurn | None = None
        self.taken: list[Canary] = []

    async def take(self, canary: Canary) -> CanaryTurn | None:
        """Return what the test says."""
        self.taken.append(canary)
        return self.turn

    async def tell(self, canary: Canary, evidence: Evidence | None) -> None:
        """Fail: no turn is granted."""
        raise AssertionError((canary, evidence))


class Rig:
    """A watch that runs, and all around it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = ScriptedSource(self.clock)
        self.source.owns(RULES.game_id, OWNER.subject, *YES)
        self.overrides = PlainOverrides()
        self.room = Room()
        self.heard = Heard()

    @property
    def calls(self) -> list[object]:
        """The subjects of all look-ups."""
        return [call.about for call in self.source.calls]

    @asynccontextmanager
    async def running(self, *canaries: Canary, turns: CanaryTurns | None = None) -> AsyncIterator[CanaryWatch]:
        """Have it run."""
        watch = CanaryWatch(
            canaries,
            source=self.source,
            overrides=self.overrides,
            room=self.room,
            turns=turns or OwnTurns(),
            clock=self.clock,
            observer=self.heard,
        )
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(0)
        yield watch
        assert not task.done()
        task.cancel()
        await asyncio.wait((task,))


async def test_it_asks_in_the_background_for_no_caller() -> None:
    """The lane of a canary is that of no caller."""
    rig = Rig()
    async with rig.running(OWNER, STRANGER):
        await pass_time(rig.clock, 2 * TEN_SECONDS)

    assert rig.heard.ok == {"owner": True, "stranger": True}
    assert {call.priority for call in rig.source.calls} == {Priority.BACKGROUND}
    assert set(rig.room.lanes) == {Lane("", RULES.game_id, Priority.BACKGROUND)}


async def test_a_turn_that_the_budget_refuses_is_tried_in_the_next() -> None:
    """Between the look at the budget and the request others may have spent it."""
    rig = Rig()
    rig.source.no_turn_for = {""}
    async with rig.running(OWNER):
        await pass_time(rig.clock, FIVE_MINUTES - TEN_SECONDS)
        rig.source.no_turn_for = set()
        early = dict(rig.heard.ok)
        await pass_time(rig.clock, 2 * TEN_SECONDS)

    assert (early, rig.heard.ok) == ({}, {"owner": True})


async def test_a_game_without_room_holds_up_no_other() -> None:
    """Its canary is tried again after ten seconds, and those of other games come meanwhile."""
    rig = Rig()
    other = Canary(GameRules(GameId(4), "x-moon"), Expectation.STRANGER, PlayerId(2007))
    rig.room.full = {OWNER}
    async with rig.running(OWNER, other):
        await pass_time(rig.clock, TEN_SECONDS)
        meanwhile = list(rig.calls)
        rig.room.full = set()
        await pass_time(rig.clock, 2 * TEN_SECONDS)

    assert meanwhile == [other.subject]
    assert rig.calls == [other.subject, OWNER.subject]


async def test_no_turn_is_taken_without_room() -> None:
    """It would be lost for all replicas."""
    rig, turns = Rig(), ToldTurns()
    rig.room.full = {OWNER}
    async with rig.running(OWNER, turns=turns):
        await pass_time(rig.clock, FIVE_MINUTES)

    assert turns.taken == []


async def test_a_new_seller_is_not_asked_and_the_former_one_is() -> None:
    """Another key may belong to another account: while that is unknown, neither canary is asked."""
    rig = Rig()
    rig.source.seller = OWNER.player_id
    async with rig.running(OWNER, STRANGER):
        await pass_time(rig.clock, 2 * TEN_SECONDS)
        first = dict(rig.heard.ok)
        rig.source.seller = None
        await pass_time(rig.clock, FIVE_MINUTES + TEN_SECONDS)
        calls = len(rig.calls)
        rig.source.seller = STRANGER.player_id
        await pass_time(rig.clock, 2 * TEN_SECONDS)

    assert first == {"owner": "it is the seller's own account, who is always let in", "stranger": True}
    assert calls == 1
    assert rig.heard.ok == {"owner": True, "stranger": "it is the seller's own account, who is always let in"}
    assert rig.calls[1:] == [OWNER.subject]


@pytest.mark.parametrize("reason", [Reason.OPERATOR_BAN, Reason.OPERATOR_GRANT])
async def test_an_account_under_an_override_is_not_asked(reason: Reason) -> None:
    """An operator's word decides about it for a while; then it is asked again."""
    rig = Rig()
    rig.overrides.known[RULES.game_id, OWNER.subject] = Override(reason)
    async with rig.running(OWNER, STRANGER):
        await pass_time(rig.clock, FIVE_MINUTES)
        meanwhile, calls = dict(rig.heard.ok), list(rig.calls)
        rig.overrides.known.clear()
        await pass_time(rig.clock, 2 * TEN_SECONDS)

    why = "an override says for a while that it is let in, or kept out"
    assert (meanwhile, OWNER.subject in calls) == ({"owner": why, "stranger": True}, False)
    assert rig.heard.ok == {"owner": True, "stranger": True}


async def test_a_store_that_throttles_is_no_verdict() -> None:
    """The last answer stays, and the canary comes back in its turn."""
    rig = Rig()
    async with rig.running(OWNER):
        await pass_time(rig.clock, TEN_SECONDS)
        before = dict(rig.heard.checked_at)
        rig.source.failing = SourceRateLimited()
        await pass_time(rig.clock, FIVE_MINUTES + TEN_SECONDS)

    assert rig.calls == [OWNER.subject] * 2
    assert (rig.heard.ok, rig.heard.checked_at) == ({"owner": True}, before)


async def test_nothing_is_asked_while_turns_are_unknown() -> None:
    """Redis is away: it is tried again every ten seconds."""
    rig, turns = Rig(), ToldTurns()
    async with rig.running(OWNER, turns=turns):
        await pass_time(rig.clock, FIVE_MINUTES)

    assert rig.calls == []
    assert len(turns.taken) == 1 + FIVE_MINUTES // TEN_SECONDS


async def test_what_others_were_told_counts_while_it_is_newer() -> None:
    """An older answer, which another program may have put back, changes nothing."""
    rig, turns = Rig(), ToldTurns()
    now = rig.clock.now()
    said = []
    async with rig.running(OWNER, turns=turns):
        for at, proofs in ((now, ()), (now - FIVE_MINUTES, YES), (now + TEN_SECONDS, YES)):
            turns.turn = CanaryTurn(TEN_SECONDS, told=Evidence(at, proofs))
            await pass_time(rig.clock, TEN_SECONDS)
            said.append((rig.heard.ok["owner"], rig.heard.checked_at["owner"]))

    assert said == [(False, now), (False, now), (True, now + TEN_SECONDS)]


async def test_an_answer_of_the_future_does_not_stay() -> None:
    """After the clock was set back, what comes now counts."""
    rig, turns = Rig(), ToldTurns()
    turns.turn = CanaryTurn(TEN_SECONDS, told=Evidence(rig.clock.now(), YES))
    async with rig.running(OWNER, turns=turns):
        await pass_time(rig.clock, TEN_SECONDS)
        rig.clock.set_back(timedelta(hours=1))
        turns.turn = CanaryTurn(TEN_SECONDS, told=Evidence(rig.clock.now(), ()))
        await pass_time(rig.clock, TEN_SECONDS)

    assert rig.heard.ok == {"owner": False}


class LastTurns(ToldTurns):
    """Turns at which another replica has told a yes, and at which the canary goes meanwhile."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.watch: CanaryWatch | None = None
        self._clock = clock

    async def take(self, canary: Canary) -> CanaryTurn:
        """Have it gone."""
        self.taken.append(canary)
        if self.watch is not None:
            self.watch.follow([])
        return CanaryTurn(wait=TEN_SECONDS, told=Evidence(self._clock.now(), YES))


async def test_an_answer_about_a_canary_that_is_gone_is_not_shown() -> None:
    """It may arrive after the end of the canary."""
    rig = Rig()
    turns = LastTurns(rig.clock)
    async with rig.running(OWNER, turns=turns) as watch:
        shown = dict(rig.heard.ok)
        turns.watch = watch
        await rig.clock.advance(2 * TEN_SECONDS)

    assert shown == {"owner": True}
    assert rig.heard.ok == {}
    assert turns.taken == [OWNER, OWNER]


async def test_a_canary_that_stays_keeps_its_time() -> None:
    """Only the one that is new is asked about at once."""
    rig = Rig()
    async with rig.running(OWNER) as watch:
        watch.follow([OWNER, STRANGER])
        await rig.clock.advance(2 * TEN_SECONDS)

    assert rig.calls == [OWNER.subject, STRANGER.subject]
    assert rig.heard.ok == {"owner": True, "stranger": True}
