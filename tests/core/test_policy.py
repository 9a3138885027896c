"""The operator's rules, and the lifetimes of the design's section 5."""

from datetime import timedelta

import pytest

from service.ownership import (
    AssertedUser,
    Caveat,
    Evidence,
    Fingerprint,
    Identity,
    Mailbox,
    Method,
    Observation,
    Outcome,
    Player,
    PlayerId,
    Proof,
    ProofKind,
    Reason,
    Refusal,
    Subject,
    VerifiedEmail,
)
from service.verification.policy import (
    Freshness,
    GameRules,
    KeyLimit,
    Override,
    counting_proof,
    decide,
    decide_without_evidence,
    freshness_of,
    jitter_of,
    lifetime_of,
    of_shared_key,
    operator_override,
)
from tests.clock import START
from tests.core.rig import (
    AMOS,
    EMAIL,
    GAME,
    HOUR,
    KEY,
    KEY_PROOF,
    MINUTE,
    PURCHASE_PROOF,
    RULES,
    SECOND,
    SELLER,
    USER,
    WEB_PROOF,
    rules,
)

BUNDLE_PROOF = Proof(ProofKind.BUNDLE_PURCHASE, 9)
LIN = Player(PlayerId(29789), "lin", "Lin")
FRESHNESS = Freshness(START, START + HOUR, START + 24 * HOUR, stale=False)
OWNED = Evidence(START, (KEY_PROOF,))
NOTHING = Evidence(START)


def lived(observation: Observation, game: GameRules = RULES, *, jitter: float = 0) -> list[timedelta | None]:
    """Return the four spans of a lifetime: fresh, refreshed, served, usable."""
    lifetime = lifetime_of(observation, game, jitter=jitter)
    return [lifetime.fresh, lifetime.refresh_from, lifetime.revalidate, lifetime.usable]


# Lifetimes


@pytest.mark.parametrize(
    ("jitter", "fresh"), [(-1, 54 * MINUTE), (-0.5, 57 * MINUTE), (0, HOUR), (0.5, 63 * MINUTE), (1, 66 * MINUTE)]
)
def test_proof_is_fresh_for_an_hour_give_or_take_a_tenth(jitter: float, fresh: timedelta) -> None:
    """Refreshed from 80 % of it, served for ten minutes past it, usable for a day."""
    assert lived(OWNED, jitter=jitter) == [fresh, 0.8 * fresh, fresh + 10 * MINUTE, 24 * HOUR]


def test_a_game_may_have_its_own_lifetimes() -> None:
    """Within the hard bounds."""
    game = rules(owned_fresh=10 * MINUTE, grace=2 * HOUR)

    assert lived(OWNED, game) == [10 * MINUTE, 8 * MINUTE, 20 * MINUTE, 2 * HOUR]


def test_nothing_is_usable_for_more_than_three_days() -> None:
    """No configuration permits more, and nothing is fresh for longer than it is usable."""
    game = rules(owned_fresh=100 * HOUR, grace=1000 * HOUR)

    assert lived(OWNED, game) == [72 * HOUR, 0.8 * 72 * HOUR, 72 * HOUR, 72 * HOUR]


def test_without_grace_proof_is_worth_nothing_once_it_is_stale() -> None:
    """Stale proof is not even served while it is looked up again."""
    assert lived(OWNED, rules(grace=timedelta()), jitter=1) == [66 * MINUTE, 52.8 * MINUTE, 66 * MINUTE, 66 * MINUTE]


def test_a_short_grace_also_ends_what_is_served_meanwhile() -> None:
    """Five minutes past its freshness."""
    assert lived(OWNED, rules(grace=65 * MINUTE)) == [HOUR, 48 * MINUTE, 65 * MINUTE, 65 * MINUTE]


@pytest.mark.parametrize("evidence", [NOTHING, Evidence(START, (WEB_PROOF,))])
def test_a_no_lives_for_45_seconds_and_has_no_grace(evidence: Evidence) -> None:
    """The store may have shown proof that does not count here."""
    assert lived(evidence, jitter=1) == [45 * SECOND, None, 45 * SECOND, 45 * SECOND]


def test_a_game_may_repeat_a_no_for_longer() -> None:
    """As configured."""
    assert lived(NOTHING, rules(not_owned_fresh=5 * MINUTE)) == [5 * MINUTE, None, 5 * MINUTE, 5 * MINUTE]


