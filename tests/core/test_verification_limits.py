"""The limits: of callers, of the store, and of sharing between equal questions."""

import asyncio
from datetime import timedelta

import pytest

from service.errors import SourceUnavailable
from service.ownership import CacheTier, Credential, Outcome, Reason
from service.verification.question import Question
from tests.clock import START
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
    foreground,
)


@pytest.fixture
async def owner(rig: Rig) -> Rig:
    """The rig, after the store has shown at the start that the key owns the game."""
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.ask(KEY)
    rig.calls.clear()
    return rig


# max_age


async def test_evidence_as_old_as_the_caller_allows_is_used(owner: Rig) -> None:
    """To the instant."""
    await owner.clock.advance(MINUTE)

    verdict = await owner.ask(KEY, max_age=MINUTE)

    assert (verdict.cache, owner.calls) == (CacheTier.MEMORY, [])


async def test_evidence_older_than_the_caller_allows_is_not(owner: Rig) -> None:
    """The store is asked, although what is known is fresh."""
    await owner.clock.advance(MINUTE + INSTANT)

    verdict = await owner.ask(KEY, max_age=MINUTE)

    assert (verdict.cache, verdict.decision.observed_at) == (CacheTier.NONE, START + MINUTE + INSTANT)


async def test_a_player_who_just_bought_the_game_is_let_in_with_a_max_age_of_zero(rig: Rig) -> None:
    """The no of a moment ago does not stand in the way."""
    await rig.ask(KEY)
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.clock.advance(INSTANT)

    assert (await rig.ask(KEY, max_age=NO_TIME)).decision.allowed


