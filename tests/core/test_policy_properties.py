"""Properties of the rules, under every configuration and every answer of the store."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.ownership import (
    AssertedUser,
    Caveat,
    Evidence,
    Fingerprint,
    Identity,
    Method,
    Observation,
    Outcome,
    Player,
    PlayerId,
    Proof,
    ProofKind,
    Reason,
    Refusal,
)
from service.verification.policy import (
    HARD_MAXIMUM,
    Freshness,
    GameRules,
    decide,
    jitter_of,
    lifetime_of,
    operator_override,
)
from tests.clock import START
from tests.core.rig import GAME

DAY = timedelta(days=1)

player_ids = st.integers(1, 6).map(PlayerId)
players = st.builds(Player, player_ids, st.none() | st.just("amos"), st.none() | st.just("Amos"))
some_players = st.frozensets(player_ids)
kinds = st.frozensets(st.sampled_from(ProofKind))
proofs = st.lists(st.builds(Proof, st.sampled_from(ProofKind), st.integers(1, 99)), max_size=5).map(tuple)
instants = st.timedeltas(-DAY, 10 * DAY).map(lambda offset: START + offset)
durations = st.timedeltas(timedelta(), 200 * DAY)
spreads = st.floats(-1, 1)
methods = st.sampled_from(Method)

games = st.builds(
    GameRules,
    game_id=st.just(GAME),
    label=st.just("x-moon"),
    accept=kinds,
    grant_user_ids=some_players,
    ban_user_ids=some_players,
    grant_press=st.booleans(),
    owned_fresh=durations,
    grace=durations,
    not_owned_fresh=st.timedeltas(timedelta(), timedelta(seconds=300)),
)
evidence = st.builds(Evidence, instants, proofs, st.none() | players, st.booleans())
identities = st.builds(Identity, instants, players, st.booleans(), st.none() | instants)
refusals = st.builds(Refusal, instants, st.just(Reason.REFUSED_JWT))
freshness = st.builds(Freshness, instants, instants, instants, st.booleans())
FRESHNESS = Freshness(START, START + DAY, START + DAY, stale=False)


@given(evidence | identities | refusals, games, spreads)
def test_lifetimes_are_in_order_and_bounded(observation: Observation, game: GameRules, jitter: float) -> None:
    """Fresh, then served, then usable; never for more than three days."""
    lifetime = lifetime_of(observation, game, jitter=jitter)

    assert lifetime.fresh <= lifetime.revalidate <= lifetime.usable <= HARD_MAXIMUM
    if lifetime.refresh_from is not None:
        assert timedelta() <= lifetime.refresh_from <= lifetime.fresh


@given(identities, games, spreads)
def test_no_jwt_is_usable_once_it_has_expired(identity: Identity, game: GameRules, jitter: float) -> None:
    """No grace of a game outlives the JWT."""
    lifetime = lifetime_of(identity, game, jitter=jitter)

    assert identity.expires_at is None or identity.observed_at + lifetime.usable <= identity.expires_at


@given(evidence | refusals, games, spreads)
def test_only_proof_that_counts_has_grace(observation: Evidence | Refusal, game: GameRules, jitter: float) -> None:
    """A no is worth nothing from the moment it is stale."""
    lifetime = lifetime_of(observation, game, jitter=jitter)

    if lifetime.usable > lifetime.fresh:
        assert isinstance(observation, Evidence)
        assert any(proof.kind in game.accept for proof in observation.proofs)


@given(st.binary(min_size=16, max_size=16))
def test_no_question_is_spread_further_than_allowed(name: bytes) -> None:
    """A tenth is a tenth."""
    assert -1 <= jitter_of(Fingerprint(name)) <= 1


@given(games, methods, evidence, st.none() | players)
def test_owned_is_what_the_store_shows_and_the_operator_accepts(
    game: GameRules, method: Method, shown: Evidence, player: Player | None
) -> None:
    """No other answer is `owned`, and the proof is named."""
    decision = decide(game, method, shown, freshness=FRESHNESS, player=player)

    if decision.allowed:
        assert decision.outcome is Outcome.OWNED
        assert decision.proof in shown.proofs
        assert decision.proof is not None
        assert decision.proof.kind in game.accept
        assert decision.reason.value == decision.proof.kind.value
    else:
        assert decision.outcome in {Outcome.NOT_OWNED, Outcome.BANNED}
        assert decision.proof is None


@given(games, methods, evidence, st.none() | players)
def test_nobody_who_is_banned_is_let_in(
    game: GameRules, method: Method, shown: Evidence, player: Player | None
) -> None:
    """A player who is banned gets `banned`, and no other player does."""
    involved = {person.id for person in (player, shown.owner) if person is not None}

    decision = decide(game, method, shown, freshness=FRESHNESS, player=player)

    assert (decision.outcome is Outcome.BANNED) == bool(involved & game.ban_user_ids)


@given(game=games, player_id=player_ids, seller=st.none() | player_ids, press=st.booleans())
def test_the_operators_word_never_lets_in_who_is_banned(
    game: GameRules, player_id: PlayerId, seller: PlayerId | None, *, press: bool
) -> None:
    """A banned player is let in neither as a tester, nor as press, nor as the seller."""
    word = operator_override(game, AssertedUser(player_id), said=None, seller_account=seller, press=press)

    assert (word is not None and word.reason is Reason.OPERATOR_BAN) == (player_id in game.ban_user_ids)


@given(game=games, player_id=player_ids, seller=st.none() | player_ids, press=st.booleans())
def test_the_operators_word_is_a_grant_or_a_ban(
    game: GameRules, player_id: PlayerId, seller: PlayerId | None, *, press: bool
) -> None:
    """The operator never says what only the store can say."""
    word = operator_override(game, AssertedUser(player_id), said=None, seller_account=seller, press=press)

    assert word is None or word.reason.outcome in {Outcome.GRANTED, Outcome.BANNED}


@given(games, evidence, st.none() | players)
def test_an_address_never_names_a_player(game: GameRules, shown: Evidence, player: Player | None) -> None:
    """Owned, not owned or banned."""
    assert decide(game, Method.EMAIL, shown, freshness=FRESHNESS, player=player).player is None


@given(games, methods, evidence, players)
def test_nobody_is_taken_for_somebody_else(game: GameRules, method: Method, shown: Evidence, player: Player) -> None:
    """The store's word on the owner never replaces the player who asks."""
    named = decide(game, method, shown, freshness=FRESHNESS, player=player).player

    assert named is None or named.id == player.id