def test_a_refusal_lives_for_a_minute_and_has_no_grace() -> None:
    """The rules of the game make no difference."""
    refusal = Refusal(START, Reason.REFUSED_JWT)

    assert lived(refusal, rules(grace=72 * HOUR), jitter=1) == [MINUTE, None, MINUTE, MINUTE]


@pytest.mark.parametrize(
    ("expires", "fresh", "usable"),
    [
        (None, 10 * MINUTE, 10 * MINUTE),
        (HOUR, 10 * MINUTE, HOUR),
        (10.5 * MINUTE, 10 * MINUTE, 10.5 * MINUTE),
        (10 * MINUTE, 9.5 * MINUTE, 10 * MINUTE),
        (MINUTE, 30 * SECOND, MINUTE),
        (30 * SECOND, timedelta(), 30 * SECOND),
        (SECOND, timedelta(), SECOND),
        (timedelta(), timedelta(), timedelta()),
        (-SECOND, -SECOND, -SECOND),
        (7 * 24 * HOUR, 10 * MINUTE, 72 * HOUR),
    ],
)
def test_a_jwt_is_taken_for_its_player_until_shortly_before_it_expires(
    expires: timedelta | None, fresh: timedelta, usable: timedelta
) -> None:
    """Ten minutes at most; never once it has expired; never refreshed unasked."""
    identity = Identity(START, AMOS, expires_at=None if expires is None else START + expires)

    assert lived(identity, jitter=1) == [fresh, None, fresh, usable]


@pytest.mark.parametrize("observation", [NOTHING, Refusal(START, Reason.REFUSED_JWT), Identity(START, AMOS)])
def test_only_proof_is_ever_refreshed(observation: Observation) -> None:
    """A no is asked for again by a caller who wants to know."""
    assert lifetime_of(observation, RULES, jitter=0).refresh_from is None


@pytest.mark.parametrize(
    ("name", "jitter"),
    [(b"\0\0\0\0", -1), (b"\xff\xff\xff\xff", 1), (b"\0\0\0\0\xff", -1), (b"\x80\0\0\0", pytest.approx(0, abs=1e-9))],
)
def test_questions_are_spread_over_the_whole_range(name: bytes, jitter: float) -> None:
    """The jitter comes from the first bytes of a name, which are as good as random."""
    assert jitter_of(Fingerprint(name)) == jitter


# What counts


@pytest.mark.parametrize("kind", ProofKind)
@pytest.mark.parametrize("method", Method)
def test_accepted_proof_is_owned_for_the_reason_of_its_kind(kind: ProofKind, method: Method) -> None:
    """The method of the question makes no difference."""
    proof = Proof(kind, 5)
    evidence = Evidence(START, (proof,))

    decision = decide(rules(accept=frozenset({kind})), method, evidence, freshness=FRESHNESS)

    assert (decision.outcome, decision.reason, decision.proof) == (Outcome.OWNED, Reason(kind.value), proof)


@pytest.mark.parametrize("kind", ProofKind)
@pytest.mark.parametrize("method", Method)
def test_proof_that_is_not_accepted_is_not_owned(kind: ProofKind, method: Method) -> None:
    """The answer does not show the proof."""
    evidence = Evidence(START, (Proof(kind, 5),))
    game = rules(accept=frozenset(ProofKind) - {kind})

    decision = decide(game, method, evidence, freshness=FRESHNESS)

    assert (decision.outcome, decision.reason, decision.proof) == (Outcome.NOT_OWNED, Reason.NO_DOWNLOAD_KEY, None)


def test_a_game_that_accepts_nothing_is_owned_by_nobody() -> None:
    """An empty list never passes."""
    everything = Evidence(START, (KEY_PROOF, PURCHASE_PROOF, BUNDLE_PROOF, WEB_PROOF))

    assert not decide(rules(accept=frozenset()), Method.USER, everything, freshness=FRESHNESS).allowed


def test_web_purchases_are_opt_in() -> None:
    """The other kinds count unless the operator says otherwise."""
    assert RULES.accept == {ProofKind.DOWNLOAD_KEY, ProofKind.PURCHASE, ProofKind.BUNDLE_PURCHASE}


def test_the_first_proof_that_counts_is_the_one_that_is_shown() -> None:
    """Proof that does not count may stand before it."""
    evidence = Evidence(START, (WEB_PROOF, PURCHASE_PROOF, KEY_PROOF))

    assert counting_proof(evidence, RULES) == PURCHASE_PROOF


