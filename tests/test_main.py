"""The entry point of the program."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final, NoReturn

import pytest

from service.__main__ import TERMINATED, run


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
