"""The steps of one question: does this player own this game?

1. A credential that is no good by its very shape is rejected without a look-up.
2. A token is turned into the player it belongs to; the store alone can say who that is, or refuse it.
3. The operator's word about the player, key or address comes before the store and costs it nothing.
4. Evidence is recalled, or looked up once for all who ask; while the store gives no answer, older proof may do.
5. The rules turn the evidence into a decision.

"The store said no" is a decision. If the store said nothing usable, the outcome is `unknown`, which is never a no.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from service.errors import NoAnswer, SourceProtocolError
from service.ownership import (
    AssertedUser,
    CacheTier,
    Identity,
    Malformed,
    Player,
    PlayerId,
    PlayerToken,
    Reason,
    Refusal,
    Subject,
)
from service.verification import policy
from service.verification.interfaces import Clock, Overrides, OwnershipSource
from service.verification.lookup import Limits, LookUpResult, LookUps
from service.verification.policy import GameRules
from service.verification.question import Question, Verdict


class _Claimant(Struct, frozen=True):
    """The player who asks, as far as known, and the `subject` that the store can be asked about.

    For a token, `identity` is the store's word on whose it is, and `identified` the result of that look-up.
    """

    subject: Subject
    player: Player | None = None
    identity: Identity | None = None
    identified: LookUpResult | None = None


class Verification:
    """Answers questions. While `sandbox` returns true, every answer says that it is not the real store's.

    By `clock` observations are dated, by `local_clock` tokens expire.
    """

    def __init__(
        self,
        *,
        look_ups: LookUps,
        source: OwnershipSource,
        overrides: Overrides,
        clock: Clock,
        local_clock: Clock,
        sandbox: Callable[[], bool],
    ) -> None:
        self._look_ups = look_ups
        self._source = source
        self._overrides = overrides
        self._clock = clock
        self._local_clock = local_clock
        self._sandbox = sandbox

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict; raises nothing for anything that the store, Redis or the player does.

        Raises `TooManyQuestions` if the store would have to be asked and the caller has spent its tries. The coroutine
        needs no task until it first waits, and does not wait for what memory holds.
        """
        rules, credential = question.rules, question.credential
        try:
            # 1. A credential that is no good by its very shape is rejected without a look-up.
            if isinstance(credential, Malformed):
                return self._conclude(question, credential.reason)

            # 2. A token is turned into the player it belongs to; the store alone can say who that is, or refuse it.
            limits = self._limits(question)
            claimant = await self._identify(question, credential, limits)
            if isinstance(claimant, Verdict):
                return claimant

            # 3. The operator's word about the player, key or address comes before the store and costs it nothing.
            seller = self._source.known_seller_account()
            if (verdict := self._without_evidence(question, claimant, seller)) is not None:
                return verdict

            # 4. Evidence is recalled, or looked up once for all who ask.
            result = await self._look_ups.ownership(rules, claimant.subject, limits)
            evidence = result.evidence
            if claimant.player is not None and policy.counting_proof(evidence, rules) is None:
                # Sellers hold no key of their own game: a no is only a no once this is known not to be the seller.
                seller = await self._look_ups.seller(rules, limits)
            if (verdict := self._without_evidence(question, claimant, seller)) is not None:
                return verdict  # the token has expired meanwhile, or this is the seller, or an operator has spoken

            if not evidence.proofs and claimant.identity is not None and claimant.identity.owns:
                raise SourceProtocolError("the store says yes to the player, and no to the seller")

            # 5. The rules turn the evidence into a decision.
            said_of_owner = None
            if self._overrides.known and evidence.owner is not None:
                said_of_owner = self._overrides.about(rules.game_id, AssertedUser(evidence.owner.id))
            basis = result if claimant.identified is None else result.bounded_by(claimant.identified)
            decision = policy.decide(
                rules,
                credential.method,
                evidence,
                player=claimant.player,
                freshness=basis.freshness,
                held=basis.held,
                said_of_owner=said_of_owner,
            )
            return Verdict(decision, basis.tier)
        except NoAnswer as no_answer:
            return self._conclude(question, no_answer.reason, retry_after=no_answer.retry_after)

    def invalidate(self, rules: GameRules, subject: Subject | None) -> datetime:
        """Forget what is known about a subject and a game, or a whole game; see `LookUps.invalidate`."""
        return self._look_ups.invalidate(rules, subject)

    def forget_failures(self) -> None:
        """Let the store be asked at once about what it gave no usable answer to."""
        self._look_ups.forget_failures()

    async def close(self) -> None:
        """Give up the look-ups under way; callers who still wait are cancelled."""
        await self._look_ups.close()

    def _limits(self, question: Question) -> Limits:
        oldest = None if question.max_age is None else (question.asked_at or self._clock.now()) - question.max_age
        give_up_at = self._clock.monotonic() + question.deadline.total_seconds()
        return Limits(oldest, give_up_at, question.only_if_cached, question.caller, question.tries)

    async def _identify(self, question: Question, shown: Subject | PlayerToken, limits: Limits) -> _Claimant | Verdict:
        """Return who asks, or the verdict on a token that is refused."""
        if isinstance(shown, AssertedUser):
            return _Claimant(shown, Player(shown.player_id))
        if not isinstance(shown, PlayerToken):
            return _Claimant(shown)
        identified = await self._look_ups.identity(question.rules, shown, limits)
        match identified.observation:
            case Identity(player=player, only_game=only_game) as identity if only_game in (
                None,
                question.rules.game_id,
            ):
                return _Claimant(AssertedUser(player.id), player, identity, identified)
            case Identity():
                return self._conclude(question, shown.refused, result=identified)
            case Refusal(reason=reason):
                return self._conclude(question, reason, result=identified)
            case _:
                raise AssertionError("whose a token is was answered with evidence of ownership")

    def _without_evidence(self, question: Question, claimant: _Claimant, seller: PlayerId | None) -> Verdict | None:
        """Return the verdict on a claimant that needs no evidence of ownership, if there is one."""
        rules, player, identity = question.rules, claimant.player, claimant.identity
        said = self._overrides.about(rules.game_id, claimant.subject) if self._overrides.known else None
        if player is None and said is None and not rules.ban_emails:
            return None
        if identity is not None and identity.expired(self._local_clock.now()):
            # An expired token stands for no player any more, not even for the seller.
            return self._conclude(question, Reason.EXPIRED_JWT, sandbox=identity.sandbox)
        press = identity is not None and identity.press
        override = policy.operator_override(rules, claimant.subject, said=said, seller_account=seller, press=press)
        if override is None:
            return None
        return self._conclude(
            question, override.reason, player=player, result=claimant.identified, until=override.until
        )

    def _conclude(
        self,
        question: Question,
        reason: Reason,
        *,
        player: Player | None = None,
        result: LookUpResult | None = None,
        until: datetime | None = None,
        sandbox: bool = False,
        retry_after: timedelta | None = None,
    ) -> Verdict:
        """Return a verdict without evidence of ownership; `result` is the identity that it rests on, if any."""
        decision = policy.decide_without_evidence(
            question.rules,
            question.credential.method,
            reason,
            player=player,
            freshness=None if result is None else result.freshness,
            until=until,
            sandbox=sandbox or (result is not None and result.observation.sandbox) or self._sandbox(),
        )
        return Verdict(decision, CacheTier.NONE if result is None else result.tier, retry_after)
