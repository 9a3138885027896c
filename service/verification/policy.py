"""The operator's rules, and the pure step from evidence to a decision.

Every duration and bound here is in the table of docs/api.md, "How old an answer can be"; nothing in this module
waits, asks or remembers.
"""

from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Final, assert_never

from msgspec import Struct, structs

from service.ownership import (
    AssertedUser,
    Caveat,
    Decision,
    DownloadKey,
    Evidence,
    Fingerprint,
    GameId,
    Identity,
    Mailbox,
    Method,
    Observation,
    Outcome,
    Player,
    PlayerId,
    PlayerToken,
    Proof,
    ProofKind,
    Reason,
    Refusal,
    Subject,
    VerifiedEmail,
)
from service.secret import RedeemKeys

REVALIDATE_FOR: Final = timedelta(minutes=10)
"""The time for which proof is served past its freshness, while it is looked up again in the background."""

REFUSAL_FRESH: Final = timedelta(seconds=60)
"""The time for which a token that the store has refused is refused without asking again."""

IDENTITY_FRESH: Final = timedelta(minutes=10)
"""The time for which a token stands for its player without asking again; itch.io's own app caches users as long."""

IDENTITY_MARGIN: Final = timedelta(seconds=30)
"""The time before its expiry from which a JWT must be shown to the store again: clocks differ."""

HARD_MAXIMUM: Final = timedelta(hours=72)
"""The age from which no observation is used, not even if the configuration says so."""

_REFRESH_FROM: Final = 0.8
_JITTER: Final = 0.1
_STEP_BITS: Final = 6
_ROUNDING: Final = 2 ** (_STEP_BITS - 1)
_STEPS_TO_ZERO: Final = 2 ** (15 - _STEP_BITS)
_LIFETIMES: Final = 4 * 1025
"""The most lifetimes that are cached: one for each jitter, shared by all games with the same spans."""


class KeyLimit(Struct, frozen=True):
    """The most players who may use one download key. They are forgotten when for as long as this lasts none was new."""

    players: int
    reject: bool
    lasts: timedelta


class GameRules(Struct, frozen=True):
    """The operator's rules for one game. `label` names the game in logs and metrics."""

    game_id: GameId
    label: str
    accept: frozenset[ProofKind] = frozenset(
        {ProofKind.DOWNLOAD_KEY, ProofKind.PURCHASE, ProofKind.BUNDLE_PURCHASE},
    )
    grant_user_ids: frozenset[PlayerId] = frozenset()
    ban_user_ids: frozenset[PlayerId] = frozenset()
    ban_emails: frozenset[Mailbox] = frozenset()
    grant_press: bool = False
    owned_fresh: timedelta = timedelta(hours=1)
    grace: timedelta = timedelta(hours=24)
    not_owned_fresh: timedelta = timedelta(seconds=45)
    key_limit: KeyLimit | None = None
    channels: frozenset[str] = frozenset()
    redeem: RedeemKeys | None = None


class Lifetime(Struct, frozen=True):
    """The ages up to which an observation may be used, and how. All but `refresh_from` are in order.

    Up to `fresh` it is served as it is; from `refresh_from` on it is also looked up again in the background; up to
    `revalidate` it is served as stale meanwhile; up to `usable` only if the store gives no usable answer.
    """

    fresh: timedelta
    refresh_from: timedelta | None
    revalidate: timedelta
    usable: timedelta


def jitter_of(name: Fingerprint) -> float:
    """Return a number from -1 to 1 that differs from question to question, so that they do not all expire at once.

    It is one of 1025, so that what follows from it need not be worked out for each question.
    """
    return (int.from_bytes(name[:2], "big") + _ROUNDING >> _STEP_BITS) / _STEPS_TO_ZERO - 1


def counting_proof(evidence: Evidence, rules: GameRules) -> Proof | None:
    """Return the first proof that the operator accepts for this game."""
    for proof in evidence.proofs:
        if proof.kind in rules.accept:
            return proof
    return None


def says_no(observation: Observation) -> bool:
    """Whether the store refused: no proof of ownership, or no good credential."""
    match observation:
        case Evidence():
            return not observation.proofs
        case Refusal():
            return True
        case Identity():
            return False
        case _:
            assert_never(observation)


def lifetime_of(observation: Observation, rules: GameRules, *, jitter: float) -> Lifetime:
    """Return how long an observation may be used under these rules; `jitter` from -1 to 1 staggers expiry."""
    match observation:
        case Evidence():
            if counting_proof(observation, rules) is None:
                return _short_lifetime(rules.not_owned_fresh)
            return _lifetime_of_proof(rules.owned_fresh, rules.grace, jitter)
        case Identity():
            return _lifetime_of_identity(observation, rules.grace)
        case Refusal():
            return _short_lifetime(REFUSAL_FRESH)
        case _:
            assert_never(observation)


