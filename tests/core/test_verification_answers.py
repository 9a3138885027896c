"""Who is told what: the five steps of one question."""

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
from service.policy import GameRules
from tests.clock import START
from tests.core.fakes import SELLER_CALL, PlainFingerprints
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
    SELLER,
    USER,
    WEB_PROOF,
    Rig,
    foreground,
    rules,
)

BANNED = rules(ban_user_ids=frozenset({AMOS.id}))
GRANTED = rules(grant_user_ids=frozenset({AMOS.id}))
BOTH = rules(ban_user_ids=frozenset({AMOS.id}), grant_user_ids=frozenset({AMOS.id}))


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
    """With the proof, the key's owner and the instant at which the store was asked."""
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
    """It is owned all the same."""
    rig.source.owns(GAME, KEY, KEY_PROOF)

    decision = (await rig.ask(KEY)).decision

    assert (decision.allowed, decision.player) == (True, None)


async def test_a_download_key_that_does_not_exist_is_not_owned(rig: Rig) -> None:
    """It carries no caveat: no bundle could change that."""
    decision = (await rig.ask(KEY)).decision

    assert (decision.outcome, decision.reason) == (Outcome.NOT_OWNED, Reason.INVALID_DOWNLOAD_KEY)
    assert (decision.player, decision.caveats) == (None, ())


async def test_an_address_with_a_purchase_is_owned_and_names_nobody(rig: Rig) -> None:
    """The gateway is no oracle from an address to an account, even where the store named the owner."""
    rig.source.owns(GAME, EMAIL, PURCHASE_PROOF, owner=AMOS)

    decision = (await rig.ask(EMAIL)).decision

    assert (decision.reason, decision.method, decision.player) == (Reason.PURCHASE, Method.EMAIL, None)


async def test_an_address_without_anything_is_not_owned_with_both_caveats(rig: Rig) -> None:
    """It may be a bundle's buyer, or the address of a claimed key."""
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
    """So that it asks the store no more than it must."""
    await rig.ask(KEY, rules(accept=frozenset({ProofKind.PURCHASE})))

    assert rig.source.accepted == [frozenset({ProofKind.PURCHASE})]


async def test_games_that_accept_different_proof_ask_different_questions(rig: Rig) -> None:
    """What was found out under one set of rules is not the answer under another."""
    rig.source.owns(GAME, USER, WEB_PROOF)
    await rig.ask(USER)

    verdict = await rig.ask(USER, rules(accept=RULES.accept | {ProofKind.WEB_PURCHASE}))

    assert (verdict.decision.reason, verdict.cache) == (Reason.WEB_PURCHASE, CacheTier.NONE)


# Step 2: whose a JWT is


async def test_a_jwt_is_turned_into_its_player_and_then_looked_up(rig: Rig) -> None:
    """The player is looked up by id, and answered as the JWT named them."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=Player(AMOS.id, "renamed"))

    decision = (await rig.ask(JWT)).decision

    assert (decision.reason, decision.method, decision.player) == (Reason.DOWNLOAD_KEY, Method.JWT, AMOS)
    assert rig.calls == [foreground(JWT), foreground(USER)]


@pytest.mark.parametrize("reason", [Reason.REFUSED_JWT, Reason.EXPIRED_JWT])
async def test_a_jwt_that_the_store_refuses_is_rejected(rig: Rig, reason: Reason) -> None:
    """For a minute, without asking about ownership."""
    rig.source.refuses(JWT, reason)

    decision = (await rig.ask(JWT)).decision

    assert (decision.outcome, decision.reason, decision.player) == (Outcome.REJECTED, reason, None)
    assert (decision.observed_at, decision.fresh_until) == (START, START + MINUTE)
    assert rig.calls == [foreground(JWT)]


async def test_a_jwt_for_another_game_is_refused(rig: Rig) -> None:
    """Its player is not even looked up."""
    rig.source.belongs(JWT, AMOS, only_game=GameId(4))
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    decision = (await rig.ask(JWT)).decision

    assert (decision.reason, decision.player, rig.calls) == (Reason.REFUSED_JWT, None, [foreground(JWT)])


async def test_a_jwt_for_another_game_grants_nothing_to_those_who_are_granted(rig: Rig) -> None:
    """Whoever replays it is not that player."""
    rig.source.belongs(JWT, AMOS, only_game=GameId(4))

    assert (await rig.ask(JWT, GRANTED)).decision.reason is Reason.REFUSED_JWT


async def test_a_jwt_for_this_game_is_accepted(rig: Rig) -> None:
    """The game it names is the one asked about."""
    rig.source.belongs(JWT, AMOS, only_game=GAME)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    assert (await rig.ask(JWT)).decision.outcome is Outcome.OWNED


async def test_a_decision_by_jwt_rests_on_both_observations(rig: Rig) -> None:
    """It is as old as the older, and usable as long as both."""
    rig.source.belongs(JWT, AMOS, expires_at=START + HOUR)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    rig.source.takes = SECOND

    decision = (await rig.ask_through(2 * SECOND, JWT)).decision

    assert (decision.observed_at, decision.fresh_until) == (START, START + 10 * MINUTE)
    assert decision.usable_until == START + HOUR


async def test_a_decision_by_jwt_comes_from_the_slower_tier(rig: Rig) -> None:
    """The player was known, the JWT was not."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(USER)

    first, second = await rig.ask(JWT), await rig.ask(JWT)

    assert (first.cache, second.cache) == (CacheTier.NONE, CacheTier.MEMORY)


