"""The time for which an answer of the store may be used: the table in docs/api.md, "How old an answer can be"."""

import asyncio
from datetime import timedelta

import pytest

from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    NoAnswer,
    Overloaded,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.ownership import (
    AssertedUser,
    CacheTier,
    Credential,
    DownloadKey,
    Evidence,
    Outcome,
    PlayerId,
    Proof,
    Reason,
)
from service.verification.interfaces import Priority
from tests.clock import START
from tests.core.fakes import PlainFingerprints
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
    PURCHASE_PROOF,
    RULES,
    SECOND,
    USER,
    Rig,
    rules,
)

DUE = 48 * MINUTE
"""From here on, 80 % of an hour, proof is looked up again in the background."""

GRACE = 24 * HOUR

NAME_OF_KEY = PlainFingerprints().of_question(GAME, KEY, RULES.accept)


# Fresh


@pytest.mark.parametrize("age", [timedelta(), MINUTE, DUE - INSTANT])
async def test_fresh_proof_is_answered_without_asking(owner: Rig, age: timedelta) -> None:
    """Neither now nor in the background, and the instant stays that of the store's word."""
    await owner.clock.advance(age)

    verdict = await owner.ask(KEY)
    await owner.settle()

    assert (verdict.decision.allowed, verdict.decision.stale, verdict.cache) == (True, False, CacheTier.MEMORY)
    assert (verdict.decision.observed_at, owner.calls) == (START, [])


async def test_what_only_redis_has_comes_from_there(owner: Rig) -> None:
    """After a restart the store need not be asked."""
    owner.observations.forget()

    verdict = await owner.ask(KEY)

    assert (verdict.decision.allowed, verdict.cache, owner.calls) == (True, CacheTier.REDIS, [])


async def test_what_the_store_no_longer_knows_is_asked_for_again(owner: Rig) -> None:
    """No proof is served past 72 hours, nor past the grace of its game."""
    await owner.clock.advance(GRACE)

    verdict = await owner.ask(KEY)

    assert (verdict.cache, verdict.decision.observed_at) == (CacheTier.NONE, START + GRACE)


# Grace


@pytest.mark.parametrize(
    "no_answer",
    [
        SourceUnavailable(),
        SourceRateLimited(),
        SourceProtocolError(),
        GatewayCredentialRefused(),
        GameNotAccessible(),
        Overloaded(),
    ],
)
@pytest.mark.parametrize("credential", [KEY, EMAIL, USER])
async def test_proven_owners_keep_playing_while_the_store_says_nothing(
    owner: Rig, credential: Credential, no_answer: NoAnswer
) -> None:
    """The proof is served until the last instant of grace, marked as stale, with the instant of its observation."""
    await owner.clock.advance(GRACE - INSTANT)
    owner.source.failing = no_answer

    decision = (await owner.ask(credential)).decision

    assert (decision.outcome, decision.stale, decision.observed_at) == (Outcome.OWNED, True, START)


@pytest.mark.parametrize("credential", [KEY, EMAIL, USER])
@pytest.mark.parametrize("late", [timedelta(), SECOND])
async def test_grace_ends(owner: Rig, credential: Credential, late: timedelta) -> None:
    """After its grace the answer is `unknown`, not a no."""
    await owner.clock.advance(GRACE + late)
    owner.source.failing = SourceUnavailable()

    decision = (await owner.ask(credential)).decision

    assert (decision.outcome, decision.reason) == (Outcome.UNKNOWN, Reason.SOURCE_UNAVAILABLE)


async def test_grace_counts_from_the_stores_word_and_cannot_chain(owner: Rig) -> None:
    """Using it does not prolong it."""
    owner.source.failing = SourceUnavailable()
    for _ in range(23):
        await owner.clock.advance(HOUR)
        assert (await owner.ask(KEY)).decision.allowed

    await owner.clock.advance(HOUR)

    assert not (await owner.ask(KEY)).decision.allowed


