"""The health check of the container image, against real gateways."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.processes import environment, gateway
from tests.redis_server import free_port

_SCRIPT: Final = Path(__file__).parents[2] / "deploy" / "image" / "healthcheck.py"


def _check(settings: dict[str, str]) -> tuple[int, str]:
    check = subprocess.run(
        [sys.executable, _SCRIPT], env=environment(settings), capture_output=True, text=True, check=False
    )
    return check.returncode, check.stderr.strip()


def _settings(kind: str, directory: Path) -> dict[str, str]:
    port, other = str(free_port()), str(free_port())
    if kind == "file":
        (directory / "gateway.toml").write_text(f"port = {port}\n")
        return {"CONFIG": str(directory / "gateway.toml")}
    return {
        "port": {"PORT": port},
        "ipv6": {"HOST": "::1", "PORT": port},
        "socket": {"UNIX_SOCKET": str(directory / "gateway.sock")},
        "operations": {"PORT": port, "OPERATIONS__PORT": other},
        "operations everywhere": {"PORT": port, "OPERATIONS__HOST": "0.0.0.0", "OPERATIONS__PORT": other},  # noqa: S104
        "socket and operations": {"UNIX_SOCKET": str(directory / "gateway.sock"), "OPERATIONS__PORT": other},
    }[kind]


@pytest.mark.parametrize(
    "kind", ["port", "ipv6", "file", "socket", "operations", "operations everywhere", "socket and operations"]
)
def test_finds_the_gateway(tmp_path: Path, kind: str) -> None:
    """Wherever the settings let the gateway listen, its health check asks there."""
    settings = _settings(kind, tmp_path)

    with gateway(settings):
        assert _check(settings) == (0, "")


def test_nobody_there() -> None:
    """A refused connection is reported as such."""
    assert _check({"PORT": str(free_port())}) == (1, "no answer (ConnectionRefusedError)")


def test_somebody_else_there() -> None:
    """A server that does not know /livez is not the gateway."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/dev", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        found = _check({"PORT": port})
        server.kill()

    assert found == (1, "/livez answers 404")


def test_a_frozen_gateway() -> None:
    """One that takes the connection and says nothing is not alive."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = _check({"PORT": str(listener.getsockname()[1])})

    assert found == (1, "no answer (TimeoutError)")


def test_unusable_settings() -> None:
    """Settings that the gateway would refuse are named."""
    code, said = _check({"PORT": "ninety"})

    assert code == 1
    assert "OWNERSHIP_GATEWAY_PORT" in said
