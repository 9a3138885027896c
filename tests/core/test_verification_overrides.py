"""The operator's word about one player, for a while, by every method: the third and fifth step of a question."""

import pytest

from service.errors import SourceUnavailable
from service.ownership import AssertedUser, CacheTier, Credential, Mailbox, Outcome, Player, Reason, Subject
from service.verification.policy import Override
from tests.clock import START
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
    MINUTE,
    PURCHASE_PROOF,
    SECOND,
    SELLER,
    USER,
    Rig,
    foreground,
    rules,
)

UNTIL = START + 2 * HOUR
BAN, GRANT = Override(Reason.OPERATOR_BAN, UNTIL), Override(Reason.OPERATOR_GRANT, UNTIL)


@pytest.mark.parametrize(("subject", "said"), [(USER, BAN), (USER, GRANT), (EMAIL, BAN), (EMAIL, GRANT), (KEY, BAN)])
async def test_a_word_costs_the_store_nothing(rig: Rig, subject: Subject, said: Override) -> None:
    """It holds until its end, and the store is not asked."""
    rig.source.owns(GAME, subject, KEY_PROOF, owner=AMOS)
    rig.overrides.known[GAME, subject] = said

    verdict = await rig.ask(subject)

    assert (verdict.decision.reason, verdict.decision.usable_until) == (said.reason, UNTIL)
    assert (verdict.decision.observed_at, verdict.cache, rig.calls) == (None, CacheTier.NONE, [])


@pytest.mark.parametrize("said", [BAN, GRANT])
async def test_a_word_about_a_jwts_account_costs_the_identity(rig: Rig, said: Override) -> None:
    """The decision may be used as long as the identity."""
    rig.source.belongs(JWT, AMOS)
    rig.overrides.known[GAME, USER] = said

    decision = (await rig.ask(JWT)).decision

    assert (decision.reason, decision.player, decision.usable_until) == (said.reason, AMOS, START + 10 * MINUTE)
    assert rig.calls == [foreground(JWT)]


async def test_a_word_that_ends_before_the_identity_ends_the_decision(rig: Rig) -> None:
    """Neither may be used for longer than the other."""
    rig.source.belongs(JWT, AMOS)
    rig.overrides.known[GAME, USER] = Override(Reason.OPERATOR_GRANT, START + MINUTE)

    decision = (await rig.ask(JWT)).decision

    assert (decision.fresh_until, decision.usable_until) == (START + MINUTE, START + MINUTE)


@pytest.mark.parametrize("credential", [KEY, EMAIL])
async def test_a_banned_account_is_kept_out_where_the_store_names_it(rig: Rig, credential: Subject) -> None:
    """The owner of a shown key, and the owner of a key that the store finds by an address."""
    rig.source.owns(GAME, credential, KEY_PROOF, owner=AMOS)
    rig.overrides.known[GAME, USER] = BAN

    decision = (await rig.ask(credential)).decision

    assert (decision.outcome, decision.proof, decision.usable_until) == (Outcome.BANNED, None, UNTIL)


async def test_a_ban_counts_at_once_for_what_is_remembered(rig: Rig) -> None:
    """The evidence is the same; what is said about its owner is not."""
    rig.source.owns(GAME, KEY, KEY_PROOF, owner=AMOS)
    before = await rig.ask(KEY)
    rig.overrides.known[GAME, USER] = BAN
    meanwhile = await rig.ask(KEY)
    rig.overrides.known.clear()
    after = await rig.ask(KEY)

    outcomes = [verdict.decision.outcome for verdict in (before, meanwhile, after)]
    assert (outcomes, len(rig.calls)) == ([Outcome.OWNED, Outcome.BANNED, Outcome.OWNED], 1)


async def test_a_ban_holds_while_the_store_is_away(rig: Rig) -> None:
    """The proof that carries owners through an outage does not carry who is banned."""
    rig.source.owns(GAME, KEY, KEY_PROOF, owner=AMOS)
    await rig.ask(KEY)
    await rig.clock.advance(3 * HOUR)
    rig.source.failing = SourceUnavailable("gone")
    rig.overrides.known[GAME, USER] = BAN

    assert (await rig.ask(KEY)).decision.reason is Reason.OPERATOR_BAN


