"""Noes about proven owners while the guard holds them back: whom the store is asked for, and for whom they count."""

from typing import Final

import pytest

from service.errors import SourceUnavailable
from service.limits.caller_limits import KeyTries
from service.ownership import Outcome, Reason, Subject, VerifiedEmail
from tests.core.fakes import ScriptedGuard
from tests.core.rig import (
    AMOS,
    EMAIL,
    GAME,
    HOUR,
    KEY,
    KEY_PROOF,
    MINUTE,
    PURCHASE_PROOF,
    SECOND,
    USER,
    Rig,
    rules,
)
from tests.core.test_verification_tries import left

QUICK: Final = rules(owned_fresh=MINUTE)
BETWEEN: Final = 150 * SECOND
"""Two minutes after the no, the age that the no has not reached, and the proof has."""


@pytest.fixture
def guard() -> ScriptedGuard:
    """A guard that holds nothing yet."""
    return ScriptedGuard()


@pytest.fixture
def rig(guard: ScriptedGuard) -> Rig:
    """A verification with that guard."""
    return Rig(guard=guard)


async def refuse(rig: Rig, guard: ScriptedGuard, credential: Subject = KEY) -> None:
    """Have the owner of a credential proven, then refused by the store two minutes later, and that held back."""
    rig.source.owns(GAME, credential, KEY_PROOF, owner=AMOS)
    await rig.ask(credential, QUICK)
    await rig.clock.advance(2 * MINUTE)
    rig.source.disowns(GAME, credential)
    guard.since = rig.clock.now() - MINUTE
    await rig.ask(credential, QUICK)
    await rig.settle()


async def test_proof_is_told_while_the_no_is_held(rig: Rig, guard: ScriptedGuard) -> None:
    """The store is asked again behind the caller once the no is due."""
    await refuse(rig, guard)
    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.OWNED
    asked = len(rig.calls)

    await rig.clock.advance(HOUR / 2)
    verdict = await rig.ask(KEY, QUICK)
    await rig.settle()

    assert (verdict.decision.outcome, len(rig.calls)) == (Outcome.OWNED, asked + 1)


async def test_caller_for_whom_the_proof_is_too_old_has_the_store_asked(rig: Rig, guard: ScriptedGuard) -> None:
    """Once the no is due: the store may say yes again, and only that helps this caller."""
    await refuse(rig, guard)
    rig.source.owns(GAME, KEY, KEY_PROOF, owner=AMOS)
    verdict = await rig.ask(KEY, QUICK, max_age=MINUTE)
    assert (verdict.decision.outcome, verdict.decision.reason) == (Outcome.UNKNOWN, Reason.SOURCE_PROTOCOL)

    await rig.clock.advance(2 * MINUTE)
    verdict = await rig.ask(KEY, QUICK, max_age=BETWEEN)

    assert (verdict.decision.outcome, verdict.decision.stale) == (Outcome.OWNED, False)


async def test_caller_for_whom_the_proof_is_too_old_gets_no_answer_of_a_store_that_says_no_again(
    rig: Rig, guard: ScriptedGuard
) -> None:
    """It was asked once for that."""
    await refuse(rig, guard)
    await rig.clock.advance(2 * MINUTE)
    asked = len(rig.calls)

    reasons = [(await rig.ask(KEY, QUICK, max_age=BETWEEN)).decision.reason for _ in range(3)]

    assert reasons == [Reason.SOURCE_PROTOCOL] * 3
    assert len(rig.calls) == asked + 1


async def test_caller_who_lets_nothing_be_asked_gets_no_answer_either(rig: Rig, guard: ScriptedGuard) -> None:
    """Although the no is due."""
    await refuse(rig, guard)
    await rig.clock.advance(2 * MINUTE)
    asked = len(rig.calls)

    verdict = await rig.ask(KEY, QUICK, max_age=BETWEEN, only_if_cached=True)

    assert (verdict.decision.reason, len(rig.calls)) == (Reason.SOURCE_PROTOCOL, asked)


async def test_held_noes_spend_no_tries(rig: Rig, guard: ScriptedGuard) -> None:
    """A key that was proven is none that its caller guesses."""
    tries = KeyTries(per_minute=2, clock=rig.clock)
    await refuse(rig, guard)

    await rig.clock.advance(2 * MINUTE)
    await rig.ask(KEY, QUICK, max_age=MINUTE, tries=tries)

    assert await left(tries) == 2


