# ruff: noqa: INP001, PLR2004, S101, S603, S607 - tests that stand outside tests/, because only run-sidecar.sh can run them
"""Facts about the running pod that GATEWAY_POD names; run by helm/run-sidecar.sh, and by pytest only when told so."""

import json
import os
import subprocess
import time
from typing import Any

import pytest

from service.sandbox import seed

_POD = os.environ.get("GATEWAY_POD", "")
_GAME = f"{_POD}-game-server"
_GATEWAY = f"{_POD}-ownership-gateway"
_FORM = os.environ.get("GATEWAY_FORM", "key")
_KEY_FILE = "/run/secrets/ownership-gateway/" + {"key": "seller-key/seller-key", "relay": "relay-token/token"}[_FORM]

# Runs in the game server's container, as a game server would: OWNERSHIP_URL is all it is told.
_ASK = """
import http.client, json, os, socket, sys
method, path, body, port = json.loads(sys.argv[1])
url = os.environ["OWNERSHIP_URL"]
connection = http.client.HTTPConnection("127.0.0.1", port or 8080, timeout=10)
if not port and url.startswith("unix:"):
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(url.removeprefix("unix:"))
connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""


def _podman(*arguments: str) -> str:
    """Return what podman prints; of logs, also what the container wrote to its standard error."""
    errors = subprocess.STDOUT if arguments[0] == "logs" else subprocess.PIPE
    done = subprocess.run(
        ["podman", *arguments],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _python(container: str, code: str, *arguments: str) -> str:
    return _podman("exec", container, "/opt/ownership-gateway/bin/python", "-c", code, *arguments).strip()


def _ask(method: str, path: str, body: object = None, *, port: int = 0) -> tuple[int, str]:
    status, text = json.loads(_python(_GAME, _ASK, json.dumps([method, path, body, port])))
    return int(status), str(text)


def _verify(key: str) -> dict[str, Any]:
    status, text = _ask("POST", "/verify/download-key", {"game": "x-moon", "download_key": key})
    assert status == 200, text
    answer: dict[str, Any] = json.loads(text)
    return answer


@pytest.fixture(scope="module", autouse=True)
def _ready() -> None:
    """Wait until the startup probe would succeed."""
    for _ in range(100):
        try:
            status, _ = _ask("GET", "/readyz", port=9090)
        except AssertionError:
            status = 0
        if status == 200:
            return
        time.sleep(0.1)
    pytest.fail(f"not ready: {_podman('logs', _GATEWAY)}")


def test_an_owner_is_let_in() -> None:
    """The store, or the hub, is asked with what was mounted."""
    answer = _verify(seed.OWNER_KEY)

    assert (answer["allowed"], answer["outcome"]) == (True, "owned")


def test_a_stranger_is_not() -> None:
    """The store's no arrives as a no."""
    assert _verify(seed.REVOKED_KEY)["outcome"] == "not_owned"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version"])
def test_probes_are_answered(path: str) -> None:
    """What a kubelet would ask answers on the operations port."""
    assert _ask("GET", path, port=9090)[0] == 200


def test_metrics_are_scraped() -> None:
    """On the operations port, with the decisions made so far."""
    _verify(seed.OWNER_KEY)

    assert 'ownership_gateway_decisions_total{cache="memory"' in _ask("GET", "/metrics", port=9090)[1]


def test_metrics_are_not_beside_the_questions() -> None:
    """Who asks questions sees no metrics."""
    assert _ask("GET", "/metrics")[0] == 404


def test_the_gateway_is_not_root() -> None:
    """It runs as the user that the chart names."""
    assert _python(_GATEWAY, "import os; print(os.getuid(), os.getgid())") == "65532 65532"


def test_the_gateway_has_no_capabilities() -> None:
    """Not even those that it could gain."""
    code = "print([line.split()[1] for line in open('/proc/1/status') if line.startswith(('CapPrm', 'CapBnd'))])"

    assert _python(_GATEWAY, code) == "['0000000000000000', '0000000000000000']"


def test_the_gateways_file_system_cannot_be_written_to() -> None:
    """Whoever takes it over leaves nothing behind."""
    code = "try: open('/opt/x', 'w')\nexcept OSError as error: print(error.strerror)"

    assert _python(_GATEWAY, code) == "Read-only file system"


def test_the_key_is_in_no_environment() -> None:
    """It is read from its file alone."""
    assert seed.SELLER_KEY not in _python(_GATEWAY, "print(open('/proc/1/environ').read())")


def test_the_game_server_does_not_see_the_key() -> None:
    """The volume is the gateway's."""
    assert _python(_GAME, f"import os; print(os.path.exists({_KEY_FILE!r}))") == "False"


def test_it_drains_and_ends_in_order() -> None:
    """At SIGTERM it finishes what it does, and exits with 0."""
    _podman("stop", "--time", "15", _GATEWAY)

    assert _podman("inspect", "--format", "{{.State.ExitCode}}", _GATEWAY).strip() == "0"
    assert '"event":"stopped"' in _podman("logs", _GATEWAY)