class LookUp(Struct, frozen=True):
    """One thing to know under the `rules` of a game: ownership by a subject, or whose a token is.

    Without `about` it is whose the gateway's own key is. That is neither remembered nor shared with other replicas.
    """

    name: Fingerprint
    rules: GameRules
    about: Subject | PlayerToken | None = None

    @property
    def game_id(self) -> GameId | None:
        """The game that it is about, None for whose something is."""
        return None if self.about is None or isinstance(self.about, PlayerToken) else self.rules.game_id

    def lifetime(self, observation: Observation) -> Lifetime:
        """Return how long an observation may be used."""
        return lifetime_of(observation, self.rules, jitter=jitter_of(self.name))

    def keep_until(self, observation: Observation) -> datetime:
        """Return the instant until which an observation, or the proof beside it, may be used."""
        before = observation.overruled if isinstance(observation, Evidence) else None
        until = observation.observed_at + self.lifetime(observation).usable
        return until if before is None else max(until, self.keep_until(before.evidence))

    def is_new_credential(self, known: Observation | None, now: datetime) -> bool:
        """Whether it is about a credential that the store has not found good yet, or not lately enough to matter.

        Beside a no that was held back it is still good: its owner does not guess.
        """
        if not isinstance(self.about, DownloadKey | PlayerToken):
            return False
        good = known
        if isinstance(known, Evidence) and known.overruled is not None and known.overruled.held:
            good = known.overruled.evidence
        return good is None or says_no(good) or now - good.observed_at >= self.lifetime(good).usable


class Allowance(Struct, frozen=True):
    """A decision by which a player is let in: the only thing that a pass can be made from."""

    decision: Decision


def allowance(decision: Decision) -> Allowance | None:
    """Return the allowance in a decision, None if it lets no player in."""
    return Allowance(decision) if decision.outcome in (Outcome.OWNED, Outcome.GRANTED) else None


def of_shared_key(decision: Decision, limit: KeyLimit) -> Decision:
    """Return the decision about a player after whom no other may use the download key; the one given lets in."""
    if not limit.reject:
        return structs.replace(decision, caveats=(*decision.caveats, Caveat.SHARED_DOWNLOAD_KEY))
    # The key is still good, so that it is no `not_owned`; whose it is, is not for this player to know.
    reason = Reason.SHARED_DOWNLOAD_KEY
    caveats = _caveats(reason, decision.method, sandbox=Caveat.SANDBOX in decision.caveats)
    return Decision(reason, decision.game_id, decision.method, caveats=caveats)


class Override(Struct, frozen=True):
    """A decision that needs no evidence of ownership, until an instant; without one it holds for good."""

    reason: Reason
    until: datetime | None = None


_FILE_BAN: Final = Override(Reason.OPERATOR_BAN)
_FILE_GRANT: Final = Override(Reason.OPERATOR_GRANT)
_SELLER_ACCOUNT: Final = Override(Reason.SELLER_ACCOUNT)
_PRESS: Final = Override(Reason.PRESS)


def operator_override(
    rules: GameRules, subject: Subject, *, said: Override | None, seller_account: PlayerId | None, press: bool
) -> Override | None:
    """Return the operator's word about this subject, if there is one: any ban, the seller's account, any grant.

    `said` is what an operator has said about it for a while, beside the rules.
    """
    player_id = subject.player_id if isinstance(subject, AssertedUser) else None
    if player_id in rules.ban_user_ids or (isinstance(subject, VerifiedEmail) and subject.mailbox in rules.ban_emails):
        return _FILE_BAN
    if said is not None and said.reason is Reason.OPERATOR_BAN:
        return said
    if player_id is not None and player_id == seller_account:
        return _SELLER_ACCOUNT
    if player_id in rules.grant_user_ids:
        return _FILE_GRANT
    if said is not None:
        return said
    return _PRESS if press and rules.grant_press else None


class Freshness(Struct, frozen=True):
    """The age of the observations that a decision rests on, and how long it may be used. Instants are in UTC."""

    observed_at: datetime
    fresh_until: datetime
    usable_until: datetime
    stale: bool

    def bounded_by(self, other: "Freshness") -> "Freshness":
        """Return the freshness of a decision that rests on both: as old as the older, usable as long as either."""
        return Freshness(
            observed_at=min(self.observed_at, other.observed_at),
            fresh_until=min(self.fresh_until, other.fresh_until),
            usable_until=min(self.usable_until, other.usable_until),
            stale=self.stale or other.stale,
        )

    def ending(self, until: datetime | None) -> "Freshness":
        """Return the freshness of a decision that rests on a word of the operator's, too, which holds until then."""
        if until is None:
            return self
        fresh_until, usable_until = min(self.fresh_until, until), min(self.usable_until, until)
        return Freshness(self.observed_at, fresh_until, usable_until, self.stale)


def freshness_of(observation: Observation, lifetime: Lifetime, *, stale: bool) -> Freshness:
    """Return the freshness of a decision that rests on this observation alone."""
    seen = observation.observed_at
    return Freshness(
        observed_at=seen, fresh_until=seen + lifetime.fresh, usable_until=seen + lifetime.usable, stale=stale
    )


