"""One event, one line."""

import errno
import json
import logging
import subprocess
import sys
import warnings
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars

from service.errors import SourceProtocolError
from service.observability.logs import Logging
from service.observability.verified_lines import VerifiedLine
from service.ownership import CacheTier, DownloadKey, Method, Outcome, Reason
from service.secret import SellerKey
from tests.observability.conftest import LaggingClock, Memory, Start

CANARY = "CanaryCanary0123456789"
JWT = ".".join(b64encode(part).decode().rstrip("=") for part in (b'{"alg":"HS256"}', b'{"sub":"1994"}', b"s" * 32))
SECRETS = [
    f"ogw_{CANARY}",
    f"Bearer {CANARY}",
    JWT,
    f"https://studio.itch.io/game/download/{CANARY}",
    f"https://api.itch.io/games/3/download_keys?download_key={CANARY}",
    f"redis://:{CANARY}@cache:6379/0",
    f"{CANARY}@mail.example",
]

AT = LaggingClock().now()

ANY_TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"]))


def answer(**fields: Any) -> VerifiedLine:
    """Return the line of an answer."""
    line: dict[str, Any] = {
        "decision_id": "01KAB3X9Q7T4Z2M5N8P6R1S0VW",
        "request_id": "r-1",
        "game": "x-moon",
        **fields,
    }
    return VerifiedLine(
        method=Method.JWT,
        outcome=Outcome.OWNED,
        reason=Reason.PURCHASE,
        cache=CacheTier.MEMORY,
        duration_ms=0.31,
        age_seconds=12.5,
        subject="00112233aabbccdd",
        **line,
    )


def test_our_own_events(log: Logging, stream: Memory) -> None:
    """Time, level and name come first, then the fields of the event."""
    log.logger.warning("source_paused", seconds=7)
    log.close()

    assert stream.text == (
        '{"timestamp":"2026-11-20T14:03:11.005Z","level":"warning","event":"source_paused","seconds":7}\n'
    )


def test_events_of_libraries(log: Logging, stream: Memory) -> None:
    """The standard library's loggers go the same way and are named."""
    logging.getLogger("asyncio.sslproto").info("Started something [%d]", 42)
    log.close()

    assert stream.lines == [
        {
            "timestamp": "2026-11-20T14:03:11.005Z",
            "level": "info",
            "event": "Started something [42]",
            "logger": "asyncio.sslproto",
        }
    ]


@pytest.mark.parametrize("write", [lambda log: log.logger.info("x"), lambda _: logging.getLogger("x").info("x")])
def test_the_request_is_in_every_line(log: Logging, stream: Memory, write: Callable[[Logging], None]) -> None:
    """The fields bound for a request are part of every line that is logged during it."""
    with bound_contextvars(request_id="r-1", trace_id="t-1"):
        write(log)
    log.close()

    assert stream.lines[0].items() >= {"request_id": "r-1", "trace_id": "t-1"}.items()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_sandbox_is_in_every_line(start_logging: Start, stream: Memory, log_format: str) -> None:
    """No line of a sandbox can be taken for one of the real store."""
    log = start_logging("info", log_format, sandbox=True)

    log.logger.info("x")
    logging.getLogger("x").warning("x")
    log.verified(answer(), AT)
    log.close()

    assert all('"sandbox":true' in line or "sandbox=True" in line for line in stream.text.splitlines())


def test_events_below_the_level_are_not_logged(start_logging: Start, stream: Memory) -> None:
    """Neither our own events nor those of libraries, nor the answers."""
    log = start_logging("warning")

    log.logger.info("x")
    logging.getLogger("x").info("x")
    log.verified(answer(), AT)
    log.close()

    assert stream.lines == []


def test_the_answer_to_a_question(log: Logging, stream: Memory) -> None:
    """The line of an answer holds all that is needed to explain it."""
    log.verified(answer(caller="lobby", trace_id="4bf92f3577b34da6a3ce929d0e0e4736"), AT)
    log.close()

    assert stream.lines == [
        {
            "timestamp": "2026-11-20T14:03:11.005Z",
            "level": "info",
            "event": "verified",
            "decision_id": "01KAB3X9Q7T4Z2M5N8P6R1S0VW",
            "request_id": "r-1",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "caller": "lobby",
            "game": "x-moon",
            "method": "jwt",
            "outcome": "owned",
            "reason": "purchase",
            "cache": "memory",
            "age_seconds": 12.5,
            "duration_ms": 0.31,
            "subject": "00112233aabbccdd",
        }
    ]


