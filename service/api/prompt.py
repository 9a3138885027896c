"""What can be answered at once: the same question, of whoever may ask it, while its answer from memory still stands.

1. The body is one whose answer was prepared, the head that of a plain question by a known caller; both together are
   the whole request.
2. The caller may ask about that game.
3. `Verification` would give the same verdict again, without waiting and without anything else to do.
4. The caller's rate allows it.
5. The answer is counted, logged and written as any other.

Whatever else it is goes the usual way, and nothing has happened to it here.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from service.api.answers import AnswerWriter
from service.api.identifiers import make_ulid
from service.api.known_heads import KnownHeads
from service.api.paths import head_length
from service.api.prepared import Form, Prepared, PreparedAnswers
from service.api.verify import Asking, Case
from service.errors import TooManyQuestions
from service.interfaces import Clock, Fingerprints
from service.observability.logs import Logging
from service.observability.metrics import Metrics
from service.observability.verified_lines import Given, line_form
from service.ownership import CacheTier, Malformed
from service.verdict import Verdict
from service.verification import Verification

# Looking up a member of an enum takes Python 3.11 longer than comparing it.
_NOT_AT_HAND: Final = CacheTier.NONE


class PromptDesk:
    """Gives answers from caches: at once what is prepared (`answer`), or to a case that has its verdict (`give`)."""

    def __init__(
        self,
        *,
        verification: Verification,
        heads: KnownHeads,
        answers: PreparedAnswers,
        fingerprints: Fingerprints,
        writer: AnswerWriter,
        metrics: Metrics,
        log: Logging,
        clock: Clock,
    ) -> None:
        self._verification = verification
        self._heads = heads
        self._answers = answers
        self._fingerprints = fingerprints
        self._writer = writer
        self._metrics = metrics
        self._log = log
        self._clock = clock

    def answer(self, request: bytes, fields: bytes) -> bytes | None:
        """Return the response, `fields` among its headers, or None: then the request is to be answered as usual."""
        started = self._clock.monotonic()
        end = head_length(request)
        body = request[end:]
        prepared = self._answers.find(body)  # step 1
        if prepared is None:
            return None
        head = self._heads.read(request[:end])
        if head is None or head.length != len(body) or head.path != prepared.path:
            return None
        caller, now = head.caller, self._clock.now()
        if not caller.may_ask_about(prepared.game_id):  # step 2
            return None
        if not self._verification.would_repeat(prepared.grounds, now=now):  # step 3
            return None
        try:
            caller.ask()  # step 4
        except TooManyQuestions:
            return None  # it is asked again, and then says so
        self._verification.repeated(prepared.grounds)
        asking = Asking(caller, head.request_id or make_ulid(now), head.trace_id, now)
        return self._give(prepared, asking, started, now)(fields)  # step 5

    def prepare(self, path: str, body: bytes, case: Case, verdict: Verdict) -> Form | None:
        """Return the answer to a case if it rests on fresh evidence that was at hand; keep it if it may be given again.

        None for any other, which is put together when it is given.
        """
        question, credential = case.question, case.question.credential
        if verdict.cache is _NOT_AT_HAND or verdict.decision.stale or isinstance(credential, Malformed):
            return None
        rules, decision, grounds = question.rules, verdict.decision, verdict.grounds
        answer = self._writer.prepare(verdict)
        subject = self._fingerprints.of_credential(credential)
        line = line_form(rules.label, decision, verdict.cache, subject=subject)
        count = self._metrics.decision_counter(rules.label, decision.method, decision.reason, verdict.cache)
        # What a caller accepts depends on when it asks.
        if grounds is None or question.max_age is not None:
            return Form(answer=answer, line=line, count=count)
        prepared = Prepared(answer=answer, line=line, count=count, path=path, game_id=rules.game_id, grounds=grounds)
        self._answers.keep(body, prepared)
        return prepared

    def give(self, form: Form, case: Case) -> Callable[[bytes], bytes]:
        """Count and log an answer, and return what makes the response of it, given header fields."""
        return self._give(form, case.asking, case.started, self._clock.now())

    def _give(self, form: Form, asking: Asking, started: float, now: datetime) -> Callable[[bytes], bytes]:
        seconds = self._clock.monotonic() - started
        form.count(seconds)
        given = Given(now, make_ulid(now), asking.request_id, asking.trace_id, asking.caller.name, seconds)
        self._log.verified_by_form(form.line, given)
        return partial(self._writer.fill_in, form.answer, given)