@pytest.mark.parametrize(
    ("method", "reason", "caveats"),
    [
        (Method.DOWNLOAD_KEY, Reason.INVALID_DOWNLOAD_KEY, ()),
        (Method.JWT, Reason.NO_DOWNLOAD_KEY, (Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED,)),
        (Method.USER, Reason.NO_DOWNLOAD_KEY, (Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED,)),
        (
            Method.EMAIL,
            Reason.NO_DOWNLOAD_KEY,
            (Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED, Caveat.EMAIL_MISSES_CLAIMED_KEYS),
        ),
    ],
)
def test_a_no_says_how_far_it_can_be_trusted(method: Method, reason: Reason, caveats: tuple[Caveat, ...]) -> None:
    """That a key does not exist is certain; that a player has none is not."""
    decision = decide(RULES, method, NOTHING, freshness=FRESHNESS)

    assert (decision.outcome, decision.reason, decision.caveats) == (Outcome.NOT_OWNED, reason, caveats)


def test_a_key_of_a_kind_that_does_not_count_is_no_invalid_key() -> None:
    """The key exists; support would look in the wrong place. No bundle could change the answer either."""
    decision = decide(rules(accept=frozenset({ProofKind.PURCHASE})), Method.DOWNLOAD_KEY, OWNED, freshness=FRESHNESS)

    assert (decision.reason, decision.caveats) == (Reason.NO_DOWNLOAD_KEY, ())


@pytest.mark.parametrize("method", Method)
def test_a_yes_carries_no_caveat(method: Method) -> None:
    """The store showed it."""
    assert decide(RULES, method, OWNED, freshness=FRESHNESS).caveats == ()


def test_the_sandbox_caveat_comes_first() -> None:
    """No other caveat matters as much."""
    decision = decide(RULES, Method.USER, Evidence(START, sandbox=True), freshness=FRESHNESS)

    assert decision.caveats == (Caveat.SANDBOX, Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED)


def test_a_decision_says_for_which_game_and_how_it_stands() -> None:
    """All that the caller needs to judge it."""
    freshness = Freshness(START - HOUR, START, START + HOUR, stale=True)

    decision = decide(RULES, Method.USER, OWNED, freshness=freshness)

    assert (decision.game_id, decision.observed_at, decision.fresh_until) == (GAME, START - HOUR, START)
    assert (decision.usable_until, decision.stale) == (START + HOUR, True)


# Who it is


@pytest.mark.parametrize(
    ("player", "owner", "named"),
    [
        (None, None, None),
        (None, AMOS, AMOS),
        (AMOS, None, AMOS),
        (Player(AMOS.id), AMOS, AMOS),
        (AMOS, Player(AMOS.id, "renamed"), AMOS),
        (Player(AMOS.id), LIN, Player(AMOS.id)),
        (AMOS, LIN, AMOS),
    ],
)
def test_the_player_is_who_asks_as_well_named_as_is_known(
    player: Player | None, owner: Player | None, named: Player | None
) -> None:
    """The answer never names another player."""
    decision = decide(RULES, Method.JWT, Evidence(START, (KEY_PROOF,), owner), freshness=FRESHNESS, player=player)

    assert decision.player == named


@pytest.mark.parametrize("evidence", [Evidence(START, (KEY_PROOF,), AMOS), Evidence(START, (), AMOS)])
def test_by_email_nobody_is_named(evidence: Evidence) -> None:
    """The gateway is no oracle from an address to an account."""
    assert decide(RULES, Method.EMAIL, evidence, freshness=FRESHNESS, player=AMOS).player is None


# The operator's word

EVERYBODY = frozenset({AMOS.id, SELLER})


@pytest.mark.parametrize(
    ("game", "player_id", "press", "word"),
    [
        (RULES, AMOS.id, False, None),
        (RULES, AMOS.id, True, None),
        (RULES, SELLER, False, Reason.SELLER_ACCOUNT),
        (rules(grant_user_ids=EVERYBODY), AMOS.id, False, Reason.OPERATOR_GRANT),
        (rules(grant_user_ids=EVERYBODY), SELLER, False, Reason.SELLER_ACCOUNT),
        (rules(grant_user_ids=EVERYBODY), LIN.id, False, None),
        (rules(grant_press=True), AMOS.id, True, Reason.PRESS),
        (rules(grant_press=True), AMOS.id, False, None),
        (rules(grant_press=True, grant_user_ids=EVERYBODY), AMOS.id, True, Reason.OPERATOR_GRANT),
        (rules(ban_user_ids=EVERYBODY), AMOS.id, False, Reason.OPERATOR_BAN),
        (rules(ban_user_ids=EVERYBODY), SELLER, False, Reason.OPERATOR_BAN),
        (rules(ban_user_ids=EVERYBODY), LIN.id, False, None),
        (rules(ban_user_ids=EVERYBODY, grant_user_ids=EVERYBODY), AMOS.id, False, Reason.OPERATOR_BAN),
        (rules(ban_user_ids=EVERYBODY, grant_press=True), AMOS.id, True, Reason.OPERATOR_BAN),
    ],
)
def test_a_ban_wins_over_every_grant(game: GameRules, player_id: PlayerId, *, press: bool, word: Reason | None) -> None:
    """The operator has no word about most players."""
    subject = AssertedUser(player_id)

    override = operator_override(game, subject, said=None, seller_account=SELLER, press=press)

    assert (None if override is None else override.reason) is word


