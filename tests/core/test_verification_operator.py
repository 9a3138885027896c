"""The operator's word comes before the store: the third step of a question."""

import pytest

from service.ownership import (
    AssertedUser,
    CacheTier,
    Credential,
    Method,
    Outcome,
    Player,
    PlayerId,
    Reason,
)
from service.verification.policy import GameRules
from tests.clock import START
from tests.core.fakes import SELLER_CALL
from tests.core.rig import (
    AMOS,
    BANNED,
    BOTH,
    EMAIL,
    GAME,
    GRANTED,
    JWT,
    KEY,
    KEY_PROOF,
    MINUTE,
    SECOND,
    SELLER,
    USER,
    Rig,
    foreground,
    rules,
)


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
    """The decision is as fresh as the identity."""
    rig.source.belongs(JWT, AMOS)

    decision = (await rig.ask(JWT, game)).decision

    assert (decision.reason, decision.player, decision.method) == (reason, AMOS, Method.JWT)
    assert (decision.observed_at, decision.usable_until) == (START, START + 10 * MINUTE)
    assert rig.calls == [foreground(JWT)]


async def test_the_word_of_a_remembered_jwt_comes_from_the_tier_of_the_identity(rig: Rig) -> None:
    """The identity was not asked for anew."""
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
    """The store said that this player owns nothing."""
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


@pytest.mark.parametrize("credential", [AssertedUser(SELLER), JWT])
async def test_a_seller_with_a_key_who_became_known_meanwhile_is_an_owner(rig: Rig, credential: Credential) -> None:
    """The proof is at hand, and says more than the account: it is shown, with its age."""
    rig.source.belongs(JWT, Player(SELLER))
    rig.source.owns(GAME, AssertedUser(SELLER), KEY_PROOF)
    await rig.ask(JWT, rules(ban_user_ids=frozenset({SELLER})))
    rig.source.seller = None
    rig.source.takes = 2 * SECOND
    task = rig.asking(credential)
    await rig.clock.advance(SECOND)
    rig.source.seller = SELLER

    await rig.clock.advance(SECOND)
    meanwhile = task.result().decision
    later = (await rig.ask(credential)).decision

    assert (meanwhile.reason, meanwhile.proof, meanwhile.observed_at) == (Reason.DOWNLOAD_KEY, KEY_PROOF, START)
    assert later.reason is Reason.SELLER_ACCOUNT


async def test_a_no_is_unknown_while_the_sellers_key_changes(rig: Rig) -> None:
    """The player might be the one whose key is the new one."""
    rig.source.seller = None
    rig.source.seller_key_changes = True

    verdict = await rig.ask(AssertedUser(SELLER))

    assert (verdict.decision.reason, verdict.retry_after) == (Reason.SOURCE_UNAVAILABLE, SECOND)


async def test_an_owner_is_let_in_without_asking_for_the_seller(rig: Rig) -> None:
    """The seller's identity would change nothing."""
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
    """The player might be the seller."""
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
