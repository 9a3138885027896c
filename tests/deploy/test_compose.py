"""The services of `deploy/compose.yaml`, up and running; `deploy/check-compose.sh` starts them and runs this."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from service.sandbox import seed
from tests.deploy.containers import fails, podman
from tests.gateways import read_metric

if "COMPOSE_COMMAND" not in os.environ:
    pytest.skip("nothing is up: run deploy/check-compose.sh", allow_module_level=True)

_COMPOSE: Final = os.environ["COMPOSE_COMMAND"].split()
_PROJECT: Final = _COMPOSE[-1]
_GATEWAY: Final = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}"
_PROMETHEUS: Final = f"http://127.0.0.1:{os.environ['PROMETHEUS_PORT']}"
_ALERTMANAGER: Final = f"http://127.0.0.1:{os.environ['ALERTMANAGER_PORT']}"
_TIMEOUT_SECONDS: Final = 60.0
_SERVICES: Final = ["gateway", "redis", "prometheus", "alertmanager"]


@pytest.fixture(scope="module")
def token() -> str:
    """The caller's token, asked for as compose.yaml says."""
    run = [*_COMPOSE, "run", "--rm", "setup", "token"]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def _get(url: str, **parameters: str) -> Any:
    return httpx.get(url, params=parameters, trust_env=False).raise_for_status().json()


def _ask(token: str, **fields: object) -> httpx.Response:
    question = {"game": "x-moon", "download_key": seed.OWNER_KEY, **fields}
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{_GATEWAY}/verify/download-key", json=question, headers=headers, trust_env=False)