async def test_a_jwt_that_expires_while_ownership_is_looked_up_is_rejected(rig: Rig) -> None:
    """At its very last instant the player is let in no more, whatever the store says about them."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 4 * SECOND)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    rig.source.takes = 2 * SECOND

    decision = (await rig.ask_through(4 * SECOND, JWT)).decision

    assert (decision.outcome, decision.reason, decision.player) == (Outcome.REJECTED, Reason.EXPIRED_JWT, None)


async def test_a_jwt_that_is_still_good_when_ownership_is_known_is_accepted(rig: Rig) -> None:
    """One instant is enough."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 4 * SECOND + INSTANT)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    rig.source.takes = 2 * SECOND

    assert (await rig.ask_through(4 * SECOND, JWT)).decision.allowed


async def test_a_jwt_that_expires_while_the_seller_is_looked_up_is_rejected(rig: Rig) -> None:
    """Not even the seller is let in with it."""
    rig.source.seller = None
    rig.source.seller_takes = 2 * SECOND
    rig.source.belongs(JWT, Player(SELLER), expires_at=START + 2 * SECOND)

    assert (await rig.ask_through(2 * SECOND, JWT)).decision.reason is Reason.EXPIRED_JWT


async def test_a_jwt_that_expires_while_it_is_identified_grants_nothing(rig: Rig) -> None:
    """The operator's word is about a player, and this is nobody any more."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 2 * SECOND)
    rig.source.takes = 2 * SECOND

    assert (await rig.ask_through(2 * SECOND, JWT, GRANTED)).decision.reason is Reason.EXPIRED_JWT


@pytest.mark.parametrize("failing", [False, True])
async def test_a_remembered_jwt_is_rejected_from_its_expiry_on(rig: Rig, *, failing: bool) -> None:
    """However fresh the proof of ownership, and whether or not the store answers."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 5 * MINUTE)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    await rig.clock.advance(5 * MINUTE)
    rig.source.refuses(JWT, Reason.EXPIRED_JWT)
    rig.source.failing = SourceUnavailable() if failing else None

    decision = (await rig.ask(JWT)).decision

    assert decision.reason is (Reason.SOURCE_UNAVAILABLE if failing else Reason.EXPIRED_JWT)


