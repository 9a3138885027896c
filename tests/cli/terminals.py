"""Commands, run as by a person at a terminal or by a script."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from click.testing import CliRunner, Result

from service.cli import main

COMMAND: Final = (sys.executable, "-m", "service")


class Terminal(io.BytesIO):
    """A standard input that is a terminal, with typed lines."""

    def isatty(self) -> bool:
        """Return true: it is a terminal."""
        return True


class Interrupted(io.BytesIO):
    """A standard input that is a terminal at which Ctrl-C is pressed."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Be interrupted; click reads nothing at all to learn what kind of stream this is."""
        if size == 0:
            return b""
        raise KeyboardInterrupt

    read1 = read


def run(
    *arguments: str,
    environ: Mapping[str, str | None] | None = None,
    stdin: bytes | io.BytesIO = b"",
    color: bool = False,
    real_streams: bool = False,
) -> Result:
    """Run a command in this process; what it raises but SystemExit is raised here too.

    `real_streams` gives it streams with descriptors, which commands that log need; the log itself then goes where
    pytest's `capfd` finds it.
    """
    runner = CliRunner(capture="fd" if real_streams else "sys")
    given: Any = stdin
    return runner.invoke(main, arguments, input=given, env=dict(environ or {}), color=color, catch_exceptions=False)


async def run_in_background(*arguments: str, **how: Any) -> Result:
    """Run a command while this event loop serves what it asks."""
    return await asyncio.to_thread(run, *arguments, **how)


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without any configuration but this."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OWNERSHIP_GATEWAY_")} | dict(
        variables or {}
    )


def start(arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command as a process of its own, with pipes for all its streams."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
