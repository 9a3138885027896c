"""An invalidated observation is never used again, be it cached, under way, or the last before an outage."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

import pytest
from msgspec.structs import replace

from service.errors import SourceUnavailable
from service.ownership import CacheTier, Fingerprint, GameId, Outcome, Reason, Subject
from service.verification.interfaces import Invalidations
from service.verification.policy import GameRules
from tests.clock import START
from tests.cluster.promises import Variant, promised, variants
from tests.core.fakes import PlainFingerprints, PlainInvalidations
from tests.core.rig import (
    AMOS,
    EMAIL,
    GAME,
    HOUR,
    INSTANT,
    JWT,
    KEY,
    KEY_PROOF,
    MINUTE,
    NO_TIME,
    RULES,
    SECOND,
    USER,
    Rig,
    background,
    foreground,
)

MakeInvalidations: TypeAlias = Callable[[], Invalidations]
OTHER_GAME = GameRules(GameId(4), "sun-garden")


class DeafInvalidations(PlainInvalidations):
    """Broken: what is invalidated stays as it is."""

    def invalidate(self, game_id: GameId, name: Fingerprint | None, *, before: datetime) -> None:
        """Forget it at once."""


class FleetingInvalidations(PlainInvalidations):
    """Broken: like deleting what is there, of which nothing is left for what comes after."""

    def invalidated_before(
        self, game_id: GameId | None, name: Fingerprint, *, by_operator: bool = False
    ) -> datetime | None:
        """Know of it the first time."""
        found = super().invalidated_before(game_id, name, by_operator=by_operator)
        self.known.clear()
        return found


async def owning(rig: Rig, *subjects: Subject) -> Rig:
    """Let the store show that they own the game, and ask about each."""
    for subject in subjects:
        owner = AMOS if subject is USER else None
        rig.source.owns(GAME, subject, KEY_PROOF, owner=owner)
        await rig.ask(subject)
    rig.calls.clear()
    return rig


@pytest.mark.parametrize("subject", [KEY, EMAIL, USER])
@variants(PlainInvalidations, deaf=DeafInvalidations)
async def test_what_was_known_about_a_subject_is_not_used_any_more(
    variant: Variant[MakeInvalidations], subject: Subject
) -> None:
    """The store is asked even if the observation was made at that very instant."""
    rig = await owning(Rig(invalidations=variant.make()), subject)
    rig.source.disowns(GAME, subject)

    rig.invalidate(subject)

    with promised(variant):
        assert (await rig.ask(subject)).decision.outcome is Outcome.NOT_OWNED


async def test_a_jwt_is_answered_anew_when_its_player_is_invalidated(rig: Rig) -> None:
    """The identity behind the JWT stays known."""
    await owning(rig, USER)
    rig.source.belongs(JWT, AMOS)
    await rig.ask(JWT)
    rig.source.disowns(GAME, USER)
    rig.calls.clear()

    rig.invalidate(USER)

    assert (await rig.ask(JWT)).decision.outcome is Outcome.NOT_OWNED
    assert foreground(JWT) not in rig.calls


async def test_others_stay_known(rig: Rig) -> None:
    """Only the subject that was named is asked about again, and only for that game."""
    await owning(rig, KEY, EMAIL)
    await rig.ask(KEY, OTHER_GAME)
    rig.calls.clear()

    rig.invalidate(KEY)

    verdicts = [await rig.ask(EMAIL), await rig.ask(KEY, OTHER_GAME)]
    assert ([verdict.cache for verdict in verdicts], rig.calls) == ([CacheTier.MEMORY] * 2, [])


@variants(PlainInvalidations, deaf=DeafInvalidations)
async def test_a_whole_game_is_asked_about_again(variant: Variant[MakeInvalidations]) -> None:
    """Every subject, once."""
    rig = await owning(Rig(invalidations=variant.make()), KEY, EMAIL, USER)

    rig.invalidate(None)

    verdicts = [await rig.ask(subject) for subject in (KEY, EMAIL, USER, KEY, EMAIL, USER)]
    with promised(variant):
        assert [verdict.cache for verdict in verdicts] == [CacheTier.NONE] * 3 + [CacheTier.MEMORY] * 3


async def test_another_game_stays_known(rig: Rig) -> None:
    """An invalidation is for one game."""
    await rig.ask(KEY, OTHER_GAME)

    rig.invalidate(None)

    assert (await rig.ask(KEY, OTHER_GAME)).cache is CacheTier.MEMORY


async def test_what_the_store_says_afterwards_is_remembered_as_ever(rig: Rig) -> None:
    """One look-up, and the hour begins anew."""
    await owning(rig, KEY)
    rig.invalidate(KEY)
    await rig.ask(KEY)

    verdict = await rig.ask(KEY)

    assert (verdict.cache, verdict.decision.outcome) == (CacheTier.MEMORY, Outcome.OWNED)
    assert rig.calls == [foreground(KEY)]


@variants(PlainInvalidations, fleeting=FleetingInvalidations)
async def test_a_look_up_under_way_cannot_undo_it(variant: Variant[MakeInvalidations]) -> None:
    """The answer of that look-up is from before, however late it comes."""
    rig = Rig(invalidations=variant.make())
    rig.source.owns(GAME, KEY, KEY_PROOF)
    rig.source.takes = 2 * SECOND
    early = rig.asking(KEY)
    await rig.clock.advance(SECOND)
    rig.invalidate(KEY)
    await rig.ask(KEY, only_if_cached=True)  # what only deletes has its say now
    await rig.clock.advance(SECOND)
    assert early.done()
    rig.source.disowns(GAME, KEY)

    late = await rig.ask_through(2 * SECOND, KEY)

    with promised(variant):
        assert late.decision.outcome is Outcome.NOT_OWNED


async def test_a_look_up_under_way_is_not_joined(rig: Rig) -> None:
    """A caller that asks after the invalidation gets an answer from after it."""
    rig.source.takes = 2 * SECOND
    early = rig.asking(KEY)
    await rig.settle()
    rig.invalidate(KEY)
    rig.source.owns(GAME, KEY, KEY_PROOF)

    late = rig.asking(KEY)
    await rig.clock.advance(2 * SECOND)

    assert early.done()
    assert rig.calls == [foreground(KEY)] * 2
    assert late.result().decision.observed_at == START + INSTANT


@variants(PlainInvalidations, deaf=DeafInvalidations)
async def test_grace_does_not_bring_it_back(variant: Variant[MakeInvalidations]) -> None:
    """The outcome is `unknown` while the store is away, which is neither yes nor no."""
    rig = await owning(Rig(invalidations=variant.make()), KEY)
    await rig.clock.advance(2 * HOUR)
    rig.source.failing = SourceUnavailable("away")

    rig.invalidate(KEY)

    decision = (await rig.ask(KEY)).decision
    with promised(variant):
        assert (decision.outcome, decision.reason) == (Outcome.UNKNOWN, Reason.SOURCE_UNAVAILABLE)


async def test_grace_does_not_bring_back_what_is_invalidated_while_the_store_gives_no_answer(rig: Rig) -> None:
    """The question was asked before, and is answered after."""
    await owning(rig, KEY)
    await rig.clock.advance(2 * HOUR)
    rig.source.failing, rig.source.takes = SourceUnavailable("away"), SECOND
    asking = rig.asking(KEY)
    await rig.settle()

    rig.invalidate(KEY)
    await rig.clock.advance(SECOND)

    assert asking.result().decision.outcome is Outcome.UNKNOWN


async def test_a_no_is_not_repeated_either(rig: Rig) -> None:
    """The player may have been given a key."""
    await rig.ask(KEY)
    rig.source.owns(GAME, KEY, KEY_PROOF)

    rig.invalidate(KEY)

    assert (await rig.ask(KEY)).decision.outcome is Outcome.OWNED


async def test_a_caller_that_asks_for_what_is_known_hears_that_nothing_is(rig: Rig) -> None:
    """The caller did not permit to ask the store."""
    await owning(rig, KEY)

    rig.invalidate(KEY)

    assert (await rig.ask(KEY, only_if_cached=True)).decision.reason is Reason.NOT_CACHED


async def test_the_stricter_of_both_counts(rig: Rig) -> None:
    """A caller's own bound is not softened by an older invalidation."""
    await owning(rig, KEY)
    rig.invalidate(KEY)
    await rig.clock.advance(MINUTE)
    await rig.ask(KEY)
    await rig.clock.advance(MINUTE)

    assert (await rig.ask(KEY, max_age=2 * MINUTE)).cache is CacheTier.MEMORY
    assert (await rig.ask(KEY, max_age=MINUTE - INSTANT)).cache is CacheTier.NONE