async def test_a_jwt_is_shown_to_the_store_again_half_a_minute_before_it_expires(rig: Rig) -> None:
    """Clocks differ."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 5 * MINUTE)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    rig.calls.clear()
    await rig.clock.advance(4.5 * MINUTE - INSTANT)
    await rig.ask(JWT)
    before = list(rig.calls)

    await rig.clock.advance(INSTANT)
    await rig.ask(JWT)

    assert (before, rig.calls) == ([], [foreground(JWT)])


# Step 3: the operator's word


@pytest.mark.parametrize(
    ("game", "reason"),
    [
        (BANNED, Reason.OPERATOR_BAN),
        (GRANTED, Reason.OPERATOR_GRANT),
        (BOTH, Reason.OPERATOR_BAN),
    ],
)
async def test_the_word_about_a_user_costs_the_store_nothing(rig: Rig, game: GameRules, reason: Reason) -> None:
    """A ban wins over a grant, and both over what the store would say."""
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    verdict = await rig.ask(USER, game)

    assert (verdict.decision.reason, verdict.decision.player) == (reason, Player(AMOS.id))
    assert (verdict.cache, verdict.decision.observed_at, rig.calls) == (CacheTier.NONE, None, [])


@pytest.mark.parametrize(("game", "reason"), [(BANNED, Reason.OPERATOR_BAN), (GRANTED, Reason.OPERATOR_GRANT)])
async def test_the_word_about_a_jwts_player_costs_only_the_identity(rig: Rig, game: GameRules, reason: Reason) -> None:
    """It stands as the identity does."""
    rig.source.belongs(JWT, AMOS)

    decision = (await rig.ask(JWT, game)).decision

    assert (decision.reason, decision.player, decision.method) == (reason, AMOS, Method.JWT)
    assert (decision.observed_at, decision.usable_until) == (START, START + 10 * MINUTE)
    assert rig.calls == [foreground(JWT)]


async def test_the_word_of_a_remembered_jwt_comes_from_the_tier_of_the_identity(rig: Rig) -> None:
    """It was not asked for anew."""
    rig.source.belongs(JWT, AMOS)
    await rig.ask(JWT, GRANTED)

    assert (await rig.ask(JWT, GRANTED)).cache is CacheTier.MEMORY


async def test_the_key_of_a_banned_player_lets_nobody_in(rig: Rig) -> None:
    """The store names its owner."""
    rig.source.owns(GAME, KEY, KEY_PROOF, owner=AMOS)

    decision = (await rig.ask(KEY, BANNED)).decision

    assert (decision.outcome, decision.proof) == (Outcome.BANNED, None)


async def test_a_ban_counts_at_once_for_what_is_remembered(rig: Rig) -> None:
    """The rules are applied to the evidence each time."""
    rig.source.owns(GAME, KEY, KEY_PROOF, owner=AMOS)
    await rig.ask(KEY)

    verdict = await rig.ask(KEY, BANNED)

    assert (verdict.decision.reason, verdict.cache) == (Reason.OPERATOR_BAN, CacheTier.MEMORY)


@pytest.mark.parametrize(("grant_press", "reason"), [(True, Reason.PRESS), (False, Reason.NO_DOWNLOAD_KEY)])
async def test_press_accounts_are_let_in_where_the_game_says_so(rig: Rig, *, grant_press: bool, reason: Reason) -> None:
    """The store says who is press, the operator whether that counts."""
    rig.source.belongs(JWT, AMOS, press=True)

    assert (await rig.ask(JWT, rules(grant_press=grant_press))).decision.reason is reason


@pytest.mark.parametrize("credential", [AssertedUser(SELLER), JWT])
async def test_the_seller_is_let_in(rig: Rig, credential: Credential) -> None:
    """Sellers hold no key of their own game."""
    rig.source.belongs(JWT, Player(SELLER))

    assert (await rig.ask(credential)).decision.reason is Reason.SELLER_ACCOUNT


async def test_a_no_is_believed_only_once_the_seller_is_known(rig: Rig) -> None:
    """The seller is asked for after the player, and only then is it a no."""
    rig.source.seller = None

    verdict = await rig.ask(USER)

    assert verdict.decision.reason is Reason.NO_DOWNLOAD_KEY
    assert rig.calls == [foreground(USER), SELLER_CALL]


async def test_who_turns_out_to_be_the_seller_is_let_in(rig: Rig) -> None:
    """Although the store said that this player owns nothing."""
    rig.source.seller = None

    decision = (await rig.ask(AssertedUser(SELLER))).decision

    assert (decision.outcome, decision.reason) == (Outcome.GRANTED, Reason.SELLER_ACCOUNT)


async def test_a_seller_who_became_known_meanwhile_is_let_in(rig: Rig) -> None:
    """Another player's question found out while the store was asked about this one."""
    rig.source.seller = None
    rig.source.takes = 2 * SECOND
    task = rig.asking(AssertedUser(SELLER))
    await rig.clock.advance(SECOND)
    rig.source.seller = SELLER

    await rig.clock.advance(SECOND)

    assert task.result().decision.reason is Reason.SELLER_ACCOUNT
    assert rig.calls == [foreground(AssertedUser(SELLER))]


async def test_a_no_is_unknown_while_the_sellers_key_changes(rig: Rig) -> None:
    """It might be the player whose key is the new one."""
    rig.source.seller = None
    rig.source.seller_key_changes = True

    verdict = await rig.ask(AssertedUser(SELLER))

    assert (verdict.decision.reason, verdict.retry_after) == (Reason.SOURCE_UNAVAILABLE, SECOND)