def decide(
    rules: GameRules,
    method: Method,
    evidence: Evidence,
    *,
    freshness: Freshness,
    player: Player | None = None,
    held: bool = False,
    said_of_owner: Override | None = None,
) -> Decision:
    """Turn evidence into a decision; `player` is who asks, where that is established.

    `held` says that the store contradicts the evidence, and is not believed. `said_of_owner` is what an operator has
    said for a while about the account that the evidence names: a ban of it holds, a grant is for those who show that
    they are that account.
    """
    reason, proof = _judge(rules, method, evidence, player)
    said_ban = said_of_owner is not None and said_of_owner.reason is Reason.OPERATOR_BAN
    if said_of_owner is not None and said_ban and reason is not Reason.OPERATOR_BAN:
        reason, proof, freshness = Reason.OPERATOR_BAN, None, freshness.ending(said_of_owner.until)
    return Decision(
        reason=reason,
        game_id=rules.game_id,
        method=method,
        # By e-mail no player is named: the gateway is no oracle from an address to an account.
        player=None if method is Method.EMAIL else _best_named(player, evidence.owner),
        proof=proof,
        observed_at=freshness.observed_at,
        fresh_until=freshness.fresh_until,
        usable_until=freshness.usable_until,
        stale=freshness.stale,
        caveats=_caveats(reason, method, sandbox=evidence.sandbox, held=held),
        proven_at=evidence.observed_at,
    )


def decide_without_evidence(
    rules: GameRules,
    method: Method,
    reason: Reason,
    *,
    player: Player | None = None,
    freshness: Freshness | None = None,
    until: datetime | None = None,
    sandbox: bool = False,
) -> Decision:
    """Decide without evidence of ownership: the operator's word, a credential that is no good, or no answer at all.

    `freshness` is that of the identity it rests on, None if it rests on none; `until` is the end of the operator's
    word, None if it has none.
    """
    freshness = None if freshness is None else freshness.ending(until)
    return Decision(
        reason=reason,
        game_id=rules.game_id,
        method=method,
        player=player,
        observed_at=freshness.observed_at if freshness else None,
        fresh_until=freshness.fresh_until if freshness else None,
        usable_until=freshness.usable_until if freshness else until,
        stale=freshness.stale if freshness else False,
        caveats=_caveats(reason, method, sandbox=sandbox),
    )


def _judge(rules: GameRules, method: Method, evidence: Evidence, player: Player | None) -> tuple[Reason, Proof | None]:
    banned = rules.ban_user_ids
    if banned and any(person is not None and person.id in banned for person in (player, evidence.owner)):
        return Reason.OPERATOR_BAN, None
    proof = counting_proof(evidence, rules)
    if proof is not None:
        return _PROVEN_BY[proof.kind], proof
    if method is Method.DOWNLOAD_KEY and not evidence.proofs:
        return Reason.INVALID_DOWNLOAD_KEY, None
    return Reason.NO_DOWNLOAD_KEY, None


_PROVEN_BY: Final = {kind: Reason(kind.value) for kind in ProofKind}


def _best_named(player: Player | None, owner: Player | None) -> Player | None:
    """Return the player as the store names them if the caller gave only an id; never another player."""
    if player is None:
        return owner
    if owner is not None and owner.id == player.id and player.username is None:
        return owner
    return player


@cache
def _caveats(reason: Reason, method: Method, *, sandbox: bool, held: bool = False) -> tuple[Caveat, ...]:
    caveats = []
    if sandbox:
        caveats.append(Caveat.SANDBOX)
    if reason is Reason.NO_DOWNLOAD_KEY and method is not Method.DOWNLOAD_KEY:
        caveats.append(Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED)
        if method is Method.EMAIL:
            caveats.append(Caveat.EMAIL_MISSES_CLAIMED_KEYS)
    if held:
        caveats.append(Caveat.REVOCATIONS_HELD)
    return tuple(caveats)


def _lifetime_of_identity(identity: Identity, grace: timedelta) -> Lifetime:
    fresh = usable = IDENTITY_FRESH
    if identity.owns is not None:
        usable = min(max(grace, fresh), HARD_MAXIMUM)  # an access token has no end of its own
    if identity.expires_at is not None:
        left = identity.expires_at - identity.observed_at
        fresh = min(fresh, left - IDENTITY_MARGIN)
        usable = min(left, HARD_MAXIMUM)
    # A token in its last seconds is fresh for no time at all, but was observed when it was observed.
    fresh = min(max(fresh, timedelta()), usable)
    return Lifetime(fresh=fresh, refresh_from=None, revalidate=fresh, usable=usable)


@lru_cache(maxsize=_LIFETIMES)
def _lifetime_of_proof(owned_fresh: timedelta, grace: timedelta, jitter: float) -> Lifetime:
    fresh = min(owned_fresh * (1 + _JITTER * jitter), HARD_MAXIMUM)
    usable = min(max(grace, fresh), HARD_MAXIMUM)
    return Lifetime(
        fresh=fresh, refresh_from=fresh * _REFRESH_FROM, revalidate=min(fresh + REVALIDATE_FOR, usable), usable=usable
    )


@lru_cache(maxsize=_LIFETIMES)
def _short_lifetime(fresh: timedelta) -> Lifetime:
    return Lifetime(fresh=fresh, refresh_from=None, revalidate=fresh, usable=fresh)
