"""The proxies of deploy/forward-auth, really run with the recipes that stand there."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.integrations.processes import nginx_command

RECIPES: Final = Path(__file__).resolve().parents[2] / "deploy" / "forward-auth"
PROGRAMS: Final = Path(__file__).resolve().parents[2] / ".tools" / "forward-auth-venv" / "bin"
TOKEN: Final = "ogw_the-token-that-new-caller-printed"
_START_SECONDS: Final = 60


def _nginx(directory: Path, recipe: Callable[[str], Path]) -> list[str]:
    return nginx_command(directory, f"access_log {directory}/access.log; include {recipe('nginx.conf')};")


def _caddy(_directory: Path, recipe: Callable[[str], Path]) -> list[str]:
    return [_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(recipe("Caddyfile"))]


def _traefik(directory: Path, recipe: Callable[[str], Path]) -> list[str]:
    dynamic, static = recipe("traefik.yaml"), recipe("traefik-static.yaml")
    static.write_text(static.read_text().replace("/etc/traefik/traefik.yaml", str(dynamic)))
    return [_program("traefik"), f"--configFile={directory / 'traefik-static.yaml'}"]


def _envoy(_directory: Path, recipe: Callable[[str], Path]) -> list[str]:
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]
    return [_program("envoy"), "-c", str(recipe("envoy.yaml")), *options]


def _program(name: str) -> str:
    path = PROGRAMS / name
    assert path.is_file(), f"{name} is not installed: run `make check-integrations`"
    return str(path)


_COMMANDS: Final = {"nginx": _nginx, "caddy": _caddy, "traefik": _traefik, "envoy": _envoy}
GUARDS: Final = tuple(_COMMANDS)


@contextmanager
def guard(name: str, directory: Path, ports: Mapping[int, int]) -> Iterator[None]:
    """Run a proxy by its recipe, with these ports instead of those in it, until the block ends.

    It listens by the time that the block begins. Its log is in `directory`.
    """

    def recipe(file: str) -> Path:
        copy = directory / file
        copy.write_text(
            re.sub(r"\b(8000|8080|9000)\b", lambda port: str(ports[int(port[0])]), (RECIPES / file).read_text())
        )
        return copy

    command = _COMMANDS[name](directory, recipe)
    environment = os.environ | {
        "HOME": str(directory),
        "XDG_DATA_HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory),
    }
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            _until_open(ports[8000], process, directory / "log")
            yield
        finally:
            process.kill()


def _until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended: {log.read_text()[-2000:]}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"it does not listen: {log.read_text()[-2000:]}")