def test_nobody_is_the_seller_while_the_seller_is_not_known() -> None:
    subject = AssertedUser(SELLER)

    assert operator_override(RULES, subject, said=None, seller_account=None, press=False) is None


LATER = START + HOUR
BAN, GRANT = Override(Reason.OPERATOR_BAN, LATER), Override(Reason.OPERATOR_GRANT, LATER)
BANS_ADDRESS = rules(ban_emails=frozenset({Mailbox("amos@example.com")}))


@pytest.mark.parametrize(
    ("game", "subject", "said", "word"),
    [
        (RULES, USER, BAN, BAN),
        (RULES, USER, GRANT, GRANT),
        (RULES, AssertedUser(SELLER), BAN, BAN),
        (RULES, AssertedUser(SELLER), GRANT, Override(Reason.SELLER_ACCOUNT)),
        (rules(ban_user_ids=EVERYBODY), USER, GRANT, Override(Reason.OPERATOR_BAN)),
        (rules(ban_user_ids=EVERYBODY), USER, BAN, Override(Reason.OPERATOR_BAN)),
        (rules(grant_user_ids=EVERYBODY), USER, BAN, BAN),
        (rules(grant_user_ids=EVERYBODY), USER, GRANT, Override(Reason.OPERATOR_GRANT)),
        (rules(grant_press=True), USER, BAN, BAN),
        (rules(grant_press=True), USER, GRANT, GRANT),
        (RULES, EMAIL, None, None),
        (RULES, EMAIL, BAN, BAN),
        (RULES, EMAIL, GRANT, GRANT),
        (BANS_ADDRESS, EMAIL, GRANT, Override(Reason.OPERATOR_BAN)),
        (BANS_ADDRESS, VerifiedEmail("Amos@example.com"), None, Override(Reason.OPERATOR_BAN)),
        (BANS_ADDRESS, VerifiedEmail("lin@example.com"), None, None),
        (BANS_ADDRESS, USER, None, None),
        (RULES, KEY, BAN, BAN),
        (RULES, KEY, None, None),
    ],
)
def test_any_ban_comes_first_then_the_seller_then_any_grant(
    game: GameRules, subject: Subject, said: Override | None, word: Override | None
) -> None:
    """The word of the configuration holds for good, and comes before one of the same kind that ends."""
    press = game.grant_press

    assert operator_override(game, subject, said=said, seller_account=SELLER, press=press) == word


def test_nobody_unknown_is_the_unknown_seller() -> None:
    """A key and an address have no account, and before the store has said whose its key is, nor has the seller."""
    assert operator_override(RULES, KEY, said=None, seller_account=None, press=False) is None


def test_a_ban_of_the_owner_ends_with_the_operators_word() -> None:
    """The answer may be used as long as evidence and word hold."""
    decision = decide(RULES, Method.EMAIL, OWNED, freshness=FRESHNESS, said_of_owner=BAN)

    assert (decision.reason, decision.proof, decision.usable_until) == (Reason.OPERATOR_BAN, None, LATER)
    assert decision.fresh_until == LATER


@pytest.mark.parametrize("said", [BAN, Override(Reason.OPERATOR_BAN)])
def test_a_ban_for_good_outlasts_one_that_ends(said: Override) -> None:
    """The configuration bans the owner, too."""
    game, shown = rules(ban_user_ids=EVERYBODY), Evidence(START, (KEY_PROOF,), AMOS)

    decision = decide(game, Method.DOWNLOAD_KEY, shown, freshness=FRESHNESS, said_of_owner=said)

    assert (decision.reason, decision.usable_until) == (Reason.OPERATOR_BAN, FRESHNESS.usable_until)