async def test_after_an_invalidation_a_refresh_goes_on_as_ever(rig: Rig) -> None:
    """Late in its hour the new answer is renewed in the background."""
    await owning(rig, KEY)
    rig.invalidate(KEY)
    await rig.ask(KEY)
    await rig.clock.advance(50 * MINUTE)

    await rig.ask(KEY)
    await rig.settle()

    assert rig.calls == [foreground(KEY), background(KEY)]


def name_of(subject: Subject) -> Fingerprint:
    """Return the name of the question about it."""
    return PlainFingerprints().of_question(GAME, subject, RULES.accept)


class TestWithClocksThatDisagree:
    """A replica whose clock is ahead has invalidated, or ours was set back: answers are slower, never wrong."""

    AHEAD = timedelta(seconds=30)

    @pytest.fixture
    async def behind(self, rig: Rig) -> Rig:
        """A replica that knows an owner, and hears of an invalidation by a clock that is ahead."""
        await owning(rig, KEY)
        rig.invalidations.invalidate(GAME, name_of(KEY), before=START + self.AHEAD)
        return rig

    async def test_what_we_look_up_afterwards_is_used(self, behind: Rig) -> None:
        """A look-up that began after the invalidation arrived here is used, and not repeated."""
        behind.source.disowns(GAME, KEY)

        verdicts = [await behind.ask(KEY), await behind.ask(KEY)]

        assert [verdict.decision.outcome for verdict in verdicts] == [Outcome.NOT_OWNED] * 2
        assert behind.calls == [foreground(KEY)]

    async def test_a_hundred_questions_share_one_look_up(self, behind: Rig) -> None:
        """As ever."""
        behind.source.takes = SECOND
        asking = [behind.asking(KEY) for _ in range(50)]
        await behind.clock.advance(SECOND / 2)
        asking += [behind.asking(KEY) for _ in range(50)]

        await behind.clock.advance(SECOND / 2)

        assert {task.result().decision.outcome for task in asking} == {Outcome.OWNED}
        assert behind.calls == [foreground(KEY)]

    async def test_what_the_other_replica_has_seen_before_does_not_come_back(self, behind: Rig) -> None:
        """The observation is newer by the other clock than what we look up by ours."""
        seen = behind.observations.peek(name_of(KEY))
        assert seen is not None
        older = replace(seen.observation, observed_at=START + self.AHEAD - SECOND)
        behind.observations.put(name_of(KEY), older, game_id=GAME, keep_until=START + 24 * HOUR)
        behind.source.disowns(GAME, KEY)

        assert (await behind.ask(KEY)).decision.outcome is Outcome.NOT_OWNED

    async def test_a_clock_set_back_does_not_bring_it_back(self, rig: Rig) -> None:
        """The clock is set back by a minute after the invalidation."""
        await owning(rig, KEY)
        await rig.clock.advance(2 * MINUTE)
        rig.invalidate(KEY)
        rig.clock.set_back(MINUTE)
        rig.source.disowns(GAME, KEY)

        assert (await rig.ask(KEY)).decision.outcome is Outcome.NOT_OWNED
        assert rig.calls == [foreground(KEY)]


async def test_a_max_age_holds_though_the_clock_is_set_back_meanwhile(rig: Rig) -> None:
    """One look-up, which began after the question."""
    asked_at = rig.clock.now()
    rig.clock.set_back(MINUTE)
    rig.source.owns(GAME, KEY, KEY_PROOF)

    verdict = await rig.ask(KEY, max_age=NO_TIME, asked_at=asked_at)

    assert (verdict.decision.outcome, rig.calls) == (Outcome.OWNED, [foreground(KEY)])
