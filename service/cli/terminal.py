"""Text and log lines for a person at a terminal: made harmless, and as little as possible."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import msgspec

from service.clock import SystemClock
from service.observability.line_writer import unbuffered
from service.observability.logs import Logging, configure_logging
from service.settings import LogFormat, LogLevel, Settings


def printable(text: str) -> str:
    """Return foreign text made harmless for a terminal: control characters are escaped as in JSON."""
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def show_json(body: bytes) -> None:
    """Print an answer: as it came for a program, indented for a person."""
    if not sys.stdout.isatty():
        click.echo(body)
        return
    lines = msgspec.json.format(body, indent=2).decode().splitlines()
    click.echo("\n".join(printable(line) for line in lines))


@contextmanager
def terminal_log(settings: Settings) -> Iterator[Logging]:
    """Log to stderr where the level is `debug`, and nowhere else: the command's own words are its answer."""
    wanted = settings.log.level is LogLevel.DEBUG
    with ExitStack() as stack:
        stream = unbuffered(sys.stderr) if wanted else stack.enter_context(Path(os.devnull).open("wb", buffering=0))
        log = configure_logging(
            settings.log.level,
            settings.log.format or LogFormat.CONSOLE,
            sandbox=settings.sandbox,
            stream=stream,
            clock=SystemClock(),
        )
        stack.callback(log.close)
        yield log