@pytest.mark.parametrize(("shown", "reason"), [(OWNED, Reason.DOWNLOAD_KEY), (NOTHING, Reason.NO_DOWNLOAD_KEY)])
def test_a_grant_of_the_owner_lets_nobody_else_in(shown: Evidence, reason: Reason) -> None:
    """A key, or an address, may be in other hands than the account."""
    decision = decide(RULES, Method.EMAIL, shown, freshness=FRESHNESS, said_of_owner=GRANT)

    assert (decision.reason, decision.usable_until) == (reason, FRESHNESS.usable_until)


@pytest.mark.parametrize(("player", "owner"), [(AMOS, None), (None, AMOS), (AMOS, LIN), (LIN, AMOS), (AMOS, AMOS)])
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("proofs", [(KEY_PROOF,), ()])
def test_a_ban_wins_over_proof(
    method: Method, player: Player | None, owner: Player | None, proofs: tuple[Proof, ...]
) -> None:
    """The banned player may ask, or may own the key that was presented."""
    banned = rules(ban_user_ids=frozenset({AMOS.id}))

    decision = decide(banned, method, Evidence(START, proofs, owner), freshness=FRESHNESS, player=player)

    assert (decision.outcome, decision.proof) == (Outcome.BANNED, None)


# Decisions without evidence


@pytest.mark.parametrize("reason", [Reason.OPERATOR_BAN, Reason.SOURCE_UNAVAILABLE, Reason.MALFORMED_JWT])
def test_what_nobody_was_asked_about_has_no_instants(reason: Reason) -> None:
    """The store had no part in it."""
    decision = decide_without_evidence(RULES, Method.JWT, reason)

    assert (decision.reason, decision.game_id, decision.method) == (reason, GAME, Method.JWT)
    assert (decision.observed_at, decision.fresh_until, decision.usable_until) == (None, None, None)
    assert (decision.stale, decision.player, decision.proof, decision.caveats) == (False, None, None, ())


def test_what_rests_on_an_identity_stands_as_it_does() -> None:
    """The decision has the identity's player, age and sandbox."""
    freshness = Freshness(START, START + MINUTE, START + HOUR, stale=True)

    decision = decide_without_evidence(RULES, Method.JWT, Reason.PRESS, player=AMOS, freshness=freshness, sandbox=True)

    assert (decision.player, decision.observed_at, decision.fresh_until) == (AMOS, START, START + MINUTE)
    assert (decision.usable_until, decision.stale, decision.caveats) == (START + HOUR, True, (Caveat.SANDBOX,))


def test_a_decision_on_one_observation_stands_as_it_does() -> None:
    """From when it was made to when it may be used."""
    lifetime = lifetime_of(OWNED, RULES, jitter=0)

    assert freshness_of(OWNED, lifetime, stale=True) == Freshness(START, START + HOUR, START + 24 * HOUR, stale=True)


def test_a_decision_on_two_observations_is_as_good_as_the_worse() -> None:
    """In every respect."""
    one = Freshness(START, START + 3 * HOUR, START + 4 * HOUR, stale=True)
    other = Freshness(START + HOUR, START + 2 * HOUR, START + 5 * HOUR, stale=False)

    assert one.bounded_by(other) == Freshness(START, START + 2 * HOUR, START + 4 * HOUR, stale=True)


@pytest.mark.parametrize("sandbox", [False, True])
def test_one_player_too_many_learns_nothing_of_the_owner(*, sandbox: bool) -> None:
    """Neither who it is, nor what the store says of them at the moment."""
    evidence = Evidence(START, (KEY_PROOF,), owner=AMOS, sandbox=sandbox)
    owned = decide(RULES, Method.DOWNLOAD_KEY, evidence, freshness=FRESHNESS, held=True)

    observed = of_shared_key(owned, KeyLimit(players=1, reject=False, lasts=HOUR))
    rejected = of_shared_key(owned, KeyLimit(players=1, reject=True, lasts=HOUR))

    where = (Caveat.SANDBOX,) if sandbox else ()
    assert (observed.player, observed.outcome) == (AMOS, Outcome.OWNED)
    assert observed.caveats == (*where, Caveat.REVOCATIONS_HELD, Caveat.SHARED_DOWNLOAD_KEY)
    assert rejected == decide_without_evidence(RULES, Method.DOWNLOAD_KEY, Reason.SHARED_DOWNLOAD_KEY, sandbox=sandbox)