async def test_an_owner_is_let_in_without_asking_for_the_seller(rig: Rig) -> None:
    """It would change nothing."""
    rig.source.seller = None
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    await rig.ask(USER)

    assert rig.calls == [foreground(USER)]


async def test_the_seller_is_asked_for_once(rig: Rig) -> None:
    """The account of a key does not change."""
    rig.source.seller = None
    await rig.ask(USER)

    await rig.ask(AssertedUser(PlayerId(5)))

    assert rig.calls.count(SELLER_CALL) == 1


async def test_a_no_is_unknown_while_the_seller_cannot_be_found_out(rig: Rig) -> None:
    """It might be the seller."""
    rig.source.seller = None
    await rig.ask(EMAIL)
    rig.source.seller_takes = MINUTE
    task = rig.asking(USER)

    await rig.clock.advance(3 * SECOND)

    assert task.result().decision.reason is Reason.DEADLINE_EXCEEDED


@pytest.mark.parametrize("credential", [KEY, EMAIL])
async def test_a_no_about_a_key_or_an_address_needs_no_seller(rig: Rig, credential: Credential) -> None:
    """Neither says who asks."""
    rig.source.seller = None

    await rig.ask(credential)

    assert rig.calls == [foreground(credential)]


# When nobody says anything


@pytest.mark.parametrize(
    ("silence", "reason"),
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
async def test_silence_is_unknown_and_never_a_no(
    rig: Rig, credential: Credential, silence: NoAnswer, reason: Reason
) -> None:
    """Whichever way the store said nothing, and whatever was asked."""
    rig.source.failing = silence

    verdict = await rig.ask(credential)

    decision = verdict.decision
    assert (decision.outcome, decision.reason, decision.allowed) == (Outcome.UNKNOWN, reason, False)
    assert (decision.method, decision.player, verdict.cache) == (credential.method, None, CacheTier.NONE)


async def test_the_time_that_the_store_named_is_passed_on(rig: Rig) -> None:
    """So that the caller does not come back too early."""
    rig.source.failing = SourceRateLimited(retry_after=7 * SECOND)

    assert (await rig.ask(KEY)).retry_after == 7 * SECOND


async def test_silence_about_ownership_is_unknown_although_the_player_is_known(rig: Rig) -> None:
    """Who it is says nothing about what they own."""
    rig.source.belongs(JWT, AMOS)
    await rig.ask(JWT, GRANTED)
    rig.source.failing = SourceUnavailable()

    decision = (await rig.ask(JWT)).decision

    assert (decision.reason, decision.player) == (Reason.SOURCE_UNAVAILABLE, None)


async def test_a_bug_in_a_look_up_is_raised_and_reported() -> None:
    """It is neither a no nor silence of the store."""
    rig = Rig()
    rig.source.crash = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        await rig.ask(KEY)

    assert rig.crashes == [rig.source.crash]


@pytest.mark.parametrize(
    ("credential", "name", "observation"),
    [
        (JWT, PlainFingerprints().of_jwt(JWT), Evidence(START, (KEY_PROOF,))),
        (KEY, PlainFingerprints().of_question(GAME, KEY, RULES.accept), Identity(START, AMOS)),
    ],
)
async def test_the_answer_to_another_kind_of_question_is_never_used(
    rig: Rig, credential: Credential, name: Fingerprint, observation: Observation
) -> None:
    """Should a store ever mix them up, that is a bug, and no answer is made of it."""
    rig.store.put(name, observation, keep_until=START + HOUR)

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
    """Otherwise the mark would mean nothing."""
    rig.source.owns(GAME, KEY, KEY_PROOF)

    assert (await rig.ask(KEY)).decision.caveats == ()


@pytest.mark.parametrize("only_game", [None, GAME])
async def test_two_jwts_are_two_players(rig: Rig, only_game: GameId | None) -> None:
    """What one was answered never answers the other."""
    other = AppJwt("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI1In0.c2lnbmF0dXJl")
    rig.source.belongs(JWT, AMOS, only_game=only_game)
    rig.source.belongs(other, Player(PlayerId(5)), only_game=only_game)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    answers = [(await rig.ask(jwt)).decision for jwt in (JWT, other)]

    assert [(answer.allowed, answer.player and answer.player.id) for answer in answers] == [(True, 1994), (False, 5)]