@given(games, methods, evidence, st.none() | players, kinds)
def test_accepting_less_lets_in_nobody_more(
    game: GameRules, method: Method, shown: Evidence, player: Player | None, taken_off: frozenset[ProofKind]
) -> None:
    """A no stays a no."""
    stricter = replace(game, accept=game.accept - taken_off)

    before = decide(game, method, shown, freshness=FRESHNESS, player=player)
    after = decide(stricter, method, shown, freshness=FRESHNESS, player=player)

    assert before.allowed >= after.allowed


@given(games, methods, evidence, st.none() | players, some_players)
def test_banning_more_lets_in_nobody_more(
    game: GameRules, method: Method, shown: Evidence, player: Player | None, banned: frozenset[PlayerId]
) -> None:
    """A no stays a no."""
    stricter = replace(game, ban_user_ids=game.ban_user_ids | banned)

    before = decide(game, method, shown, freshness=FRESHNESS, player=player)
    after = decide(stricter, method, shown, freshness=FRESHNESS, player=player)

    assert before.allowed >= after.allowed


@given(games, methods, evidence, st.none() | players, proofs)
def test_seeing_more_turns_no_yes_into_a_no(
    game: GameRules, method: Method, shown: Evidence, player: Player | None, more: tuple[Proof, ...]
) -> None:
    """The place of the proof in the list makes no difference."""
    before = decide(game, method, shown, freshness=FRESHNESS, player=player)

    after = decide(game, method, replace(shown, proofs=more + shown.proofs), freshness=FRESHNESS, player=player)

    assert before.allowed <= after.allowed


@given(games, methods, evidence)
def test_what_a_sandbox_showed_is_marked(game: GameRules, method: Method, shown: Evidence) -> None:
    """No other answer is marked."""
    assert (Caveat.SANDBOX in decide(game, method, shown, freshness=FRESHNESS).caveats) == shown.sandbox


@given(freshness, freshness, freshness)
def test_freshness_combine_in_any_order(one: Freshness, two: Freshness, three: Freshness) -> None:
    """The worst of each decides."""
    assert one.bounded_by(two) == two.bounded_by(one)
    assert one.bounded_by(two).bounded_by(three) == one.bounded_by(two.bounded_by(three))
    assert one.bounded_by(one) == one


@given(freshness, freshness)
def test_a_combination_is_never_better_than_either(one: Freshness, other: Freshness) -> None:
    """A combination is neither fresher, nor longer usable, nor less stale."""

    def goodness(freshness: Freshness) -> tuple[datetime, datetime, datetime, bool]:
        return freshness.observed_at, freshness.fresh_until, freshness.usable_until, not freshness.stale

    combined = goodness(one.bounded_by(other))

    for part in (one, other):
        assert all(mine <= theirs for mine, theirs in zip(combined, goodness(part), strict=True))  # type: ignore[operator]
