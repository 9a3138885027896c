"""What can be answered at once: the same question, of whoever may ask it, while its answer from memory still stands.

1. The body is one whose answer was prepared, the head that of a plain question by a known caller; both together are
   the whole request.
2. The caller may ask about that game.
3. `Verification` would give the same verdict again, without waiting and without anything else to do.
4. The caller's rate allows it.
5. The answer is counted, logged and written as any other.

Whatever else it is goes the usual way, and nothing has happened to it here.
"""

from service.api.answers import AnswerWriter
from service.api.identifiers import make_ulid
from service.api.known_heads import KnownHeads
from service.api.prepared import Prepared, PreparedAnswers
from service.api.verify import Judgement
from service.errors import TooManyQuestions
from service.interfaces import Clock
from service.observability.logs import Logging
from service.observability.metrics import Metrics
from service.verification import Verification


class PromptDesk:
    """Turns whole requests into whole responses, without waiting for anything. `prepare` decides for which."""

    def __init__(
        self,
        *,
        verification: Verification,
        heads: KnownHeads,
        answers: PreparedAnswers,
        writer: AnswerWriter,
        metrics: Metrics,
        log: Logging,
        clock: Clock,
    ) -> None:
        self._verification = verification
        self._heads = heads
        self._answers = answers
        self._writer = writer
        self._metrics = metrics
        self._log = log
        self._clock = clock

    def answer(self, request: bytes, fields: bytes) -> bytes | None:
        """Return the response, `fields` among its headers, or None: then the request is to be answered as usual."""
        started = self._clock.monotonic()
        end = request.find(b"\r\n\r\n") + 4
        body = request[end:]
        prepared = self._answers.find(body)  # step 1
        if prepared is None:
            return None
        head = self._heads.read(request[:end])
        if head is None or head.length != len(body) or head.path != prepared.path:
            return None
        caller, now = head.caller, self._clock.now()
        if caller.games is not None and prepared.game_id not in caller.games:  # step 2
            return None
        if not self._verification.would_repeat(prepared.grounds, now=now):  # step 3
            return None
        if caller.limits is not None:
            try:
                caller.limits.ask()  # step 4
            except TooManyQuestions:
                return None  # it is asked again, and then says so
        decision_id = make_ulid(now)  # step 5
        request_id = head.request_id or make_ulid(now)
        seconds = self._clock.monotonic() - started
        prepared.count(seconds)
        self._verification.repeated(prepared.grounds)
        self._log.verified_again(
            prepared.line,
            now=now,
            decision_id=decision_id,
            request_id=request_id,
            trace_id=head.trace_id,
            caller=caller.name,
            seconds=seconds,
        )
        return self._writer.again(prepared.answer, fields, now=now, decision_id=decision_id, request_id=request_id)

    def prepare(self, path: str, body: bytes, judgement: Judgement) -> None:
        """Keep what was answered to this body, if the same may be answered to the next."""
        verdict, question = judgement.verdict, judgement.question
        # What a caller accepts depends on when it asks.
        if verdict.grounds is None or question.max_age is not None:
            return
        rules, decision, answer = question.rules, verdict.decision, self._writer.prepare(verdict)
        self._answers.keep(
            body,
            Prepared(
                path=path,
                game_id=rules.game_id,
                grounds=verdict.grounds,
                answer=answer,
                line=self._log.prepare(judgement.line, answer.observed_at),
                count=self._metrics.decision_counter(rules.label, decision.method, decision.reason, verdict.cache),
            ),
        )
