"""The line of an answered question.

It is the only one on the hot path, so it goes round the chain that every other line takes, and is made in the thread
that writes it.
"""

from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from service.observability.redaction import redact
from service.observability.rendering import LineMaker, timestamp
from service.ownership import CacheTier, Decision, Method, Outcome, Reason

_ENCODER: Final = msgspec.json.Encoder()

_KINDS: Final = 1_024
"""Of so many kinds of answers, of all games together, what they have in common is kept."""


class VerifiedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one line of a question. Every field is a value of ours, so that it needs no redaction.

    `subject` is the credential's fingerprint, `age_seconds` how old the evidence was.
    """

    decision_id: str
    request_id: str
    game: str
    method: Method
    outcome: Outcome
    reason: Reason
    cache: CacheTier
    duration_ms: float
    caller: str | None = None
    trace_id: str | None = None
    age_seconds: float | None = None
    subject: str | None = None


class VerifiedAlike(msgspec.Struct, frozen=True):
    """The common part of the lines of all answers of one kind; `middle` is the text in their middle."""

    line: VerifiedLine
    middle: bytes


class LineForm(msgspec.Struct, frozen=True, gc=False):
    """The line of an answer from a cache, without the fields about its caller and its time."""

    alike: VerifiedAlike
    observed_at: datetime
    subject: str


class Given(msgspec.Struct, frozen=True, gc=False):
    """The time and the caller of an answer; `seconds` is how long it took."""

    at: datetime
    decision_id: str
    request_id: str
    trace_id: str | None
    caller: str
    seconds: float


class VerifiedLines:
    """Makes the lines of answers, in any thread: as JSON if `structured`, else by `make_line`, for a person.

    Only the request id can come from outside.
    """

    def __init__(self, *, structured: bool, make_line: LineMaker, sandbox: bool) -> None:
        self._structured = structured
        self._make_line = make_line
        self._beginning = b'","level":"info","event":"verified",' + (b'"sandbox":true,' if sandbox else b"")

    def make(self, line: VerifiedLine, at: datetime) -> bytes:
        """Return the line, newline included, of an answer that was given then."""
        if self._structured and redact(line.request_id) == line.request_id:
            try:
                fields = _ENCODER.encode(line)
            except UnicodeEncodeError:
                pass  # a name from the environment that is not UTF-8: the chain knows how to write it
            else:
                return b"".join((b'{"timestamp":"', timestamp(at), self._beginning, fields[1:], b"\n"))
        event = {"event": "verified", **msgspec.structs.asdict(line)}
        present = {name: value for name, value in event.items() if value is not None}
        return self._make_line.line("info", present, now=at)

    def fill_in(self, form: LineForm, given: Given) -> bytes:
        """Return the line of an answer from a cache, as `make` would."""
        age_seconds = (given.at - form.observed_at).total_seconds()
        plain = given.trace_id is None and given.caller.isascii() and redact(given.request_id) == given.request_id
        if self._structured and plain:
            return (
                b'{"timestamp":"%b%b"decision_id":"%b","request_id":"%b",%b,"duration_ms":%.3f,"caller":%b,'
                b'"age_seconds":%.3f,"subject":"%b"}\n'
                % (
                    timestamp(given.at),
                    self._beginning,
                    given.decision_id.encode(),
                    given.request_id.encode(),
                    form.alike.middle,
                    given.seconds * 1000,
                    _ENCODER.encode(given.caller),
                    age_seconds,
                    form.subject.encode(),
                )
            )
        line = replace(
            form.alike.line,
            decision_id=given.decision_id,
            request_id=given.request_id,
            trace_id=given.trace_id,
            caller=given.caller,
            age_seconds=round(age_seconds, 3),
            duration_ms=round(given.seconds * 1000, 3),
            subject=form.subject,
        )
        return self.make(line, given.at)


def line_form(game: str, decision: Decision, cache: CacheTier, *, subject: str) -> LineForm:
    """Return the part of the line that is the same whenever the same answer is given, from the same evidence."""
    if decision.observed_at is None:
        raise AssertionError("what came from a cache was observed at some time")
    # There are as many of them as answers in memory: what is alike, they share.
    return LineForm(_alike(game, decision.method, decision.reason, cache), decision.observed_at, subject)


@lru_cache(maxsize=_KINDS)
def _alike(game: str, method: Method, reason: Reason, cache: CacheTier) -> VerifiedAlike:
    line = VerifiedLine("", "", game, method, reason.outcome, reason, cache, 0)
    same = {"game": game, "method": method, "outcome": reason.outcome, "reason": reason, "cache": cache}
    return VerifiedAlike(line, _ENCODER.encode(same)[1:-1])
