"""Log lines: one per event, in one place, in one form, whoever writes them.

Everything goes one way: our own events and those of the libraries are merged with the request's context, stripped of
what looks like a secret, rendered, and handed to a thread that writes them. Nothing that logs ever waits.
"""

import atexit
import logging
from datetime import datetime
from functools import lru_cache, partial
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace
from structlog.contextvars import merge_contextvars
from structlog.processors import add_log_level
from structlog.typing import FilteringBoundLogger

from service.interfaces import Clock
from service.observability.line_writer import ByteStream, LineWriter
from service.observability.redaction import redact
from service.observability.rendering import ConsoleLine, LineMaker, json_line, timestamp
from service.ownership import CacheTier, Decision, Method, Outcome, Reason

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_TALKATIVE: Final = ("aiohttp", "httpcore", "httpx", "redis", "uvicorn.access")
"""They log URLs and commands; below a warning they stay silent even at `debug`."""

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
    """What the lines of all answers of one kind have in common; `middle` is that of it which stands in their middle."""

    line: VerifiedLine
    middle: bytes


class VerifiedAgain(msgspec.Struct, frozen=True, gc=False):
    """The line of an answer from a cache: what is the same about it whoever gets it, and when."""

    alike: VerifiedAlike
    observed_at: datetime
    subject: str


class Logging:
    """The log of this process, made by `configure_logging`."""

    def __init__(
        self, *, level: int, structured: bool, make_line: LineMaker, writer: LineWriter, clock: Clock, sandbox: bool
    ) -> None:
        self._says_verified = level <= logging.INFO
        self._structured = structured
        self._make_line = make_line
        self._writer = writer
        self._clock = clock
        self._verified = b'","level":"info","event":"verified",' + (b'"sandbox":true,' if sandbox else b"")

    @property
    def logger(self) -> FilteringBoundLogger:
        """A logger for our own events: `logger.info("source_paused", seconds=7)`."""
        logger: FilteringBoundLogger = structlog.get_logger()
        return logger

    @property
    def lines_dropped(self) -> int:
        """How many lines were lost because nobody read them, or they could not be written."""
        return self._writer.dropped

    def verified(self, line: VerifiedLine) -> None:
        """Log the answer to one question.

        This is the only line on the hot path, so it goes round the chain that every other line takes, and is made in
        the thread that writes it. Only the request id can come from outside.
        """
        if self._says_verified:
            self._writer.write(partial(self._line_of, line, self._clock.now()))

    def prepare(self, game: str, decision: Decision, cache: CacheTier, *, subject: str) -> VerifiedAgain:
        """Return what of the line is the same whenever the same answer is given, from the same evidence."""
        if decision.observed_at is None:
            raise AssertionError("what came from a cache was observed at some time")
        # There are as many of them as answers in memory: what is alike, they share.
        alike = _alike(game, decision.method, decision.reason, cache)
        return VerifiedAgain(alike, decision.observed_at, subject)

    def verified_again(
        self,
        again: VerifiedAgain,
        *,
        now: datetime,
        decision_id: str,
        request_id: str,
        trace_id: str | None,
        caller: str,
        seconds: float,
    ) -> None:
        """Log an answer from a cache as `verified` does."""
        if self._says_verified:
            self._writer.write(
                partial(
                    self._line_again,
                    again,
                    now=now,
                    decision_id=decision_id,
                    request_id=request_id,
                    trace_id=trace_id,
                    caller=caller,
                    seconds=seconds,
                )
            )

    def close(self) -> None:
        """Write what is waiting. To be called last.

        Lines that come later are lost, not printed: without us the libraries would show messages and local variables.
        """
        logging.captureWarnings(capture=False)
        atexit.unregister(self.close)
        self._writer.close()

    def _line_of(self, line: VerifiedLine, now: datetime) -> bytes:
        if self._structured and redact(line.request_id) == line.request_id:
            try:
                fields = _ENCODER.encode(line)
            except UnicodeEncodeError:
                pass  # a name from the environment that is not UTF-8: the chain knows how to write it
            else:
                return b"".join((b'{"timestamp":"', timestamp(now), self._verified, fields[1:], b"\n"))
        event = {"event": "verified", **msgspec.structs.asdict(line)}
        present = {name: value for name, value in event.items() if value is not None}
        return self._make_line.line("info", present, now=now)

    def _line_again(
        self,
        again: VerifiedAgain,
        *,
        now: datetime,
        decision_id: str,
        request_id: str,
        trace_id: str | None,
        caller: str,
        seconds: float,
    ) -> bytes:
        age_seconds = (now - again.observed_at).total_seconds()
        if self._structured and trace_id is None and caller.isascii() and redact(request_id) == request_id:
            return (
                b'{"timestamp":"%b%b"decision_id":"%b","request_id":"%b",%b,"duration_ms":%.3f,"caller":%b,'
                b'"age_seconds":%.3f,"subject":"%b"}\n'
                % (
                    timestamp(now),
                    self._verified,
                    decision_id.encode(),
                    request_id.encode(),
                    again.alike.middle,
                    seconds * 1000,
                    _ENCODER.encode(caller),
                    age_seconds,
                    again.subject.encode(),
                )
            )
        line = replace(
            again.alike.line,
            decision_id=decision_id,
            request_id=request_id,
            trace_id=trace_id,
            caller=caller,
            age_seconds=round(age_seconds, 3),
            duration_ms=round(seconds * 1000, 3),
            subject=again.subject,
        )
        return self._line_of(line, now)