async def test_a_max_age_holds_for_a_jwt_as_well_as_for_ownership(rig: Rig) -> None:
    """Both are asked for again."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    rig.calls.clear()
    await rig.clock.advance(INSTANT)

    await rig.ask(JWT, max_age=NO_TIME)

    assert rig.calls == [foreground(JWT), foreground(USER)]


@pytest.mark.parametrize("max_age", [NO_TIME, MINUTE])
async def test_older_evidence_is_not_used_in_grace_either(owner: Rig, max_age: timedelta) -> None:
    """The only evidence is older than the caller accepts, so the outcome is `unknown`."""
    owner.source.failing = SourceUnavailable()
    await owner.clock.advance(MINUTE + INSTANT)

    decision = (await owner.ask(KEY, max_age=max_age)).decision

    assert (decision.outcome, decision.reason) == (Outcome.UNKNOWN, Reason.SOURCE_UNAVAILABLE)


async def test_a_max_age_longer_than_the_age_has_grace(owner: Rig) -> None:
    """A bound that is met takes nothing else away."""
    owner.source.failing = SourceUnavailable()
    await owner.clock.advance(2 * HOUR)

    assert (await owner.ask(KEY, max_age=2 * HOUR)).decision.allowed


async def test_a_look_up_that_began_earlier_is_not_joined(rig: Rig) -> None:
    """The answer would be older than the caller allows: a refund may lie between."""
    rig.source.owns(GAME, KEY, KEY_PROOF)
    rig.source.takes = 2 * SECOND
    earlier = rig.asking(KEY)
    await rig.clock.advance(SECOND)

    strict = rig.asking(KEY, max_age=NO_TIME)
    await rig.clock.advance(2 * SECOND)

    assert [task.result().decision.observed_at for task in (earlier, strict)] == [START, START + SECOND]
    assert (len(rig.calls), rig.joined) == (2, 0)


async def test_a_look_up_within_the_max_age_is_joined(rig: Rig) -> None:
    """One look-up serves both."""
    rig.source.takes = 2 * SECOND
    tasks = [rig.asking(KEY)]
    await rig.clock.advance(SECOND)
    tasks.append(rig.asking(KEY, max_age=SECOND))
    await rig.clock.advance(SECOND)

    assert all(task.done() for task in tasks)
    assert (len(rig.calls), rig.joined) == (1, 1)


async def test_questions_that_came_together_share_although_none_may_be_old(rig: Rig) -> None:
    """The items of a batch are asked one after the other, but came at one instant."""
    rig.source.takes = SECOND

    async def ask() -> None:
        await rig.verification.verify(Question(RULES, KEY, 3 * SECOND, max_age=NO_TIME, asked_at=START))

    tasks = []
    for _ in range(100):
        tasks.append(asyncio.ensure_future(ask()))
        await asyncio.sleep(0)
        rig.clock.jump(INSTANT)
    await rig.clock.advance(SECOND)
    assert all(task.done() for task in tasks)
    assert len(rig.calls) == 1


# only_if_cached


@pytest.mark.parametrize("credential", [KEY, EMAIL, USER, JWT])
async def test_what_is_not_known_is_not_asked_for(rig: Rig, credential: Credential) -> None:
    """The caller allowed no look-up."""
    verdict = await rig.ask(credential, only_if_cached=True)
    await rig.settle()

    assert (verdict.decision.outcome, verdict.decision.reason) == (Outcome.UNKNOWN, Reason.NOT_CACHED)
    assert (rig.calls, rig.queue.admitted) == ([], [])


@pytest.mark.parametrize("age", [NO_TIME, 48 * MINUTE, 70 * MINUTE - INSTANT])
async def test_what_is_known_is_answered_and_not_refreshed(owner: Rig, age: timedelta) -> None:
    """Refreshing would spend store budget."""
    await owner.clock.advance(age)

    verdict = await owner.ask(KEY, only_if_cached=True)
    await owner.settle()

    assert (verdict.decision.allowed, owner.calls) == (True, [])


async def test_stale_proof_is_not_answered_while_the_store_could_be_asked(owner: Rig) -> None:
    """Grace is for a store that gives no answer; here it was not asked."""
    await owner.clock.advance(70 * MINUTE)

    assert (await owner.ask(KEY, only_if_cached=True)).decision.reason is Reason.NOT_CACHED


async def test_stale_proof_is_answered_when_the_store_has_just_said_nothing(owner: Rig) -> None:
    """That it is down is known, and costs nothing to know."""
    await owner.clock.advance(70 * MINUTE)
    owner.source.failing = SourceUnavailable()
    await owner.ask(KEY)
    owner.calls.clear()

    verdict = await owner.ask(KEY, only_if_cached=True)

    assert (verdict.decision.allowed, owner.calls) == (True, [])


async def test_a_remembered_no_is_no_answer_while_the_seller_is_not_known(rig: Rig) -> None:
    """To learn who the seller is would be a look-up."""
    await rig.ask(USER)
    rig.calls.clear()
    rig.source.seller = None

    verdict = await rig.ask(USER, only_if_cached=True)

    assert (verdict.decision.reason, rig.calls) == (Reason.NOT_CACHED, [])


# The deadline


async def test_who_cannot_wait_any_longer_is_told_so(rig: Rig) -> None:
    """At the deadline, not before, and when to come back."""
    rig.source.takes = MINUTE
    task = rig.asking(KEY, deadline=2 * SECOND)
    await rig.clock.advance(2 * SECOND - INSTANT)
    early = task.done()

    await rig.clock.advance(INSTANT)
    verdict = task.result()

    assert (early, verdict.decision.reason, verdict.retry_after) == (False, Reason.DEADLINE_EXCEEDED, SECOND)


async def test_the_look_up_goes_on_without_those_who_left(rig: Rig) -> None:
    """The next question has its answer."""
    rig.source.takes = 5 * SECOND
    rig.source.owns(GAME, KEY, KEY_PROOF)
    hasty = rig.asking(KEY, deadline=SECOND)
    await rig.clock.advance(5 * SECOND)

    verdict = await rig.ask(KEY)

    assert not hasty.result().decision.allowed
    assert (verdict.decision.allowed, verdict.cache, len(rig.calls)) == (True, CacheTier.MEMORY, 1)


async def test_at_the_deadline_older_proof_does(owner: Rig) -> None:
    """A slow store is no reason to keep a proven owner out."""
    await owner.clock.advance(2 * HOUR)
    owner.source.takes = MINUTE
    task = owner.asking(KEY, deadline=2 * SECOND)
    await owner.clock.advance(2 * SECOND)

    decision = task.result().decision

    assert (decision.allowed, decision.stale, decision.observed_at) == (True, True, START)


async def test_the_deadline_is_for_the_whole_question(rig: Rig) -> None:
    """The time that the JWT took is missing for ownership, and then the store is not even asked."""
    rig.source.belongs(JWT, AMOS)
    rig.source.takes = 2 * SECOND
    task = rig.asking(JWT, deadline=3 * SECOND)

    await rig.clock.advance(3 * SECOND)

    assert task.result().decision.reason is Reason.DEADLINE_EXCEEDED


async def test_nothing_is_asked_for_a_caller_whose_time_is_up(rig: Rig) -> None:
    """The look-up would have no caller."""
    verdict = await rig.ask(KEY, deadline=NO_TIME)

    assert (verdict.decision.reason, verdict.retry_after) == (Reason.DEADLINE_EXCEEDED, SECOND)
    assert (rig.calls, rig.queue.admitted) == ([], [])


async def test_a_deadline_is_no_failure_of_the_store(rig: Rig) -> None:
    """The next caller, who has more time, joins the look-up at once."""
    rig.source.takes = 3 * SECOND
    rig.source.owns(GAME, KEY, KEY_PROOF)
    hasty = rig.asking(KEY, deadline=SECOND)
    await rig.clock.advance(SECOND)
    patient = rig.asking(KEY, deadline=3 * SECOND)

    await rig.clock.advance(2 * SECOND)

    assert [task.result().decision.allowed for task in (hasty, patient)] == [False, True]
    assert len(rig.calls) == 1
