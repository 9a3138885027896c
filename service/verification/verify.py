"""The story of one question: does this player own this game?

1. A credential that is no good by its very shape is rejected; nobody is asked.
2. A JWT is turned into the player it belongs to; the store alone can say who that is.
3. The operator's word about a known player comes before the store and costs it nothing.
4. Evidence is recalled, or looked up once for all who ask; while the store says nothing, older proof may do.
5. The rules turn the evidence into a decision.

Whatever happens on the way, "the store said no" is a decision and "the store said nothing" is `unknown`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from service.errors import NoAnswer, SourceUnavailable
from service.ownership import (
    AppJwt,
    AssertedUser,
    CacheTier,
    Caveat,
    DownloadKey,
    Evidence,
    Fingerprint,
    Identity,
    Malformed,
    Method,
    Observation,
    Player,
    Reason,
    Refusal,
    Subject,
    VerifiedEmail,
)
from service.verification import policy
from service.verification.grounds import Grounds
from service.verification.hearing import Hearing, Story
from service.verification.interfaces import (
    Clock,
    Fingerprints,
    Invalidations,
    LookUpLease,
    ObservationCache,
    OwnershipSource,
    Remembered,
    StoreBudget,
)
from service.verification.lookup import Found, Inquiries, Inquiry, Limits
from service.verification.policy import GameRules
from service.verification.question import Question, Verdict
from service.verification.singleflight import SingleFlight

_RETRY_SOON: Final = timedelta(seconds=1)
_INSTANT: Final = timedelta(microseconds=1)
_SELLER: Final = Fingerprint(b"the seller's own account")


class _Claimant(Struct, frozen=True):
    """The player who asks, and what says so: a JWT's `identity` with its `found`, or the caller."""

    player: Player
    method: Method
    identity: Identity | None = None
    found: Found | None = None


