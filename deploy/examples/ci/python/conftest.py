"""A gateway with a sandbox of its own, for the tests of a game server. Python 3.11 or later; only pytest to install."""

import http.client
import json
import os
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

COMMAND = shlex.split(os.environ.get("OWNERSHIP_GATEWAY", "ownership-gateway"))
CONFIGURATION = Path(__file__).parent.parent / "gateway.toml"  # one folder up; change it to where yours is
START_SECONDS = 60
ANSWER_SECONDS = 10


class Gateway:
    """The gateway at a URL: asked as a game server asks it, and told what happens in its sandbox."""

    def __init__(self, url: str) -> None:
        """Keep one connection open. `url` is for your server, too, in its own setting for that."""
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)

    def ask(self, method: str, game: str = "my-game", **question: object) -> dict[str, Any]:
        """Return the answer to a question by `download-key`, `jwt`, `email` or `user`; 503 is one too, `unknown`."""
        status, answer = self._send("POST", f"/verify/{method}", {"game": game, **question})
        assert status in (http.HTTPStatus.OK, http.HTTPStatus.SERVICE_UNAVAILABLE), answer
        return answer

    def sandbox(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON may be anything
        """Do something in the sandbox: see docs/sandbox.md."""
        status, answer = self._send(method, f"/sandbox{path}", body)
        assert status == http.HTTPStatus.OK, answer
        return answer

    def fault(self, name: str) -> None:
        """Have the store be in an `outage`, `throttle` or `slow`, or the seller's key revoked: `key_revoked`."""
        self.sandbox("PUT", "/faults", {"name": name})

    def mend(self) -> None:
        """Have the store be well again."""
        self.sandbox("DELETE", "/faults")

    def pass_time(self, *, hours: float = 0, seconds: float = 0) -> None:
        """Let time pass, for the gateway and the store: nobody waits for it."""
        self.sandbox("POST", "/clock", {"advance_seconds": hours * 3600 + seconds})

    def _send(self, method: str, path: str, body: object) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture(scope="session")
def running_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway of this run of tests, on a free port: so that several runs do not meet."""
    log = tmp_path_factory.mktemp("gateway") / "gateway.log"
    command = [*COMMAND, "serve", "--sandbox", "--port", "0", "--config", str(CONFIGURATION)]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output) as process:  # noqa: S603 - our own command
        try:
            yield Gateway(url_in(log, process))
        finally:
            process.send_signal(signal.SIGINT)  # SIGTERM would have it wait for load balancers


@pytest.fixture
def gateway(running_gateway: Gateway) -> Gateway:
    """The gateway as it starts: nothing of the tests before is left."""
    running_gateway.sandbox("POST", "/reset")
    return running_gateway


def url_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    """Return the URL from the line of the log which says that the gateway answers."""
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        for line in log.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n") and (said := json.loads(line))["event"] == "started":
                return str(said["listening"])
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not start; its log: {log.read_text()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests in another order where TEST_ORDER is set: none may need another one before it."""
    if order := os.environ.get("TEST_ORDER"):
        random.Random(order).shuffle(items)  # noqa: S311 - protects nothing
