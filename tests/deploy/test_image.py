"""The container image; `deploy/check-image.sh` builds it and runs this."""

import http.client
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.cli.exits import Exit
from service.sandbox import seed
from tests.deploy.containers import IMAGE, TOKEN, Container, fails, podman, running

if not IMAGE:
    pytest.skip("GATEWAY_IMAGE names no image: run deploy/check-image.sh", allow_module_level=True)

_ROOT = Path(__file__).parents[2]
_GATEWAY = "/opt/ownership-gateway"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A gateway in a container, shared by tests that only ask it."""
    with running(tmp_path_factory.mktemp("image")) as container:
        yield container


def test_answers(gateway: Container) -> None:
    """The gateway answers from a read-only root, without capabilities."""
    answer = gateway.ask().json()

    assert answer["outcome"] == "owned"


def test_is_not_root(gateway: Container) -> None:
    """The process runs as 65532, by number, so that an orchestrator can see that it is not root."""
    assert gateway.inspect("{{.Config.User}}") == "65532:65532"
    assert gateway.python("import os; print(os.getuid(), os.getgid())") == "65532 65532"


def test_owns_nothing(gateway: Container) -> None:
    """The process could change no file of its own, even on a root that is not read-only."""
    writable = gateway.python(
        f"import os; print([f for d, _, fs in os.walk('{_GATEWAY}') for f in [d, *(os.path.join(d, f) for f in fs)]"
        " if not os.path.islink(f) and os.stat(f).st_mode & 0o022 or os.lstat(f).st_uid == 65532])"
    )

    assert writable == "[]"


def test_has_no_privileges_to_gain(gateway: Container) -> None:
    """No capability is left, and none can be had."""
    status = gateway.python("print(open('/proc/1/status').read())")

    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_is_compiled(gateway: Container) -> None:
    """Every module of the gateway has its bytecode: a read-only root could keep none."""
    missing = gateway.python(
        "import pathlib, service, importlib.util as u;"
        "print([str(p) for p in pathlib.Path(service.__file__).parent.rglob('*.py')"
        " if not pathlib.Path(u.cache_from_source(str(p))).exists()])"
    )

    assert missing == "[]"


@pytest.mark.parametrize("name", ["pytest", "mypy", "hypothesis", "faker", "polyfactory", "uv"])
def test_has_nothing_to_develop_with(gateway: Container, name: str) -> None:
    """Packages for tests and builds are not in the image."""
    assert gateway.python(f"import importlib.util; print(importlib.util.find_spec('{name}'))") == "None"


def test_holds_what_its_bill_of_materials_lists(gateway: Container, tmp_path: Path) -> None:
    """`deploy/sbom.sh` lists every package of the image, in its version, and no other."""
    subprocess.run([_ROOT / "deploy" / "sbom.sh", tmp_path / "sbom.json"], capture_output=True, check=True)
    listed = {
        f"{one['name']}=={one['version']}" for one in json.loads((tmp_path / "sbom.json").read_text())["components"]
    }

    held = gateway.python(
        "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()"
        f" if str(d._path).startswith('{_GATEWAY}') and d.name != 'ownership-gateway'))"
    )

    assert set(held.split()) == listed


def test_says_its_version(gateway: Container) -> None:
    """The label, `/version` and the command line name the same version."""
    label = gateway.inspect('{{index .Config.Labels "org.opencontainers.image.version"}}')

    assert gateway.http.get("/version").json()["version"] == label
    assert podman("exec", gateway.name, f"{_GATEWAY}/bin/ownership-gateway", "--version").strip().endswith(label)


@pytest.mark.parametrize("name", ["title", "description", "licenses", "revision", "created", "base.name"])
def test_is_labelled(gateway: Container, name: str) -> None:
    """The labels that the Open Container Initiative defines are there."""
    assert gateway.inspect(f'{{{{index .Config.Labels "org.opencontainers.image.{name}"}}}}')


def test_asks_for_sigterm() -> None:
    """The container is stopped by the signal that lets it drain."""
    assert podman("image", "inspect", "--format", "{{.Config.StopSignal}}", IMAGE).strip() in {"SIGTERM", "15"}


def test_is_healthy(gateway: Container) -> None:
    """The image's own health check passes, without curl."""
    podman("healthcheck", "run", gateway.name)


def test_is_unhealthy_when_it_does_not_answer(gateway: Container) -> None:
    """The health check fails if no process listens on the port."""
    code, said = fails(
        "exec", "--env=OWNERSHIP_GATEWAY_PORT=1", gateway.name, f"{_GATEWAY}/bin/python", f"{_GATEWAY}/healthcheck.py"
    )

    assert (code, said.strip()) == (1, "no answer (ConnectionRefusedError)")


