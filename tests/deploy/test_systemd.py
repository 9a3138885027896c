"""`deploy/systemd`: the unit, by systemd's own examination."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from service.cli.exits import Exit
from service.settings import load_settings

_SYSTEMD: Final = Path(__file__).parents[2] / "deploy" / "systemd"
_UNIT: Final = _SYSTEMD / "ownership-gateway.service"
_MOST_EXPOSED: Final = 1.5
"""Of 10; what remains is that it uses the network."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")


def _lines(name: str) -> list[str]:
    return [line.partition("=")[2] for line in _UNIT.read_text().splitlines() if line.startswith(f"{name}=")]


@pytest.fixture(params=["redis.conf", "relay.conf"])
def installed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The unit and a drop-in as installed, for a gateway that is there."""
    program = tmp_path / "ownership-gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / _UNIT.name
    unit.write_text(_UNIT.read_text().replace("/opt/ownership-gateway/bin/ownership-gateway", str(program)))
    drop_ins = tmp_path / f"{_UNIT.name}.d"
    drop_ins.mkdir()
    shutil.copy(_SYSTEMD / request.param, drop_ins)
    return unit


def _analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


@needs_systemd
def test_is_understood(installed: Path) -> None:
    """Every setting of the unit and of its drop-ins is one that systemd knows."""
    found = _analyze("verify", "--man=no", "--recursive-errors=no", installed)

    assert (found.returncode, found.stdout) == (0, "")


@needs_systemd
def test_is_confined(installed: Path) -> None:
    """By systemd's own measure there is little left that it could harm."""
    found = _analyze("security", "--offline=yes", f"--threshold={_MOST_EXPOSED * 10:.0f}", "--no-pager", installed)

    assert found.returncode == 0, found.stdout


def test_an_unusable_configuration_is_not_tried_again() -> None:
    """The exit codes that stand for it are those of the command line."""
    assert _lines("RestartPreventExitStatus") == [f"{Exit.USAGE:d} {Exit.CONFIGURATION:d}"]


def test_a_reload_ends_nothing() -> None:
    """The signal has the file read again, which is the one that the operator changes, and no copy of systemd's."""
    assert _lines("ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert "OWNERSHIP_GATEWAY_CONFIG=/etc/ownership-gateway/gateway.toml" in _lines("Environment")
    assert not [line for line in _lines("LoadCredential") if line.startswith("gateway.toml")]


def test_it_comes_back_however_it_ended() -> None:
    """An end for which no operator asked is followed by a start, with exit code 0 too."""
    assert _lines("Restart") == ["always"]


def test_the_seller_key_stands_in_no_environment() -> None:
    """The key is handed over as a file that only the gateway can read."""
    assert "OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE=%d/itch-api-key" in _lines("Environment")


def test_the_examples_are_usable() -> None:
    """The gateway takes the environment file and the TOML file as they are."""
    lines = (_SYSTEMD / "ownership-gateway.env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    settings = load_settings(environment, config_file=_SYSTEMD / "gateway.toml", require_source=False)

    assert [game.slug for game in settings.games] == ["x-moon"]


def test_the_doctor_finds_the_key(tmp_path: Path) -> None:
    """By the commands at the unit's head, in a shell that has none of the unit's environment."""
    for name, text in {
        "environment": (_SYSTEMD / "ownership-gateway.env").read_text(),
        "gateway.toml": (_SYSTEMD / "gateway.toml").read_text() + '[itch]\nbase_url = "http://127.0.0.1:1"\n',
        "itch-api-key": "k3y",
    }.items():
        (tmp_path / name).write_text(text)
    comments = [line.removeprefix("#").strip() for line in _UNIT.read_text().splitlines() if line.startswith("#")]
    first = next(at for at, line in enumerate(comments) if line.startswith("(set -a"))
    last = next(at for at, line in enumerate(comments) if line.endswith("doctor)"))
    commands = "\n".join(comments[first : last + 1])
    commands = commands.replace("/etc/ownership-gateway", str(tmp_path))
    commands = commands.replace("/opt/ownership-gateway/bin/ownership-gateway", f"{sys.executable} -m service")

    result = subprocess.run(["/bin/sh", "-c", commands], capture_output=True, text=True, check=False, env={})

    assert result.returncode == Exit.NO, result.stderr
    assert "problem  seller key: no answer from the store (refused)" in result.stdout
