"""The answer to each kind of question."""

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
    AppJwt,
    AssertedUser,
    CacheTier,
    Caveat,
    Credential,
    Evidence,
    Fingerprint,
    GameId,
    Identity,
    Malformed,
    Method,
    Observation,
    Outcome,
    Player,
    PlayerId,
    ProofKind,
    Reason,
)
from service.verification.policy import GameRules
from tests.clock import START
from tests.core.fakes import PlainFingerprints
from tests.core.rig import (
    AMOS,
    BANNED,
    EMAIL,
    GAME,
    GRANTED,
    HOUR,
    JWT,
    KEY,
    KEY_PROOF,
    PURCHASE_PROOF,
    RULES,
    SECOND,
    SELLER,
    USER,
    WEB_PROOF,
    Rig,
    rules,
)

# Step 1: the shape


@pytest.mark.parametrize(
    "malformed",
    [
        Malformed(Method.DOWNLOAD_KEY, Reason.MALFORMED_DOWNLOAD_KEY),
        Malformed(Method.DOWNLOAD_KEY, Reason.TEMPORARY_DOWNLOAD_LINK),
        Malformed(Method.DOWNLOAD_KEY, Reason.BUNDLE_LINK),
        Malformed(Method.JWT, Reason.MALFORMED_JWT),
        Malformed(Method.JWT, Reason.API_KEY_NOT_ACCEPTED),
    ],
)
async def test_what_is_no_credential_is_rejected_and_nobody_is_asked(rig: Rig, malformed: Malformed) -> None:
    """The reason and method are those of its shape."""
    verdict = await rig.ask(malformed)

    decision = verdict.decision
    assert (decision.outcome, decision.reason, decision.method) == (
        Outcome.REJECTED,
        malformed.reason,
        malformed.method,
    )
    assert (verdict.cache, decision.observed_at, rig.calls) == (CacheTier.NONE, None, [])


# Steps 4 and 5: what the store shows


async def test_a_good_download_key_is_owned(rig: Rig) -> None:
    """The answer has the proof, the key's owner and the instant at which the store was asked."""
    rig.source.owns(GAME, KEY, KEY_PROOF, owner=AMOS)

    verdict = await rig.ask(KEY)

    decision = verdict.decision
    assert (decision.outcome, decision.reason, decision.proof) == (Outcome.OWNED, Reason.DOWNLOAD_KEY, KEY_PROOF)
    assert (decision.player, decision.method, decision.game_id) == (AMOS, Method.DOWNLOAD_KEY, GAME)
    assert (decision.observed_at, decision.fresh_until, decision.usable_until) == (
        START,
        START + HOUR,
        START + 24 * HOUR,
    )
    assert (decision.stale, verdict.cache, verdict.retry_after) == (False, CacheTier.NONE, None)


async def test_a_key_that_nobody_has_claimed_names_no_player(rig: Rig) -> None:
    """The key proves ownership all the same."""
    rig.source.owns(GAME, KEY, KEY_PROOF)

    decision = (await rig.ask(KEY)).decision

    assert (decision.allowed, decision.player) == (True, None)


async def test_a_download_key_that_does_not_exist_is_not_owned(rig: Rig) -> None:
    """The answer carries no caveat: no bundle could change it."""
    decision = (await rig.ask(KEY)).decision

    assert (decision.outcome, decision.reason) == (Outcome.NOT_OWNED, Reason.INVALID_DOWNLOAD_KEY)
    assert (decision.player, decision.caveats) == (None, ())


async def test_an_address_with_a_purchase_is_owned_and_names_nobody(rig: Rig) -> None:
    """The gateway is no oracle from an address to an account, even where the store named the owner."""
    rig.source.owns(GAME, EMAIL, PURCHASE_PROOF, owner=AMOS)

    decision = (await rig.ask(EMAIL)).decision

    assert (decision.reason, decision.method, decision.player) == (Reason.PURCHASE, Method.EMAIL, None)