async def test_a_game_without_grace_has_none(rig: Rig) -> None:
    """The proof is worth nothing once it is stale."""
    strict = rules(grace=timedelta())
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.ask(KEY, strict)
    await rig.clock.advance(HOUR - INSTANT)
    rig.source.failing = SourceUnavailable()
    before = (await rig.ask(KEY, strict)).decision.allowed
    await rig.settle()

    await rig.clock.advance(INSTANT)

    assert (before, (await rig.ask(KEY, strict)).decision.allowed) == (True, False)


async def test_a_grace_that_was_shortened_is_shorter_for_what_is_remembered_too(owner: Rig) -> None:
    """The rules are applied each time, to the instant."""
    shorter = rules(grace=2 * HOUR)
    owner.source.failing = SourceUnavailable()
    await owner.clock.advance(2 * HOUR - INSTANT)
    before = (await owner.ask(KEY, shorter)).decision.allowed
    await owner.clock.advance(INSTANT)

    after = (await owner.ask(KEY, shorter)).decision.allowed

    assert (before, after) == (True, False)


async def test_an_outage_lets_nobody_new_in(owner: Rig) -> None:
    """Only what was proven stays proven."""
    owner.source.failing = SourceUnavailable()

    decision = (await owner.ask(DownloadKey("another-key-of-20-ch"))).decision

    assert decision.outcome is Outcome.UNKNOWN


async def test_the_store_is_asked_again_in_grace(owner: Rig) -> None:
    """The store's first answer counts."""
    owner.source.failing = SourceUnavailable()
    await owner.clock.advance(2 * HOUR)
    await owner.ask(KEY)
    owner.source.failing = None
    await owner.clock.advance(SECOND)

    decision = (await owner.ask(KEY)).decision

    assert (decision.stale, decision.observed_at) == (False, START + 2 * HOUR + SECOND)


async def test_a_no_ends_grace_at_once(owner: Rig) -> None:
    """The older proof never counts again."""
    await owner.clock.advance(2 * HOUR)
    owner.source.disowns(GAME, KEY)
    said = (await owner.ask(KEY)).decision.outcome
    owner.source.failing = SourceUnavailable()
    await owner.clock.advance(MINUTE)

    assert (said, (await owner.ask(KEY)).decision.outcome) == (Outcome.NOT_OWNED, Outcome.UNKNOWN)


async def test_a_budget_without_room_is_no_answer_too(owner: Rig) -> None:
    """Proven owners do not depend on how much others ask."""
    owner.queue.refusing[Priority.FOREGROUND] = Overloaded()
    await owner.clock.advance(2 * HOUR)

    assert (await owner.ask(KEY)).decision.allowed


async def test_proof_that_no_longer_counts_has_no_grace(owner: Rig) -> None:
    """The operator took its kind off the list: that is another question, which has no answer yet."""
    owner.source.failing = SourceUnavailable()

    decision = (await owner.ask(KEY, rules(accept=RULES.accept - {KEY_PROOF.kind}))).decision

    assert decision.outcome is Outcome.UNKNOWN


async def test_a_known_player_keeps_playing_with_a_jwt_until_it_expires(rig: Rig) -> None:
    """Past the ten minutes for which it is taken at its word, while the store says nothing."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 2 * HOUR)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    rig.source.failing = SourceUnavailable()
    await rig.clock.advance(2 * HOUR - INSTANT)
    before = (await rig.ask(JWT)).decision
    await rig.clock.advance(INSTANT)

    after = (await rig.ask(JWT)).decision

    assert (before.outcome, before.stale) == (Outcome.OWNED, True)
    assert (after.outcome, after.reason) == (Outcome.UNKNOWN, Reason.SOURCE_UNAVAILABLE)


async def test_a_jwt_without_a_known_end_has_no_grace(rig: Rig) -> None:
    """The time for which it would be good is not known."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    rig.source.failing = SourceUnavailable()
    await rig.clock.advance(10 * MINUTE)

    assert (await rig.ask(JWT)).decision.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("proofs", "outcome"), [((KEY_PROOF,), Outcome.OWNED), ((), Outcome.NOT_OWNED)])