class Verification:
    """Answers questions. `sandbox` marks every answer as not coming from the real store.

    So does `sandbox_seen`, once it returns true: somebody may have pointed the gateway at a sandbox elsewhere.
    """

    def __init__(
        self,
        *,
        source: OwnershipSource,
        observations: ObservationCache,
        budget: StoreBudget,
        fingerprints: Fingerprints,
        flights: SingleFlight[Observation],
        clock: Clock,
        lease: LookUpLease,
        invalidations: Invalidations,
        sandbox: bool,
        sandbox_seen: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source = source
        self._observations = observations
        self._fingerprints = fingerprints
        self._invalidations = invalidations
        self._inquiries = Inquiries(
            observations=observations,
            budget=budget,
            flights=flights,
            clock=clock,
            lease=lease,
            invalidations=invalidations,
        )
        self._clock = clock
        self._sandbox = sandbox
        self._sandbox_seen = sandbox_seen

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict; raises nothing for anything that the store, Redis or the player does."""
        return await self.hear(question).conclude()

    def hear(self, question: Question) -> Hearing:
        """Return a hearing that ends in the same verdict; what this process remembers may be enough for it."""
        return Hearing(
            self._story(question),
            self._limits(question),
            inquiries=self._inquiries,
            ended=partial(self._verdict_on, question),
        )

    def would_repeat(self, grounds: Grounds, *, now: datetime) -> bool:
        """Whether `verify` would give the verdict with these grounds again, to the same question without a `max_age`.

        That is so as long as the same observations are still in memory and none is due to be looked up again.
        """
        if now >= grounds.until or grounds.sandbox is not self._sandbox_seen():
            return False
        if grounds.seller_account != self._source.known_seller_account():
            return False
        for ground in grounds.grounds:
            floor = self._invalidations.invalidated_before(ground.name, *ground.also)
            if floor is not None and ground.imprint.observed_at < floor:
                return False
            if not self._observations.still_has(ground.name, ground.imprint, now=now):
                return False
        return True

    def repeated(self, grounds: Grounds) -> None:
        """Take note that the verdict with these grounds was given again."""
        for _ in grounds.grounds:
            self._observations.used_again()

    def invalidate(self, rules: GameRules, subject: Subject | None) -> datetime:
        """Forget what is known about a subject and a game, or about a whole game; return from when on it is so.

        What is being looked up at this moment does not count either.
        """
        before = self._clock.now() + _INSTANT
        if subject is None:
            name = self._fingerprints.of_game(rules.game_id)
        else:
            name = self._fingerprints.of_question(rules.game_id, subject, rules.accept)
        self._invalidations.invalidate(name, before=before)
        return before

    async def known_good(self, rules: GameRules, credential: DownloadKey | AppJwt) -> bool:
        """Whether the store found the credential good, and that may still be of use; asks nobody."""
        if isinstance(credential, AppJwt):
            inquiry = self._about_identity(rules, credential)
        else:
            inquiry = self._about_ownership(rules, credential)
        match await self._inquiries.recall(inquiry):
            case Remembered(observation=Identity() | Evidence(proofs=[_, *_]) as good):
                return self._clock.now() < inquiry.lifetime(good).usable_until
            case _:
                return False

    async def close(self) -> None:
        """Give up what is still being looked up."""
        await self._inquiries.close()

    def _verdict_on(self, question: Question, end: Verdict | NoAnswer) -> Verdict:
        if isinstance(end, Verdict):
            return self._marked(end)
        decision = policy.decide_without_evidence(question.rules, question.credential.method, end.reason)
        return self._marked(Verdict(decision, CacheTier.NONE, retry_after=end.retry_after))

    def _story(self, question: Question) -> Story:
        rules = question.rules
        match question.credential:
            case Malformed(method, reason):  # step 1
                return Verdict(policy.decide_without_evidence(rules, method, reason), CacheTier.NONE)
            case AppJwt() as jwt:
                return (yield from self._verify_jwt(rules, jwt))
            case AssertedUser(player_id):
                return (yield from self._verify_player(rules, _Claimant(Player(player_id), Method.USER)))
            case DownloadKey() | VerifiedEmail() as subject:
                found = yield self._about_ownership(rules, subject)  # step 4
                evidence = _evidence_in(found)
                decision = policy.decide(rules, subject.method, evidence, freshness=found.freshness)  # step 5
                return Verdict(decision, found.tier, grounds=self._grounds(found))
            case _:
                assert_never(question.credential)

    def _verify_jwt(self, rules: GameRules, jwt: AppJwt) -> Story:
        found = yield self._about_identity(rules, jwt)  # step 2
        match found.observation:
            case Identity() as identity:
                if identity.only_game not in (None, rules.game_id):
                    decision = policy.decide_without_evidence(
                        rules, Method.JWT, Reason.REFUSED_JWT, freshness=found.freshness, sandbox=identity.sandbox
                    )
                    return Verdict(decision, found.tier, grounds=self._grounds(found))
                claimant = _Claimant(identity.player, Method.JWT, identity, found)
                verdict = yield from self._verify_player(rules, claimant)
                if identity.expires_at is not None and identity.expires_at <= self._clock.now():
                    # It may have run out while ownership was looked up; then it speaks for nobody, not even a seller.
                    decision = policy.decide_without_evidence(
                        rules, Method.JWT, Reason.EXPIRED_JWT, sandbox=identity.sandbox
                    )
                    return Verdict(decision, CacheTier.NONE)
                return verdict
            case Refusal(reason=reason, sandbox=sandbox):
                decision = policy.decide_without_evidence(
                    rules, Method.JWT, reason, freshness=found.freshness, sandbox=sandbox
                )
                return Verdict(decision, found.tier, grounds=self._grounds(found))
            case Evidence():
                raise AssertionError("whose a JWT is was answered with evidence of ownership")
            case _:
                assert_never(found.observation)

    def _verify_player(self, rules: GameRules, claimant: _Claimant) -> Story:
        if (verdict := self._operator_override(rules, claimant)) is not None:  # step 3
            return verdict
        found = yield self._about_ownership(rules, AssertedUser(claimant.player.id))  # step 4
        evidence = _evidence_in(found)
        if policy.counting_proof(evidence, rules) is None:
            # Sellers hold no key of their own game: a no is only a no once this is known not to be the seller. That
            # may also have become known while the store was asked.
            if self._source.known_seller_account() is None:
                yield self._about_seller(rules)
            if self._source.known_seller_account() is None:
                # The seller's key was replaced just now: this may be the player whose key it is.
                raise SourceUnavailable("the seller's key has changed", retry_after=_RETRY_SOON)
            if (verdict := self._operator_override(rules, claimant)) is not None:
                return verdict
        return self._conclude(rules, claimant, evidence, found)  # step 5

    def _operator_override(self, rules: GameRules, claimant: _Claimant) -> Verdict | None:
        identity, found = claimant.identity, claimant.found
        word = policy.operator_override(
            rules,
            claimant.player.id,
            seller_account=self._source.known_seller_account(),
            press=identity is not None and identity.press,
        )
        if word is None:
            return None
        decision = policy.decide_without_evidence(
            rules,
            claimant.method,
            word,
            player=claimant.player,
            freshness=found.freshness if found else None,
            sandbox=identity is not None and identity.sandbox,
        )
        if found is None:
            return Verdict(decision, CacheTier.NONE)
        return Verdict(decision, found.tier, grounds=self._grounds(found))

    def _conclude(self, rules: GameRules, claimant: _Claimant, evidence: Evidence, found: Found) -> Verdict:
        freshness, tier, grounds = found.freshness, found.tier, self._grounds(found)
        if claimant.found is not None:
            freshness = freshness.bounded_by(claimant.found.freshness)
            tier = _slower(tier, claimant.found.tier)
            grounds = self._grounds(claimant.found, found)
        decision = policy.decide(rules, claimant.method, evidence, freshness=freshness, player=claimant.player)
        return Verdict(decision, tier, grounds=grounds)

    def _grounds(self, *found: Found) -> Grounds | None:
        grounds = []
        for one in found:
            if one.ground is None:
                return None
            grounds.append(one.ground)
        seller_account = self._source.known_seller_account()
        if seller_account is None:
            return None
        until = min(ground.until for ground in grounds)
        return Grounds(tuple(grounds), until, seller_account, sandbox=self._sandbox_seen())

    def _about_ownership(self, rules: GameRules, subject: Subject) -> Inquiry:
        name = self._fingerprints.of_question(rules.game_id, subject, rules.accept)
        jitter = policy.jitter_of(name)
        return Inquiry(
            name=name,
            look_up=lambda priority: self._source.look_up(
                rules.game_id, subject, accept=rules.accept, priority=priority
            ),
            lifetime=lambda observation: policy.lifetime_of(observation, rules, jitter=jitter),
            also=(self._fingerprints.of_game(rules.game_id),),
        )

    def _about_identity(self, rules: GameRules, jwt: AppJwt) -> Inquiry:
        return Inquiry(
            name=self._fingerprints.of_jwt(jwt),
            look_up=lambda priority: self._source.identify(jwt, priority=priority),
            lifetime=lambda observation: policy.lifetime_of(observation, rules, jitter=0),
        )

    def _about_seller(self, rules: GameRules) -> Inquiry:
        return Inquiry(
            name=_SELLER,
            look_up=lambda _: self._source.identify_seller(),
            lifetime=lambda observation: policy.lifetime_of(observation, rules, jitter=0),
            shared=False,
        )

    def _limits(self, question: Question) -> Limits:
        oldest = None if question.max_age is None else (question.asked_at or self._clock.now()) - question.max_age
        give_up_at = self._clock.monotonic() + question.deadline.total_seconds()
        return Limits(oldest, give_up_at, question.only_if_cached)

    def _marked(self, verdict: Verdict) -> Verdict:
        caveats = verdict.decision.caveats
        if Caveat.SANDBOX in caveats or not (self._sandbox or self._sandbox_seen()):
            return verdict
        marked = replace(verdict.decision, caveats=(Caveat.SANDBOX, *caveats))
        return replace(verdict, decision=marked)


def _evidence_in(found: Found) -> Evidence:
    if not isinstance(found.observation, Evidence):
        raise AssertionError("a question about ownership was answered with an identity")
    return found.observation


def _slower(one: CacheTier, other: CacheTier) -> CacheTier:
    """An answer from two observations came from where the slower of them came from."""
    order = (CacheTier.MEMORY, CacheTier.REDIS, CacheTier.NONE)
    return max(one, other, key=order.index)