async def test_refused_key_is_new_again_when_its_proof_has_ended(rig: Rig, guard: ScriptedGuard) -> None:
    """Then it is a key like any that the store does not know."""
    tries = KeyTries(per_minute=2, clock=rig.clock)
    await refuse(rig, guard)

    await rig.clock.advance(25 * HOUR)
    await rig.ask(KEY, QUICK, tries=tries)

    assert await left(tries) == 1


async def test_owner_counts_once_by_all_methods(rig: Rig, guard: ScriptedGuard) -> None:
    """By key and by id, as far as the store says who it is."""
    await refuse(rig, guard, KEY)
    await refuse(rig, guard, USER)

    names = {name for name, refused_since in guard.rechecks if refused_since is not None}
    assert len(names) == 1


async def test_addresses_count_once_in_any_case(rig: Rig, guard: ScriptedGuard) -> None:
    """Not all evidence names an account."""
    for address in (EMAIL, VerifiedEmail(EMAIL.reveal().upper())):
        rig.source.owns(GAME, address, PURCHASE_PROOF)
        await rig.ask(address, QUICK)
        await rig.clock.advance(2 * MINUTE)
        rig.source.disowns(GAME, address)
        await rig.ask(address, QUICK)
        await rig.settle()

    names = {name for name, refused_since in guard.rechecks if refused_since is not None}
    assert len(names) == 1


async def test_yes_is_told_to_the_guard_as_one(rig: Rig, guard: ScriptedGuard) -> None:
    """Of an owner proven before."""
    rig.source.owns(GAME, USER, PURCHASE_PROOF)
    await rig.ask(USER, QUICK)
    await rig.clock.advance(2 * MINUTE)
    await rig.ask(USER, QUICK)
    await rig.settle()

    assert [refused_since for _, refused_since in guard.rechecks] == [None]


async def test_no_that_was_held_does_not_count_because_time_has_passed(rig: Rig, guard: ScriptedGuard) -> None:
    """The store says nothing any more, and what it said last was not believed."""
    await refuse(rig, guard)
    guard.since = None
    rig.source.failing = SourceUnavailable()

    await rig.clock.advance(HOUR)
    verdict = await rig.ask(KEY, QUICK)

    assert (verdict.decision.outcome, verdict.decision.stale) == (Outcome.OWNED, True)


async def test_no_that_was_held_counts_once_an_operator_believes_it(rig: Rig, guard: ScriptedGuard) -> None:
    """Also if the store says nothing then."""
    await refuse(rig, guard)
    guard.since, guard.believed = None, rig.clock.now() + SECOND
    rig.source.failing = SourceUnavailable()

    await rig.clock.advance(HOUR)

    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.UNKNOWN


async def test_no_after_the_hold_counts_in_an_outage_too(rig: Rig, guard: ScriptedGuard) -> None:
    """It was given when noes counted again; then, as ever, nothing is known."""
    await refuse(rig, guard)
    guard.since = None
    await rig.clock.advance(2 * MINUTE)
    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.NOT_OWNED
    rig.source.failing = SourceUnavailable()

    await rig.clock.advance(SECOND * 90)

    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.UNKNOWN


async def test_noes_after_a_hold_are_new_ones(rig: Rig, guard: ScriptedGuard) -> None:
    """None of those before has counted: the guard hears of them again, and may hold them."""
    await refuse(rig, guard)
    guard.since = None
    guard.rechecks.clear()
    await rig.clock.advance(HOUR)
    again = rig.clock.now()

    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.NOT_OWNED
    assert [refused_since for _, refused_since in guard.rechecks] == [again]
    guard.since = again - MINUTE
    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.OWNED


async def test_refusal_between_two_holds_stays_one(rig: Rig, guard: ScriptedGuard) -> None:
    """It was given when noes counted."""
    await refuse(rig, guard)
    guard.since = None
    await rig.clock.advance(2 * MINUTE)
    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.NOT_OWNED

    await rig.clock.advance(HOUR)
    guard.since = rig.clock.now() - 10 * MINUTE

    assert (await rig.ask(KEY, QUICK)).decision.outcome is Outcome.NOT_OWNED
