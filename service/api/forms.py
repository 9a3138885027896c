"""Answers from caches, most of which is known before somebody gets them: counted, logged and written by filling in."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from service.api.answers import AnswerWriter
from service.api.identifiers import make_ulid
from service.api.prepared import Form, Prepared, PreparedAnswers
from service.api.verify import Asking, Case
from service.observability.logs import Logging
from service.observability.metrics import Metrics
from service.observability.verified_lines import Given, line_form
from service.ownership import CacheTier, Malformed
from service.verification.interfaces import Clock, Fingerprints
from service.verification.question import Verdict

# Looking up a member of an enum takes Python 3.11 longer than comparing it.
_NOT_AT_HAND: Final = CacheTier.NONE


class Forms:
    """Makes forms, keeps those that may be given again among the prepared answers, and gives them."""

    def __init__(
        self,
        *,
        answers: PreparedAnswers,
        fingerprints: Fingerprints,
        writer: AnswerWriter,
        metrics: Metrics,
        log: Logging,
        clock: Clock,
    ) -> None:
        self._answers = answers
        self._fingerprints = fingerprints
        self._writer = writer
        self._metrics = metrics
        self._log = log
        self._clock = clock

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

    def give(self, form: Form, asking: Asking, *, started: float, now: datetime) -> Callable[[bytes], bytes]:
        """Count and log an answer, and return what makes the response of it, given header fields.

        `started` is when it was begun, in seconds of the clock's own.
        """
        seconds = self._clock.monotonic() - started
        form.count(seconds)
        given = Given(now, make_ulid(now), asking.request_id, asking.trace_id, asking.caller.name, seconds)
        self._log.verified_by_form(form.line, given)
        return partial(self._writer.fill_in, form.answer, given)