def test_a_request_id_cannot_smuggle_a_secret(log: Logging, stream: Memory) -> None:
    """The request id, the one field that callers choose, is redacted too."""
    log.verified(answer(request_id=f"ogw_{CANARY}"), AT)
    log.close()

    assert stream.lines[0]["request_id"] == "[redacted]"


def test_names_that_are_not_utf_8_do_not_fail_an_answer(log: Logging, stream: Memory) -> None:
    """Python reads stray bytes in the environment as lone surrogates."""
    log.verified(answer(caller="lobby\udcff"), AT)
    log.close()

    assert stream.lines[0]["caller"] == "lobby\\udcff"


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("request_id", ["r-1", "me@mail.example"])
def test_the_answer_has_the_time_when_it_was_given(
    start_logging: Start, stream: Memory, clock: LaggingClock, log_format: str, request_id: str
) -> None:
    """The line of an answer has the time of the answer, however late and by either way it is written."""
    log = start_logging("info", log_format)

    log.verified(answer(request_id=request_id), AT)
    clock.pass_time(timedelta(hours=1))
    log.close()

    assert stream.text.count("2026-11-20T14:03:11.005Z") == 1


def test_the_answer_for_a_person(start_logging: Start, stream: Memory) -> None:
    """On a terminal the same line is text."""
    log = start_logging("info", "console")

    log.verified(answer(), AT)
    log.close()

    assert stream.text.startswith("2026-11-20T14:03:11.005Z [info     ] verified ")
    assert "outcome=owned" in stream.text


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_gets_out(start_logging: Start, stream: Memory, secret: str, log_format: str) -> None:
    """No secret is logged: not in events, fields, arguments or exceptions, by us or by libraries."""
    log = start_logging("debug", log_format)

    log.logger.info(secret, field=secret, nested={secret: [secret]}, bad=ValueError(secret))
    log.logger.info("typed", credential=DownloadKey(CANARY), key=SellerKey(CANARY))
    for name in ("", "asyncio", "httpx", "redis", "litestar"):
        logger = logging.getLogger(name)
        logger.debug("%s", secret)
        logger.warning("sent %s", secret, extra={"url": secret})
        try:
            raise ValueError(secret)
        except ValueError as error:
            logger.exception("failed with %s", error)  # noqa: TRY401 - as others do
            log.logger.exception("failed", error=error)
    log.close()

    assert CANARY not in stream.text
    assert JWT not in stream.text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_local_variables_do_not_get_out(start_logging: Start, stream: Memory, log_format: str) -> None:
    """A traceback says where, not with what."""
    log = start_logging("debug", log_format)
    local = CANARY

    try:
        json.loads(f"{local}")
    except ValueError:
        log.logger.exception("failed")
        logging.getLogger("x").exception("failed")
    log.close()

    assert "JSONDecodeError" in stream.text
    assert CANARY not in stream.text


def test_exceptions_are_data(log: Logging, stream: Memory) -> None:
    """In JSON an exception has a type, frames, and words if they are ours."""
    try:
        raise SourceProtocolError("an answer about another game")
    except SourceProtocolError:
        log.logger.exception("failed")
    log.close()

    (line,) = stream.lines
    assert line["level"] == "error"
    assert [raised["type"] for raised in line["exception"]] == ["service.errors.SourceProtocolError"]
    assert line["exception"][0]["message"] == "an answer about another game"


def test_only_the_first_line_of_others_is_kept(log: Logging, stream: Memory) -> None:
    """Further lines of asyncio's messages hold the repr of a task, which quotes its exception."""
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task ValueError('x')>")
    log.close()

    assert stream.lines[0]["event"] == "Task exception was never retrieved"


