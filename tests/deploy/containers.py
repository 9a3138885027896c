"""Containers of the gateway's image, run by podman as they should be run."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from service.sandbox import seed
from tests.gateways import caller_lines

IMAGE: Final = os.environ.get("GATEWAY_IMAGE", "")
"""The image to test; its tests are skipped where none is named."""

TOKEN: Final = "ogw_a-token-for-containers-in-tests"

_CONFINED: Final = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
_START_SECONDS: Final = 20.0


def podman(*arguments: str) -> str:
    """Return what podman prints; fail if it does."""
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, check=True).stdout


def fails(*arguments: str) -> tuple[int, str]:
    """Return how podman ended, and all that it printed."""
    result = subprocess.run(
        ["podman", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return result.returncode, result.stdout


class Container:
    """A gateway in a container, and a client outside of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = f"http://{podman('port', name, '8080').strip()}"
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)

    def ask(self, key: str = seed.OWNER_KEY, **fields: object) -> httpx.Response:
        """Ask about a download key of game 3."""
        return self.http.post("/verify/download-key", json={"game": 3, "download_key": key, **fields}, timeout=15)

    def python(self, code: str) -> str:
        """Return what this code prints inside."""
        return podman("exec", self.name, "/opt/ownership-gateway/bin/python", "-c", code).strip()

    def inspect(self, template: str) -> str:
        """Return podman's description of the container."""
        return podman("inspect", "--format", template, self.name).strip()

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of one event that it has logged."""
        lines = [json.loads(line) for line in podman("logs", self.name).splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@contextmanager
def running(directory: Path, *options: str, **environment: str) -> Iterator[Container]:
    """Run a gateway with a sandbox that answers from outside, until the block ends."""
    configuration = directory / "gateway.toml"
    configuration.write_text(caller_lines("container", TOKEN, rate="100000"))
    configuration.chmod(0o444)
    variables = {
        "SANDBOX": "true",
        "HOST": "0.0.0.0",  # noqa: S104 - inside the container; published on loopback alone
        "CONFIG": "/etc/gateway.toml",
        **environment,
    }
    settings = [f"--env=OWNERSHIP_GATEWAY_{name}={value}" for name, value in variables.items()]
    name = f"ownership-gateway-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        podman(
            "run", "--detach", "--name", name, *_CONFINED, "--publish", "127.0.0.1::8080",
            "--volume", f"{configuration}:/etc/gateway.toml:ro", *settings, *options, IMAGE,
        )  # fmt: skip
        container = Container(name)
        with container.http:
            _wait_until_ready(container)
            yield container
    finally:
        fails("rm", "--force", "--time", "0", name)


def _wait_until_ready(container: Container) -> None:
    give_up_at = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up_at:
        try:
            if container.http.get("/readyz").status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"the gateway did not start: {podman('logs', container.name)}")
