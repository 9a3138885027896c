"""The entry point of the program."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import pytest

from service.__main__ import TERMINATED, run
from service.cli.exits import Exit


@pytest.fixture(autouse=True)
def _handler_put_back() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_it_runs_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The arguments of the process are those of the command line."""
    monkeypatch.setattr(sys, "argv", ["ownership-gateway", "--version"])

    with pytest.raises(SystemExit) as ended:
        run()

    assert ended.value.code == 0
    assert "ownership-gateway" in capsys.readouterr().out


def test_a_mistake_that_cannot_be_said_ends_with_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that waits for room on a full disk is dropped, so that Python does not stumble over it at its end."""
    monkeypatch.setattr(sys, "argv", ["ownership-gateway", "serve", "--sandbox", "--host", "no-address"])
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - closed below, where that must not fail
    monkeypatch.setattr(sys, "stderr", full)

    with pytest.raises(SystemExit) as ended:
        run()

    assert ended.value.code == Exit.CONFIGURATION
    full.close()


def test_a_mistake_without_standard_error_ends_with_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has no stream where the descriptor was closed."""
    monkeypatch.setattr(sys, "argv", ["ownership-gateway", "serve", "--sandbox", "--host", "no-address"])
    monkeypatch.setattr(sys, "stderr", None)

    with pytest.raises(SystemExit) as ended:
        run()

    assert ended.value.code == Exit.CONFIGURATION


def test_a_closed_standard_stream_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that got its descriptor would get what is said there."""
    monkeypatch.setattr(sys, "argv", ["ownership-gateway", "--version"])
    kept = os.dup(0)
    os.close(0)
    try:
        with pytest.raises(SystemExit):
            run()
        opened = os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)

    assert opened.st_rdev == Path(os.devnull).stat().st_rdev


class _LeftError(Exception):
    """Stands for the end of the process."""


def test_it_can_be_stopped_before_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM has a handler from the start: the first process of a container ignores signals without one."""
    monkeypatch.setattr(sys, "argv", ["ownership-gateway", "--version"])
    with pytest.raises(SystemExit):
        run()

    def leave(code: int) -> NoReturn:
        raise _LeftError(code)

    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(_LeftError) as left:
        signal.raise_signal(signal.SIGTERM)

    assert left.value.args == (TERMINATED,)


_STOPPED_IN_A_CALLBACK: Final = """
import signal, sys, weakref

class Gone:
    pass

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "service.cli":
            gone = Gone()
            callback = weakref.ref(gone, lambda _: signal.raise_signal(signal.SIGTERM))
            del gone

sys.argv = ["ownership-gateway", "--version"]
sys.meta_path.insert(0, Finder())
from service.__main__ import run
run()
"""


def test_it_can_be_stopped_during_an_import() -> None:
    """SIGTERM ends the process also while Python runs a callback, in which it drops what is raised."""
    stopped = subprocess.run(
        [sys.executable, "-c", _STOPPED_IN_A_CALLBACK], capture_output=True, text=True, timeout=60, check=False
    )

    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (TERMINATED, "", "")