def test_records_that_cannot_be_formatted(
    start_logging: Start, stream: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line says that the record could not be formatted; the standard library would print the arguments to stderr."""
    log = start_logging()

    logging.getLogger("x").warning("%d", CANARY)
    log.close()

    assert "cannot be formatted" in stream.lines[0]["event"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["aiohttp.client", "httpcore", "httpx", "redis.asyncio"])
def test_libraries_that_log_urls_are_silent(start_logging: Start, stream: Memory, name: str) -> None:
    """Libraries that log URLs are heard from warnings upwards, even at `debug`."""
    log = start_logging("debug")

    logging.getLogger(name).info("HTTP Request: GET")
    logging.getLogger(name).warning("heard")
    log.close()

    assert [line["event"] for line in stream.lines] == ["heard"]


def test_warnings_are_lines(log: Logging, stream: Memory) -> None:
    """Python's warnings do not go to stderr past the log."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    log.close()

    assert stream.lines[0]["logger"] == "py.warnings"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(event=ANY_TEXT, fields=st.dictionaries(ANY_TEXT, ANY_TEXT | st.floats() | st.integers() | st.lists(ANY_TEXT)))
@pytest.mark.parametrize("name", ["json", "console"])
def test_any_text_is_one_line(
    start_logging: Start, stream: Memory, name: str, event: str, fields: dict[str, object]
) -> None:
    """No text breaks a line of JSON in two, or makes the console fail."""
    stream.written = b""
    log = start_logging("info", name)

    # As keyword arguments some of these names would be taken for parameters.
    with bound_contextvars(**{f"_{field}": value for field, value in fields.items()}):
        log.logger.info(event)
        logging.getLogger("x").info("%s", event)
    log.close()

    assert len(stream.text.split("\n")) == 3
    if name == "json":
        assert [line["level"] for line in stream.lines] == ["info", "info"]


def test_fields_cannot_replace_what_every_line_has(log: Logging, stream: Memory) -> None:
    """The time of a line is the clock's."""
    log.logger.info("x", timestamp="yesterday")
    log.close()

    assert stream.lines[0]["timestamp"] == "2026-11-20T14:03:11.005Z"


def test_exceptions_for_a_person(start_logging: Start, stream: Memory) -> None:
    """On a terminal an exception follows on lines of its own."""
    log = start_logging("info", "console")

    try:
        raise SourceProtocolError("an answer about another game")
    except SourceProtocolError:
        log.logger.exception("failed")
    log.close()

    assert "\nservice.errors.SourceProtocolError: an answer about another game\n  " in stream.text


def test_fields_that_the_console_takes_for_tracebacks(start_logging: Start, stream: Memory) -> None:
    """Any value in a field called `stack` or `exception` makes a line."""
    log = start_logging("info", "console")

    log.logger.info("x", stack=3, exception={"a": 1})
    log.close()

    assert stream.text.startswith("2026-11-20T14:03:11.005Z [info     ] x\n3\n")


def test_colours_only_on_a_terminal(start_logging: Start, stream: Memory) -> None:
    """A file gets plain text."""
    log = start_logging("info", "console")
    log.logger.info("x")
    log.close()
    assert "\x1b[" not in stream.text

    stream.terminal = True
    log = start_logging("info", "console")
    log.logger.info("x")
    log.close()
    assert "\x1b[" in stream.text


def test_dropped_lines_are_told(start_logging: Start, stream: Memory) -> None:
    """The log says itself when it is not complete."""
    stream.failures = [OSError(errno.ENOSPC, "No space left on device")]
    log = start_logging()
    log.logger.info("lost")
    while not log.lines_dropped:
        pass
    log.logger.info("kept")
    log.close()

    assert {"level": "warning", "event": "log_lines_dropped", "count": 1}.items() <= stream.lines[1].items()


def test_late_lines_are_lost_not_printed(
    start_logging: Start, stream: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    """After closing nothing falls back to handlers that show messages and variables."""
    log = start_logging()
    log.close()

    log.logger.warning("late")
    logging.getLogger("x").warning("late")

    assert stream.lines == []
    assert log.lines_dropped == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("level", "log_format"), [("loud", "json"), ("info", "xml")])
def test_unknown_levels_and_formats_are_refused(start_logging: Start, level: str, log_format: str) -> None:
    """A typo is not taken for a default."""
    with pytest.raises(KeyError):
        start_logging(level, log_format)


def test_a_process_that_just_ends_has_written_its_lines() -> None:
    """A process that ends without closing the log has written all its lines."""
    program = """
import sys
from datetime import UTC, datetime
from service.observability.line_writer import unbuffered
from service.observability.logs import configure_logging
class Wall:
    def now(self): return datetime.now(UTC)
stream = unbuffered(sys.stdout)
configure_logging("info", "json", sandbox=False, stream=stream, clock=Wall()).logger.info("last_words")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert json.loads(ended.stdout)["event"] == "last_words"