def test_needs_no_shell(tmp_path: Path) -> None:
    """The image starts, answers and is healthy where no shell can be run."""
    shells = [shell for shell in _shells() for shell in ("--volume", f"/dev/null:{shell}:ro")]
    with running(tmp_path, *shells) as container:
        assert container.ask().status_code == 200
        podman("healthcheck", "run", container.name)


def _shells() -> list[str]:
    find = "import os; print(*sorted({os.path.realpath(f'/bin/{name}') for name in ('sh', 'bash', 'dash')}))"
    return podman("run", "--rm", "--entrypoint", f"{_GATEWAY}/bin/python", IMAGE, "-c", find).split()


def test_listens_on_loopback_unless_told() -> None:
    """An image that is just run cannot be reached from outside."""
    name = podman("run", "--detach", IMAGE, "serve", "--sandbox").strip()
    try:
        podman("wait", "--condition", "running", name)
        podman("exec", name, f"{_GATEWAY}/bin/python", "-c", _WAIT_UNTIL_IT_LISTENS)
        listening = [line.split()[1] for line in podman("exec", name, "cat", "/proc/net/tcp").splitlines()[1:]]
    finally:
        fails("rm", "--force", "--time", "0", name)

    assert {address.partition(":")[0] for address in listening} == {"0100007F"}


_WAIT_UNTIL_IT_LISTENS = """
import socket, time
for _ in range(200):
    with socket.socket() as probe:
        if not probe.connect_ex(("127.0.0.1", 8080)):
            break
    time.sleep(0.05)
"""


def test_refuses_to_be_open_to_all() -> None:
    """On every address and without callers it says what is wrong, and ends."""
    code, said = fails("run", "--rm", "--env=OWNERSHIP_GATEWAY_HOST=0.0.0.0", IMAGE, "serve", "--sandbox")

    assert code == Exit.CONFIGURATION
    assert "there are no [[callers]]" in said


def test_drains_under_load(tmp_path: Path) -> None:
    """At SIGTERM under load every question is still answered, and it ends in 0."""
    with running(tmp_path, DRAIN_SECONDS="3", ITCH__RATE="8", ITCH__BURST="15") as container:
        container.http.put("/sandbox/faults", json={"latency_ms": 300})
        load = _Load(container.url)
        with load.on():
            time.sleep(2)
            before = load.answers.total()
            podman("kill", "--signal", "TERM", container.name)
            _wait_until_not_ready(container)
            # As a load balancer does: for a while yet it does not know.
            time.sleep(1)
        code = podman("wait", container.name).strip()
        after = load.answers.total() - before

    assert load.failures == []
    assert load.answers.keys() <= {200, 503}
    assert load.answers[200] > load.answers[503]
    assert before > 100
    assert after > 100
    assert code == "0"


def test_finishes_what_is_under_way(tmp_path: Path) -> None:
    """A question that itch.io takes its time over is answered, even when draining is over at once."""
    with running(tmp_path, DRAIN_SECONDS="0") as container:
        container.http.put("/sandbox/faults", json={"latency_ms": 1500})
        with ThreadPoolExecutor(1) as somebody:
            answer = somebody.submit(container.ask)
            while "ownership_gateway_requests_in_flight 2.0" not in container.http.get("/metrics").text:
                time.sleep(0.02)
            podman("kill", "--signal", "TERM", container.name)
            status = answer.result().status_code
        code = podman("wait", container.name).strip()

    assert (status, code) == (200, "0")


def _wait_until_not_ready(container: Container) -> None:
    while container.http.get("/readyz").status_code != httpx.codes.SERVICE_UNAVAILABLE:
        time.sleep(0.02)


class _Load:
    """Game servers that ask all the time: most about a known key, some so that the store has to be asked."""

    _KNOWN = f'{{"game": 3, "download_key": "{seed.OWNER_KEY}"}}'
    _ASK_STORE = f'{{"game": 3, "download_key": "{seed.OWNER_KEY}", "max_age": 0}}'

    def __init__(self, url: str) -> None:
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self._where = urlsplit(url)
        self._enough = threading.Event()
        questions = [self._KNOWN] * 6 + [self._ASK_STORE] * 2
        self._threads = [threading.Thread(target=self._ask, args=(question,)) for question in questions]

    @contextmanager
    def on(self) -> Iterator[None]:
        """Ask until the block ends, and wait for the last answers."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, question: str) -> None:
        connection = http.client.HTTPConnection(self._where.hostname or "", self._where.port, timeout=15)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        with closing(connection):
            while not self._enough.is_set():
                try:
                    # Connects again by itself after an answer that asked for the connection to be closed.
                    connection.request("POST", "/verify/download-key", question, headers)
                    response = connection.getresponse()
                    response.read()
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(repr(error))
                    return
                self.answers[response.status] += 1