def _until(true: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < give_up_at:
        try:
            if true():
                return
        except (httpx.HTTPError, KeyError, IndexError):
            pass
        time.sleep(0.2)
    raise AssertionError("it did not come true")


def _container(service: str) -> str:
    labels = [f"label=com.docker.compose.project={_PROJECT}", f"label=com.docker.compose.service={service}"]
    return podman("ps", "--all", "--quiet", *(f"--filter={label}" for label in labels)).split()[0]


def _inspect(service: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(podman("inspect", _container(service)))
    return found[0]


def _redis(*command: str) -> str:
    """Return the reply of Redis to a client without a password."""
    return podman("exec", _container("redis"), "redis-cli", *command).strip()


def _as_the_gateway(*command: str) -> str:
    """Return the reply of Redis to the gateway's own user; nothing while it cannot be reached."""
    url = podman("exec", _container("gateway"), "cat", "/run/gateway-secrets/redis-url")
    login = ("--no-auth-warning", "-u", url.replace("@redis:", "@127.0.0.1:"))
    code, said = fails("exec", _container("redis"), "redis-cli", *login, *command)
    return said.strip() if code == 0 else ""


def _redis_knows_the_gateway() -> bool:
    """Return whether Redis answers the gateway's own user, who may ask it for the time, but not PING."""
    return _as_the_gateway("time").split()[0].isdigit()


def _stored_in_redis() -> float:
    """Return how often the gateway has stored an answer in Redis, from the port that is not published."""
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/metrics').read().decode())"
    metrics = podman("exec", _container("gateway"), "/opt/ownership-gateway/bin/python", "-c", code)
    return read_metric(metrics, "cache_operations_total", tier="redis", operation="put", result="stored")


def test_answers(token: str) -> None:
    """The sandbox's owner owns the game."""
    _until(lambda: _ask(token).status_code == 200)

    assert _ask(token).json()["outcome"] == "owned"


def test_says_that_it_is_a_sandbox(token: str) -> None:
    """The answers of the sandbox carry its caveat."""
    assert _ask(token).json()["caveats"] == ["sandbox"]


def test_asks_who_asks() -> None:
    """A caller without the token gets no answer."""
    assert _ask("ogw_somebody-else").status_code == 401


def test_keeps_metrics_to_itself() -> None:
    """The metrics are not on the published port."""
    assert httpx.get(f"{_GATEWAY}/metrics", trust_env=False).status_code == 404


def test_remembers_in_redis(token: str) -> None:
    """An observation is stored in Redis, which requires a password."""
    before = _stored_in_redis()

    _ask(token, max_age=0)

    _until(lambda: _stored_in_redis() > before)


def test_redis_grants_the_gateway_all_it_needs() -> None:
    """The gateway's own examination of its Redis finds that it can write, read and delete there."""
    doctor = podman("exec", _container("gateway"), "/opt/ownership-gateway/bin/ownership-gateway", "doctor", "--json")
    found = {finding["check"]: finding["verdict"] for finding in json.loads(doctor)["checks"]}

    assert (found["redis"], found["redis rights"], found["redis writes"]) == ("ok", "ok", "ok")


def test_answers_without_redis(token: str) -> None:
    """Redis may go, and only costs more questions to the store."""
    podman("stop", _container("redis"))
    try:
        answer = _ask(token, max_age=0)
    finally:
        podman("start", _container("redis"))
        _until(_redis_knows_the_gateway)

    assert answer.json()["outcome"] == "owned"


@pytest.mark.parametrize("command", [("ping",), ("get", "og:v2:x"), ("keys", "*"), ("acl", "whoami")])
def test_redis_refuses_strangers(command: tuple[str, ...]) -> None:
    """Without a password not even PING is answered."""
    _until(lambda: "NOAUTH" in _redis("ping"))

    assert "NOAUTH" in _redis(*command)


@pytest.mark.parametrize(
    "command", [("keys", "*"), ("get", "somebody-else"), ("flushall",), ("config", "get", "*"), ("acl", "list")]
)
def test_redis_grants_the_gateway_no_more_than_it_needs(command: tuple[str, ...]) -> None:
    """Other keys and other commands are refused to the gateway's user."""
    _until(_redis_knows_the_gateway)

    assert "NOPERM" in _as_the_gateway(*command)


def test_redis_is_on_no_published_port() -> None:
    """Redis is reached only over the network that it shares with the gateway."""
    assert not any(_inspect("redis")["HostConfig"]["PortBindings"].values())


@pytest.mark.parametrize("service", ["gateway", "prometheus", "alertmanager"])
def test_ports_are_open_to_this_machine_alone(service: str) -> None:
    """Every published port is on loopback."""
    bindings = _inspect(service)["HostConfig"]["PortBindings"].values()

    assert {one["HostIp"] for binding in bindings for one in binding} == {"127.0.0.1"}


@pytest.mark.parametrize("service", _SERVICES)
def test_is_confined(service: str) -> None:
    """Each runs on a read-only root, without capabilities, and dumps no memory."""
    host = _inspect(service)["HostConfig"]
    status = podman("exec", _container(service), "cat", "/proc/1/status", "/proc/1/limits")

    assert host["ReadonlyRootfs"]
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "\nUid:\t0" not in status
    assert "Max core file size        0 " in status


def test_prometheus_scrapes_the_gateway() -> None:
    """Prometheus has the gateway's metrics, which say that Redis is there."""
    _until(lambda: _series("ownership_gateway_redis_up") == ["1"])
    _until(lambda: _series('up{job="ownership-gateway"}') == ["1"])


def test_prometheus_has_its_rules() -> None:
    """The rules that come with it are loaded, and none of them fails."""
    rules = [rule for group in _get(f"{_PROMETHEUS}/api/v1/rules")["data"]["groups"] for rule in group["rules"]]

    assert rules
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}


def test_prometheus_knows_the_alertmanager() -> None:
    """Alerts have somewhere to go."""
    _until(lambda: _get(f"{_PROMETHEUS}/api/v1/alertmanagers")["data"]["activeAlertmanagers"])


def test_alertmanager_is_ready() -> None:
    """Alertmanager accepts its configuration."""
    assert _get(f"{_ALERTMANAGER}/api/v2/status")["config"]["original"]


def test_setup_changes_nothing_the_second_time(token: str) -> None:
    """A second run keeps every password."""
    before = podman("exec", _container("gateway"), "cat", "/run/gateway-secrets/redis-url")
    podman("start", "--attach", _container("setup"))

    assert podman("exec", _container("gateway"), "cat", "/run/gateway-secrets/redis-url") == before
    assert _ask(token).status_code == 200


def test_setup_is_over() -> None:
    """The container that makes the secrets has ended, and printed none of them."""
    setup = _container("setup")

    assert podman("wait", setup).strip() == "0"
    assert fails("logs", setup) == (0, "")


def _series(query: str) -> list[str]:
    result = _get(f"{_PROMETHEUS}/api/v1/query", query=query)["data"]["result"]
    return [sample["value"][1] for sample in result]
