"""A pass that a player shows in place of another credential."""

from datetime import UTC, datetime

from service.ownership import (
    AssertedUser,
    CacheTier,
    Caveat,
    Decision,
    Evidence,
    Malformed,
    Method,
    Outcome,
    PassHolder,
    Player,
    Reason,
)
from service.passes.pass_claims import PassClaims
from service.passes.pass_reader import PassReader, RejectedPass
from service.passes.void_passes import VoidPasses
from service.verification import policy
from service.verification.interfaces import Clock, Fingerprints, ObservationCache
from service.verification.policy import GameRules, LookUp
from service.verification.question import Question, Verdict
from service.verification.verify import Verification


class ShownPasses:
    """Decides questions about passes.

    An account's pass says who asks, and brings its evidence along; then it is a question about that account as any. A
    key's or an address's pass says no more than that its decision may still be used.
    """

    def __init__(
        self,
        *,
        reader: PassReader,
        void: VoidPasses,
        verification: Verification,
        observations: ObservationCache,
        fingerprints: Fingerprints,
        clock: Clock,
        sandbox: bool,
    ) -> None:
        self._reader = reader
        self._void = void
        self._verification = verification
        self._observations = observations
        self._fingerprints = fingerprints
        self._clock = clock
        self._caveats = (Caveat.SANDBOX,) if sandbox else ()

    def open(self, text: str, rules: GameRules, *, player_ref: str | None) -> "ShownPass":
        """Return what there is in a pass that is shown for a game."""
        read = self._reader.read(text, game_id=rules.game_id, player_ref=player_ref, now=self._clock.now())
        if isinstance(read, RejectedPass):
            subject, account = (None, None) if read.claims is None else self._names(read.claims)
            return ShownPass(self, Malformed(Method.PASS, read.reason), None, subject=subject, account=account)
        subject, account = self._names(read)
        credential: PassHolder | Malformed
        player_id = read.player_id
        if player_id is not None and read.names_account:
            credential = PassHolder(player_id)
        else:  # the question goes on with it only if the pass is void
            credential = Malformed(Method.PASS, Reason.REFUSED_PASS)
        return ShownPass(self, credential, read, subject=subject, account=account)

    def _names(self, claims: PassClaims) -> tuple[str, str | None]:
        """Return the names for the log of whose pass it is, and of the account where it is one's."""
        if claims.player_id is None:
            return claims.log_name, None
        account = self._fingerprints.of_account(claims.player_id)
        return account, account

    async def verify(self, question: Question, claims: PassClaims | None) -> Verdict:
        """Return the verdict on a question whose credential is what the pass was found to be."""
        if claims is None:
            return await self._verification.verify(question)
        if claims.names_account:
            await self._recall(question.rules, claims)
            return await self._verification.verify(question)
        if self._counts(question.rules, claims):
            return self._decide(question, claims)
        return await self._verification.verify(question)

    async def _recall(self, rules: GameRules, claims: PassClaims) -> None:
        """Remember the evidence in an account's pass, unless something newer is known, or it is void."""
        player_id, proof = claims.player_id, claims.proof
        if player_id is None or proof is None or claims.outcome is not Outcome.OWNED:
            return
        subject = AssertedUser(player_id)
        name = self._fingerprints.of_question(rules.game_id, subject, rules.accept)
        known, observed_at = self._observations.peek(name), _instant(claims.decided_at)
        if known is not None and known.observation.observed_at >= observed_at:
            return
        evidence = Evidence(observed_at, (proof,), sandbox=bool(self._caveats))
        if policy.counting_proof(evidence, rules) is None or self._void.is_void(rules, claims):
            return
        # Also where something older is known here: only Redis may have the no that another replica has heard.
        known = await self._observations.get_shared(name)
        if known is None or known.observation.observed_at < evidence.observed_at:
            until = LookUp(name, rules, subject).keep_until(evidence)
            self._observations.put(name, evidence, game_id=rules.game_id, keep_until=until)

    def _counts(self, rules: GameRules, claims: PassClaims) -> bool:
        """Whether the decision in a pass may still be used under the rules of now."""
        if claims.proof is not None and claims.proof.kind not in rules.accept:
            return False
        if claims.reason is Reason.PRESS and not rules.grant_press:
            return False
        return not self._void.is_void(rules, claims)

    def _decide(self, question: Question, claims: PassClaims) -> Verdict:
        now, player_id = self._clock.now(), claims.player_id
        observed_at, fresh_until = _when(claims.observed_at), _when(claims.fresh_until)
        if claims.reason is not Reason.OPERATOR_GRANT and question.max_age is not None:
            oldest = (question.asked_at or now) - question.max_age
            if observed_at is None or observed_at < oldest:
                decision = policy.decide_without_evidence(
                    question.rules, Method.PASS, Reason.NOT_CACHED, sandbox=bool(self._caveats)
                )
                return Verdict(decision, CacheTier.NONE)
        decision = Decision(
            reason=claims.reason,
            game_id=question.rules.game_id,
            method=Method.PASS,
            player=None if player_id is None else Player(player_id),
            proof=claims.proof,
            observed_at=observed_at,
            fresh_until=fresh_until,
            usable_until=_when(claims.usable_until),
            stale=fresh_until is not None and fresh_until <= now,
            caveats=self._caveats,
        )
        return Verdict(decision, CacheTier.NONE)


class ShownPass:
    """A pass that was shown: the `credential` that it amounts to, and its claims, None if it is rejected.

    `subject` and `account` are the names for the log of whose it is; both are None if it was not signed here.
    """

    def __init__(
        self,
        passes: ShownPasses,
        credential: PassHolder | Malformed,
        claims: PassClaims | None,
        *,
        subject: str | None,
        account: str | None,
    ) -> None:
        self._passes = passes
        self.credential = credential
        self.claims = claims
        self.subject = subject
        self.account = account

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question with this credential."""
        return await self._passes.verify(question, self.claims)


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _when(seconds: object) -> datetime | None:
    return _instant(float(seconds)) if isinstance(seconds, int | float) else None
