"""The entry point of the program."""

import signal
import sys
from collections.abc import Iterator

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


def test_it_can_be_stopped_before_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM has a handler from the start: the first process of a container ignores signals without one."""
    monkeypatch.setattr(sys, "argv", ["ownership-gateway", "--version"])
    with pytest.raises(SystemExit):
        run()

    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)

    assert ended.value.code == TERMINATED
