"""The line of an answered question.

It is the only one on the hot path, so it goes round the chain that every other line takes, and is made in the thread
that writes it.
"""

from datetime import datetime
from typing import Final

import msgspec

from service.key_use import KeyUse
from service.observability.redaction import redact
from service.observability.rendering import LineMaker, timestamp
from service.ownership import CacheTier, Method, Outcome, Reason

_ENCODER: Final = msgspec.json.Encoder()


class VerifiedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one line of a question. Every field is a value of ours, so that it needs no redaction.

    `subject` is the credential's fingerprint, `account` that of the itch.io account, which is the same for all methods;
    `age_seconds` is how old the evidence was. `pass_until` is the end of the pass that the answer brought,
    `key_players` the result of counting who has shown the download key, `policy` that of the proxy that asked.
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
    account: str | None = None
    pass_until: datetime | None = None
    key_players: KeyUse | None = None
    policy: str | None = None


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