async def test_an_address_without_anything_is_not_owned_with_both_caveats(rig: Rig) -> None:
    """The address may be a bundle's buyer's, or that of a claimed key."""
    decision = (await rig.ask(EMAIL)).decision

    assert decision.reason is Reason.NO_DOWNLOAD_KEY
    assert decision.caveats == (Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED, Caveat.EMAIL_MISSES_CLAIMED_KEYS)


async def test_a_user_is_named_as_the_store_names_them(rig: Rig) -> None:
    """The caller gave only the id."""
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    decision = (await rig.ask(USER)).decision

    assert (decision.reason, decision.method, decision.player) == (Reason.DOWNLOAD_KEY, Method.USER, AMOS)


async def test_a_user_without_anything_is_not_owned(rig: Rig) -> None:
    """Their bundle key may be unclaimed."""
    decision = (await rig.ask(USER)).decision

    assert (decision.reason, decision.player) == (Reason.NO_DOWNLOAD_KEY, Player(AMOS.id))
    assert decision.caveats == (Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED,)


async def test_the_source_is_asked_for_what_the_game_accepts(rig: Rig) -> None:
    """The store is asked no more than it must be."""
    await rig.ask(KEY, rules(accept=frozenset({ProofKind.PURCHASE})))

    assert rig.source.accepted == [frozenset({ProofKind.PURCHASE})]


async def test_games_that_accept_different_proof_ask_different_questions(rig: Rig) -> None:
    """An observation under one set of rules is no answer under another."""
    rig.source.owns(GAME, USER, WEB_PROOF)
    await rig.ask(USER)

    verdict = await rig.ask(USER, rules(accept=RULES.accept | {ProofKind.WEB_PURCHASE}))

    assert (verdict.decision.reason, verdict.cache) == (Reason.WEB_PURCHASE, CacheTier.NONE)


# When nobody says anything


@pytest.mark.parametrize(
    ("no_answer", "reason"),
    [
        (SourceUnavailable(), Reason.SOURCE_UNAVAILABLE),
        (SourceRateLimited(), Reason.SOURCE_RATE_LIMITED),
        (SourceProtocolError(), Reason.SOURCE_PROTOCOL),
        (GatewayCredentialRefused(), Reason.GATEWAY_CREDENTIAL),
        (GameNotAccessible(), Reason.GAME_NOT_ACCESSIBLE),
        (Overloaded(), Reason.OVERLOADED),
    ],
)
@pytest.mark.parametrize("credential", [KEY, EMAIL, USER, JWT])
async def test_no_answer_is_unknown_and_never_a_no(
    rig: Rig, credential: Credential, no_answer: NoAnswer, reason: Reason
) -> None:
    """Every kind of failure, for every kind of credential, is `unknown`."""
    rig.source.failing = no_answer

    verdict = await rig.ask(credential)

    decision = verdict.decision
    assert (decision.outcome, decision.reason, decision.allowed) == (Outcome.UNKNOWN, reason, False)
    assert (decision.method, decision.player, verdict.cache) == (credential.method, None, CacheTier.NONE)


async def test_the_time_that_the_store_named_is_passed_on(rig: Rig) -> None:
    """The caller must not come back too early."""
    rig.source.failing = SourceRateLimited(retry_after=7 * SECOND)

    assert (await rig.ask(KEY)).retry_after == 7 * SECOND


async def test_no_answer_about_ownership_is_unknown_although_the_player_is_known(rig: Rig) -> None:
    """The identity of a player says nothing about their games."""
    rig.source.belongs(JWT, AMOS)
    await rig.ask(JWT, GRANTED)
    rig.source.failing = SourceUnavailable()

    decision = (await rig.ask(JWT)).decision

    assert (decision.reason, decision.player) == (Reason.SOURCE_UNAVAILABLE, None)


async def test_a_bug_in_a_look_up_is_raised_and_reported() -> None:
    """A bug is neither a no of the store nor a missing answer."""
    rig = Rig()
    rig.source.crash = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        await rig.ask(KEY)

    assert rig.crashes == [rig.source.crash]


