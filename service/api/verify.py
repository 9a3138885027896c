"""One question over HTTP: from a body to a reply, counted and logged on the way."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service.api.answers import AnswerWriter
from service.api.callers import Caller
from service.api.games import GameDirectory
from service.api.identifiers import make_ulid
from service.api.problems import Reply, cause_of, refusal_reply
from service.api.questions import AnyQuestion
from service.errors import QuestionRefused, TooManyQuestions
from service.interfaces import Clock, Fingerprints
from service.limits.caller_limits import CallerLimits
from service.observability.logs import Logging, VerifiedLine
from service.observability.metrics import Metrics
from service.ownership import AppJwt, CacheTier, DownloadKey, Malformed, Method, Reason
from service.rights import Right
from service.verdict import Question, Verdict
from service.verification import Verification

RIGHT_FOR = {
    Method.DOWNLOAD_KEY: (Right.VERIFY,),
    Method.JWT: (Right.VERIFY,),
    Method.EMAIL: (Right.VERIFY, Right.ASSERT_EMAIL),
    Method.USER: (Right.ASSERT_USER,),
}
"""Whoever names an address or a user on its own word needs the right to."""


def require_rights(method: Method, caller: Caller) -> None:
    """Raise `NotPermitted` unless the caller may ask by this method."""
    for right in RIGHT_FOR[method]:
        caller.require(right)


class Asking(Struct, frozen=True):
    """Who asks, in which request, and when it had come in."""

    caller: Caller
    request_id: str
    trace_id: str | None
    asked_at: datetime


class Judgement(Struct, frozen=True):
    """A question, the verdict on it, and what of that was logged and is answered."""

    question: Question
    verdict: Verdict
    line: VerifiedLine
    reply: Reply


class VerifyDesk:
    """Answers one question at a time, whether it came alone or in a batch."""

    def __init__(
        self,
        *,
        verification: Verification,
        games: GameDirectory,
        fingerprints: Fingerprints,
        writer: AnswerWriter,
        metrics: Metrics,
        log: Logging,
        clock: Clock,
        default_deadline: timedelta,
    ) -> None:
        self._verification = verification
        self._games = games
        self._fingerprints = fingerprints
        self._writer = writer
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._default_deadline = default_deadline

    async def answer(self, asked: AnyQuestion, asking: Asking, *, at: str = "") -> Reply:
        """Return the answer to a question whose caller has the right to ask it; `at` points to it in the body.

        Raises `QuestionRefused` when the caller is at fault.
        """
        return (await self.judge(asked, asking, at=at)).reply

    async def judge(self, asked: AnyQuestion, asking: Asking, *, at: str = "") -> Judgement:
        """Return the same answer, with all that it is made of."""
        started = self._clock.monotonic()
        question = self._question(asked, asking, at)
        verdict = await self._verify(question, asking.caller)
        now = self._clock.now()
        decision_id = make_ulid(now)
        line = self._record(
            question, verdict, asking, now=now, decision_id=decision_id, seconds=self._clock.monotonic() - started
        )
        reply = self._writer.reply(verdict, now=now, decision_id=decision_id, request_id=asking.request_id)
        return Judgement(question, verdict, line, reply)

    def refuse(self, refusal: QuestionRefused, *, request_id: str, caller: Caller | None) -> Reply:
        """Count and log a question that was turned away, and return what its caller is told."""
        cause = cause_of(refusal)
        self._metrics.refused(cause)
        name = None if caller is None else caller.name
        self._log.logger.info("refused", cause=cause, why=str(refusal), caller=name, request_id=request_id)
        return refusal_reply(refusal, request_id=request_id)

    def _question(self, asked: AnyQuestion, asking: Asking, at: str) -> Question:
        rules = self._games.find(asked.game)
        asking.caller.require_game(rules.game_id)
        return Question(
            rules=rules,
            credential=asked.credential(at),
            deadline=self._default_deadline if asked.deadline_ms is None else timedelta(milliseconds=asked.deadline_ms),
            max_age=None if asked.max_age is None else timedelta(seconds=asked.max_age),
            only_if_cached=asked.only_if_cached,
            asked_at=asking.asked_at,
        )

    async def _verify(self, question: Question, caller: Caller) -> Verdict:
        credential = question.credential
        if caller.limits is None or not isinstance(credential, DownloadKey | AppJwt):
            return await self._verification.verify(question)
        return await self._verify_limited(question, credential, caller.limits)

    async def _verify_limited(
        self, question: Question, credential: DownloadKey | AppJwt, limits: CallerLimits
    ) -> Verdict:
        """Let a caller try only so many credentials that turn out no good; those known to be good always pass.

        A try is spent before the answer is known, so that many at once cannot slip through, and given back after.
        Whoever hangs up before the answer has spent it too: the answer would be there for the next who asks.
        """
        wait = limits.try_key()
        if wait is not None:
            if await self._verification.vouched_for(question.rules, credential):
                return await self._verification.verify(question)
            verdict = await self._verification.verify(replace(question, only_if_cached=True))
            if verdict.decision.reason is Reason.NOT_CACHED and not question.only_if_cached:
                raise TooManyQuestions("failed_keys", retry_after=wait)
            return verdict
        verdict = await self._verification.verify(question)
        if not _may_have_failed(verdict) or await self._verification.vouched_for(question.rules, credential):
            limits.key_was_fine()
        return verdict

    def _record(
        self,
        question: Question,
        verdict: Verdict,
        asking: Asking,
        *,
        now: datetime,
        decision_id: str,
        seconds: float,
    ) -> VerifiedLine:
        """Count the verdict, and log it."""
        decision, credential, label = verdict.decision, question.credential, question.rules.label
        self._metrics.decision(
            label, decision.method, decision.reason, verdict.cache, seconds=seconds, stale=decision.stale
        )
        age = None if decision.observed_at is None else now - decision.observed_at
        line = VerifiedLine(
            decision_id=decision_id,
            request_id=asking.request_id,
            trace_id=asking.trace_id,
            caller=asking.caller.name,
            game=label,
            method=decision.method,
            outcome=decision.outcome,
            reason=decision.reason,
            cache=verdict.cache,
            age_seconds=None if age is None else round(age.total_seconds(), 3),
            duration_ms=round(seconds * 1000, 3),
            subject=None if isinstance(credential, Malformed) else self._fingerprints.of_credential(credential),
        )
        self._log.verified(line)
        return line


def _may_have_failed(verdict: Verdict) -> bool:
    """Whether the store was asked about a credential and did not say that it is any good.

    Whoever names a deadline that the store cannot meet gets its answer from the cache a moment later, so that one
    counts too: it would make guessing free.
    """
    if verdict.cache is not CacheTier.NONE:
        return False
    return verdict.decision.reason in _FAILURES


_FAILURES: Final = frozenset(
    {Reason.INVALID_DOWNLOAD_KEY, Reason.REFUSED_JWT, Reason.EXPIRED_JWT, Reason.DEADLINE_EXCEEDED}
)