async def test_what_became_known_while_waiting_counts(owner: Rig, proofs: tuple[Proof, ...], outcome: Outcome) -> None:
    """The own look-up failed, another one did not: its no ends grace, and its yes is newer than what there was."""
    await owner.clock.advance(2 * HOUR)
    owner.source.failing = SourceUnavailable()
    owner.source.takes = SECOND
    task = owner.asking(KEY)
    await owner.settle()
    newer = Evidence(owner.clock.now(), proofs)
    owner.observations.put(NAME_OF_KEY, newer, keep_until=newer.observed_at + MINUTE, game_id=GAME)

    await owner.clock.advance(SECOND)

    decision = task.result().decision
    assert (decision.outcome, decision.observed_at, decision.stale) == (outcome, START + 2 * HOUR, False)


# Not owned, and refused


async def test_a_no_is_repeated_for_45_seconds(rig: Rig) -> None:
    """After that the store is asked again: the player may just have bought the game."""
    await rig.ask(KEY)
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.clock.advance(45 * SECOND - INSTANT)
    before = await rig.ask(KEY)

    await rig.clock.advance(INSTANT)
    after = await rig.ask(KEY)

    assert (before.decision.allowed, before.cache) == (False, CacheTier.MEMORY)
    assert (after.decision.allowed, after.cache) == (True, CacheTier.NONE)


async def test_a_no_is_never_repeated_past_its_short_life(rig: Rig) -> None:
    """If the store gives no answer then, the outcome is `unknown`."""
    await rig.ask(KEY)
    rig.source.failing = SourceUnavailable()
    await rig.clock.advance(45 * SECOND)

    assert (await rig.ask(KEY)).decision.outcome is Outcome.UNKNOWN


async def test_proof_that_does_not_count_is_repeated_as_a_no(rig: Rig) -> None:
    """For 45 seconds, not for a day."""
    keys_only = rules(accept=frozenset({KEY_PROOF.kind}))
    rig.source.owns(GAME, USER, PURCHASE_PROOF)

    decision = (await rig.ask(USER, keys_only)).decision

    assert (decision.reason, decision.usable_until) == (Reason.NO_DOWNLOAD_KEY, START + 45 * SECOND)


async def test_a_refusal_is_repeated_for_a_minute(rig: Rig) -> None:
    """After that the store is asked again; if it gives no answer, the outcome is `unknown`."""
    rig.source.refuses(JWT, Reason.REFUSED_JWT)
    await rig.ask(JWT)
    rig.source.failing = SourceUnavailable()
    await rig.clock.advance(MINUTE - INSTANT)
    before = (await rig.ask(JWT)).decision

    await rig.clock.advance(INSTANT)
    after = (await rig.ask(JWT)).decision

    assert (before.reason, after.reason) == (Reason.REFUSED_JWT, Reason.SOURCE_UNAVAILABLE)


async def test_no_answer_is_not_remembered_as_an_answer(rig: Rig) -> None:
    """No tier remembers it."""
    rig.source.failing = SourceUnavailable()
    await rig.ask(KEY)
    rig.source.failing = None
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.clock.advance(SECOND)

    assert (await rig.ask(KEY)).decision.allowed


async def test_a_hundred_players_are_a_hundred_questions(owner: Rig) -> None:
    """No answer about one player is ever given to another, in any order of questions."""
    users = [AssertedUser(PlayerId(number)) for number in range(2, 102)]
    for user in users[::2]:
        owner.source.owns(GAME, user, PURCHASE_PROOF)

    for _ in range(2):
        answers = await asyncio.gather(*(owner.ask(user) for user in users))

        assert [answer.decision.allowed for answer in answers] == [True, False] * 50