@pytest.mark.parametrize(
    ("credential", "banned", "owner"),
    [
        (USER, USER, None),
        (JWT, USER, None),
        (EMAIL, EMAIL, None),
        (KEY, KEY, None),
        (EMAIL, USER, AMOS),
        (KEY, USER, AMOS),
    ],
)
async def test_a_ban_that_comes_while_the_store_is_asked_holds(
    rig: Rig, credential: Credential, banned: Subject, owner: Player | None
) -> None:
    """No answer after the operator's word is from before it."""
    rig.source.belongs(JWT, AMOS)
    for subject in (USER, EMAIL, KEY):
        rig.source.owns(GAME, subject, KEY_PROOF, owner=owner)
    rig.source.takes = 2 * SECOND
    task = rig.asking(credential, deadline=10 * SECOND)
    await rig.clock.advance(SECOND if credential is not JWT else 3 * SECOND)
    rig.overrides.known[GAME, banned] = BAN

    await rig.clock.advance(3 * SECOND)

    assert task.result().decision.reason is Reason.OPERATOR_BAN


async def test_a_ban_of_an_account_does_not_see_an_address_without_one(rig: Rig) -> None:
    """A purchase names no account: the address has to be banned itself, for a while or in the configuration."""
    rig.source.owns(GAME, EMAIL, PURCHASE_PROOF)
    rig.overrides.known[GAME, USER] = BAN

    unseen = await rig.ask(EMAIL)
    by_file = await rig.ask(EMAIL, rules(ban_emails=frozenset({EMAIL.mailbox})))
    other = await rig.ask(EMAIL, rules(ban_emails=frozenset({Mailbox("lin@example.com")})))
    rig.overrides.known[GAME, EMAIL] = BAN
    by_word = await rig.ask(EMAIL)

    outcomes = [verdict.decision.outcome for verdict in (unseen, by_file, other, by_word)]
    assert outcomes == [Outcome.OWNED, Outcome.BANNED, Outcome.OWNED, Outcome.BANNED]


async def test_a_grant_of_an_account_lets_in_no_key_and_no_address(rig: Rig) -> None:
    """They may be in other hands than the account."""
    rig.overrides.known[GAME, USER] = GRANT

    outcomes = [(await rig.ask(credential)).decision.outcome for credential in (KEY, EMAIL)]

    assert outcomes == [Outcome.NOT_OWNED] * 2


async def test_any_ban_wins_and_the_seller_stands_between(rig: Rig) -> None:
    """The configuration's ban over a grant for a while, a ban for a while over the configuration's grant and seller."""
    rig.overrides.known[GAME, USER] = GRANT
    banned = await rig.ask(USER, BANNED)
    rig.overrides.known[GAME, USER] = BAN
    granted = await rig.ask(USER, GRANTED)
    rig.overrides.known[GAME, AssertedUser(SELLER)] = BAN
    seller = await rig.ask(AssertedUser(SELLER))
    rig.overrides.known[GAME, AssertedUser(SELLER)] = GRANT
    again = await rig.ask(AssertedUser(SELLER))

    reasons = [verdict.decision.reason for verdict in (banned, granted, seller, again)]
    assert reasons == [Reason.OPERATOR_BAN] * 3 + [Reason.SELLER_ACCOUNT]


async def test_an_expired_jwt_is_granted_to_nobody(rig: Rig) -> None:
    """It stands for no player any more."""
    rig.source.belongs(JWT, AMOS, expires_at=START)
    rig.overrides.known[GAME, USER] = GRANT

    assert (await rig.ask(JWT)).decision.reason is Reason.EXPIRED_JWT


async def test_a_word_is_about_one_player_and_game(rig: Rig) -> None:
    """Others are asked about as ever."""
    rig.source.owns(GAME, AssertedUser(SELLER), KEY_PROOF, owner=Player(SELLER))
    rig.source.owns(GAME, KEY, KEY_PROOF, owner=Player(SELLER))
    rig.overrides.known[GAME, USER] = BAN

    assert (await rig.ask(KEY)).decision.reason is Reason.DOWNLOAD_KEY
