"""Log lines: one per event, in one place, in one form, from our own code and from libraries.

Everything goes one way: our own events and those of the libraries are merged with the request's context, stripped of
what looks like a secret, rendered, and handed to a thread that writes them. Nothing that logs ever waits.
"""

import atexit
import logging
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from structlog.contextvars import merge_contextvars
from structlog.processors import add_log_level
from structlog.typing import FilteringBoundLogger

from service.observability.line_writer import ByteStream, LineWriter
from service.observability.rendering import ConsoleLine, LineMaker, json_line
from service.observability.verified_lines import VerifiedLine, VerifiedLines
from service.verification.interfaces import Clock

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_TALKATIVE: Final = ("aiohttp", "httpcore", "httpx", "redis")
"""The loggers of libraries that write URLs and commands: even at `debug` only their warnings are logged."""


class Logging:
    """The log of this process, made by `configure_logging`."""

    def __init__(self, *, level: str, verified: VerifiedLines, writer: LineWriter) -> None:
        self._verified = verified
        self._writer = writer
        self._says_verified = False
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Log events from this level on, one of `LEVELS`: our own and those of the libraries."""
        threshold = LEVELS[level]
        self._says_verified = threshold <= logging.INFO
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(threshold))
        logging.getLogger().setLevel(threshold)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(max(threshold, logging.WARNING))

    @property
    def logger(self) -> FilteringBoundLogger:
        """A logger for our own events: `logger.info("source_paused", seconds=7)`."""
        logger: FilteringBoundLogger = structlog.get_logger()
        return logger

    @property
    def lines_dropped(self) -> int:
        """The number of lines lost because the log was not read, or they could not be written."""
        return self._writer.dropped

    def verified(self, line: VerifiedLine, at: datetime) -> None:
        """Log the answer to one question, given at that instant."""
        if self._says_verified:
            self._writer.write(partial(self._verified.make, line, at))

    def close(self) -> None:
        """Write the waiting lines. To be called last.

        Lines that come later are lost, not printed: without us the libraries would show messages and local variables.
        """
        logging.captureWarnings(capture=False)
        atexit.unregister(self.close)
        self._writer.close()


class _ForeignHandler(logging.Handler):
    """Sends the log records of libraries to the same place as our own lines."""

    def __init__(self, *, make_line: LineMaker, writer: LineWriter) -> None:
        super().__init__()
        self._make_line = make_line
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        event = {"level": level, "event": _headline(record), "logger": record.name, "exc_info": record.exc_info}
        self._writer.write(self._make_line(None, level, merge_contextvars(None, level, event)))


class _Sink:
    """The logger at the end of structlog's chain, which gets the finished lines."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.write


def configure_logging(level: str, log_format: str, *, sandbox: bool, stream: ByteStream, clock: Clock) -> Logging:
    """Send every line of this process to `stream`, from structlog and from the standard library alike.

    A standard stream must come through `unbuffered`. `level` is one of `LEVELS`, `log_format` is `json` or `console`.
    The last call counts.
    """
    structured = {"json": True, "console": False}[log_format]
    encode = json_line if structured else ConsoleLine(colors=stream.isatty())
    make_line = LineMaker(encode=encode, clock=clock, sandbox=sandbox)
    writer = LineWriter(
        stream, notice=lambda count: make_line(None, "warning", {"event": "log_lines_dropped", "count": count})
    )
    _configure_structlog(make_line=make_line, writer=writer)
    _configure_standard_library(_ForeignHandler(make_line=make_line, writer=writer))
    verified = VerifiedLines(structured=structured, make_line=make_line, sandbox=sandbox)
    log = Logging(level=level, verified=verified, writer=writer)
    atexit.register(log.close)
    return log


def _configure_structlog(*, make_line: LineMaker, writer: LineWriter) -> None:
    sink = _Sink(writer)
    structlog.configure(
        processors=[merge_contextvars, add_log_level, make_line],
        logger_factory=lambda *_: sink,
        # What goes through here is rare; a cached logger would go on writing to a log that was replaced.
        cache_logger_on_first_use=False,
    )


def _configure_standard_library(handler: logging.Handler) -> None:
    logging.getLogger().handlers = [handler]
    for name in _TALKATIVE:
        logging.getLogger(name).propagate = True  # a server that ran before in this process may have cut it off
    logging.captureWarnings(capture=True)


def _headline(record: logging.LogRecord) -> str:
    """The first line of a library's message; asyncio's further lines show whole objects with their messages."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - the arguments are not ours; logging itself would print them to stderr
        message = f"a record of {record.pathname}:{record.lineno} that cannot be formatted"
    return message.strip().partition("\n")[0]