@pytest.mark.parametrize(
    ("credential", "name", "observation"),
    [
        (JWT, PlainFingerprints().of_token(JWT, GameId(3)), Evidence(START, (KEY_PROOF,))),
        (KEY, PlainFingerprints().of_question(GAME, KEY, RULES.accept), Identity(START, AMOS)),
    ],
)
async def test_the_answer_to_another_kind_of_question_is_never_used(
    rig: Rig, credential: Credential, name: Fingerprint, observation: Observation
) -> None:
    """Should a store ever mix them up, that is a bug, and no answer is made of it."""
    rig.observations.put(name, observation, keep_until=START + HOUR, game_id=GAME)

    with pytest.raises(AssertionError, match="was answered with"):
        await rig.ask(credential)


# The sandbox


@pytest.mark.parametrize(
    "credential",
    [KEY, EMAIL, USER, JWT, AssertedUser(SELLER), Malformed(Method.JWT, Reason.MALFORMED_JWT)],
)
@pytest.mark.parametrize("failing", [False, True])
async def test_every_answer_of_a_sandboxed_gateway_says_so(
    credential: Credential | Malformed, *, failing: bool
) -> None:
    """Owned or not, known or not, asked or not."""
    rig = Rig(sandbox=True)
    rig.source.belongs(JWT, AMOS)
    rig.source.failing = SourceUnavailable() if failing else None

    assert Caveat.SANDBOX in (await rig.ask(credential)).decision.caveats


@pytest.mark.parametrize(
    ("credential", "game"),
    [(KEY, RULES), (EMAIL, RULES), (USER, RULES), (JWT, RULES), (JWT, BANNED), (JWT, GRANTED)],
)
async def test_what_a_sandbox_said_says_so_wherever_it_was(rig: Rig, credential: Credential, game: GameRules) -> None:
    """A gateway that was pointed at a sandbox by its address has no setting that says so."""
    rig.source.sandbox = True
    rig.source.belongs(JWT, AMOS)
    for subject in (KEY, EMAIL, USER):
        rig.source.owns(GAME, subject, KEY_PROOF)

    assert (await rig.ask(credential, game)).decision.caveats == (Caveat.SANDBOX,)


@pytest.mark.parametrize("only_game", [None, GameId(4)])
@pytest.mark.parametrize("refused", [True, False])
async def test_what_a_sandbox_rejects_says_so(rig: Rig, only_game: GameId | None, *, refused: bool) -> None:
    """Refused, for another game, or expired on the way."""
    rig.source.sandbox = True
    rig.source.takes = SECOND
    rig.source.belongs(JWT, AMOS, expires_at=START + 2 * SECOND, only_game=only_game)
    if refused:
        rig.source.refuses(JWT, Reason.REFUSED_JWT)

    decision = (await rig.ask_through(2 * SECOND, JWT)).decision

    assert (decision.outcome, decision.caveats) == (Outcome.REJECTED, (Caveat.SANDBOX,))


async def test_the_real_store_carries_no_caveat(rig: Rig) -> None:
    """The caveat of the sandbox would mean nothing otherwise."""
    rig.source.owns(GAME, KEY, KEY_PROOF)

    assert (await rig.ask(KEY)).decision.caveats == ()


@pytest.mark.parametrize("only_game", [None, GAME])
async def test_two_jwts_are_two_players(rig: Rig, only_game: GameId | None) -> None:
    """The answer to one never answers the other."""
    other = AppJwt("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI1In0.c2lnbmF0dXJl")
    rig.source.belongs(JWT, AMOS, only_game=only_game)
    rig.source.belongs(other, Player(PlayerId(5)), only_game=only_game)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    answers = [(await rig.ask(jwt)).decision for jwt in (JWT, other)]

    assert [(answer.allowed, answer.player and answer.player.id) for answer in answers] == [(True, 1994), (False, 5)]