class _ForeignHandler(logging.Handler):
    """Takes what libraries log to the same place as our own lines."""

    def __init__(self, *, make_line: LineMaker, writer: LineWriter) -> None:
        super().__init__()
        self._make_line = make_line
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        event = {"level": level, "event": _headline(record), "logger": record.name, "exc_info": record.exc_info}
        self._writer.write(self._make_line(None, level, merge_contextvars(None, level, event)))


class _Sink:
    """What structlog hands its finished lines to."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.write


def configure_logging(level: str, log_format: str, *, sandbox: bool, stream: ByteStream, clock: Clock) -> Logging:
    """Send every line of this process to `stream`, from structlog and from the standard library alike.

    A standard stream must come through `unbuffered`. `level` is one of `LEVELS`, `log_format` is `json` or `console`.
    Servers must be told to leave logging alone (uvicorn: `log_config=None`). The last call counts.
    """
    threshold = LEVELS[level]
    structured = {"json": True, "console": False}[log_format]
    encode = json_line if structured else ConsoleLine(colors=stream.isatty())
    make_line = LineMaker(encode=encode, clock=clock, sandbox=sandbox)
    writer = LineWriter(
        stream, notice=lambda count: make_line(None, "warning", {"event": "log_lines_dropped", "count": count})
    )
    _configure_structlog(threshold, make_line=make_line, writer=writer)
    _configure_standard_library(threshold, _ForeignHandler(make_line=make_line, writer=writer))
    log = Logging(
        level=threshold, structured=structured, make_line=make_line, writer=writer, clock=clock, sandbox=sandbox
    )
    atexit.register(log.close)
    return log


@lru_cache(maxsize=_KINDS)
def _alike(game: str, method: Method, reason: Reason, cache: CacheTier) -> VerifiedAlike:
    line = VerifiedLine("", "", game, method, reason.outcome, reason, cache, 0)
    same = {"game": game, "method": method, "outcome": reason.outcome, "reason": reason, "cache": cache}
    return VerifiedAlike(line, _ENCODER.encode(same)[1:-1])


def _configure_structlog(threshold: int, *, make_line: LineMaker, writer: LineWriter) -> None:
    sink = _Sink(writer)
    structlog.configure(
        processors=[merge_contextvars, add_log_level, make_line],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: sink,
        # What goes through here is rare; a cached logger would go on writing to a log that was replaced.
        cache_logger_on_first_use=False,
    )


def _configure_standard_library(threshold: int, handler: logging.Handler) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(max(threshold, logging.WARNING))
        logger.propagate = True  # a server that ran before in this process may have cut it off
    logging.captureWarnings(capture=True)


def _headline(record: logging.LogRecord) -> str:
    """The first line of what a library says; asyncio's further lines show whole objects with their messages."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - the arguments are not ours; logging itself would print them to stderr
        message = f"a record of {record.pathname}:{record.lineno} that cannot be formatted"
    return message.strip().partition("\n")[0]
