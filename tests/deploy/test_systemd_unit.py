"""The systemd unit, running under a real systemd; `deploy/check-systemd.sh` provides it and runs this."""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from service.cli.exits import Exit
from service.sandbox import seed
from tests.deploy.containers import fails, podman

if "SYSTEMD_CONTAINER" not in os.environ:
    pytest.skip("no systemd is up: run deploy/check-systemd.sh", allow_module_level=True)

_MACHINE: Final = os.environ["SYSTEMD_CONTAINER"]
_UNIT: Final = "ownership-gateway"
_TIMEOUT_SECONDS: Final = 30.0
_STORE: Final = "http://127.0.0.1:8999"

_INSTALL: Final = f"""
set -e
install -d -m 711 /etc/ownership-gateway
install -m 600 /unit/ownership-gateway.env /etc/ownership-gateway/environment
install -m 644 /unit/gateway.toml /etc/ownership-gateway/gateway.toml
echo OWNERSHIP_GATEWAY_ITCH__BASE_URL={_STORE} >>/etc/ownership-gateway/environment
printf %s {seed.SELLER_KEY} | install -m 600 /dev/stdin /etc/ownership-gateway/itch-api-key
install -m 644 /unit/ownership-gateway.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now ownership-gateway
"""

_ASK: Final = """
import json, sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:8080" + sys.argv[1], data=sys.argv[2].encode() or None)
request.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(request).read().decode())
"""


def _run(*command: str) -> str:
    return podman("exec", _MACHINE, *command).strip()


def _shown(name: str) -> str:
    """Return a property of the unit."""
    return _run("systemctl", "show", "--property", name, "--value", _UNIT)


def _ask(path: str, **question: object) -> Any:
    """Return the gateway's answer to a program on the same machine."""
    body = json.dumps(question) if question else ""
    return json.loads(_run("/opt/ownership-gateway/bin/python", "-c", _ASK, path, body))


def _until(true: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + _TIMEOUT_SECONDS
    while not true():
        if time.monotonic() > give_up_at:
            raise AssertionError(fails("exec", _MACHINE, "journalctl", "--no-pager", "--unit", _UNIT)[1])
        time.sleep(0.1)


def _answers() -> bool:
    code, _ = fails("exec", _MACHINE, "/opt/ownership-gateway/bin/python", "-c", _ASK, "/readyz", "")
    return code == 0


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    """A sandbox in the place of itch.io, and the unit installed as it says."""
    gateway = "/opt/ownership-gateway/bin/ownership-gateway"
    _run("systemd-run", "--unit=store", gateway, "sandbox", "--port", _STORE.rpartition(":")[2])
    _run("/bin/sh", "-c", _INSTALL)
    _until(_answers)
    yield
    _run("systemctl", "stop", _UNIT, "store")


def test_answers() -> None:
    """The key that systemd handed over opens the store."""
    answer = _ask("/verify/download-key", game="x-moon", download_key=seed.OWNER_KEY)

    assert answer["outcome"] == "owned"


def test_runs_as_nobody_else() -> None:
    """The unit has a user of its own, which exists only while it runs."""
    user = _run("ps", "-o", "user=", "-p", _shown("MainPID"))

    assert user not in {"root", "nobody", ""}
    assert fails("exec", _MACHINE, "grep", f"^{user}:", "/etc/passwd")[0] == 1


def test_holds_the_key_in_no_environment() -> None:
    """The key is not in the process's environment, only the path of its file is."""
    environment = _run("cat", f"/proc/{_shown('MainPID')}/environ")

    assert "ITCH__API_KEY_FILE=/run/credentials/" in environment
    assert seed.SELLER_KEY not in environment


def test_dumps_no_memory() -> None:
    """There is no core file with keys in it."""
    assert "Max core file size        0 " in _run("cat", f"/proc/{_shown('MainPID')}/limits")


def test_has_no_capabilities() -> None:
    """None is left, and none can be had."""
    status = _run("cat", f"/proc/{_shown('MainPID')}/status")

    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_comes_back_after_a_crash() -> None:
    """The gateway is started again when it is killed."""
    before = _shown("MainPID")

    _run("kill", "-KILL", before)

    _until(lambda: _shown("MainPID") not in {before, "0"} and _answers())


def test_reads_its_file_again() -> None:
    """A reload takes the new games, and the process stays."""
    before = _shown("MainPID")
    _run("sed", "-i", "s/x-moon/y-moon/", "/etc/ownership-gateway/gateway.toml")

    _run("systemctl", "reload", _UNIT)
    try:
        _until(lambda: '"event":"configuration_reloaded"' in _run("journalctl", "--output=cat", "--unit", _UNIT))
        answer = _ask("/verify/download-key", game="y-moon", download_key=seed.OWNER_KEY)
    finally:
        _run("sed", "-i", "s/y-moon/x-moon/", "/etc/ownership-gateway/gateway.toml")
        _run("systemctl", "reload", _UNIT)

    assert answer["outcome"] == "owned"
    assert _shown("MainPID") == before


def test_stops_in_order() -> None:
    """The gateway drains and ends in 0, which is a success to systemd."""
    _run("systemctl", "stop", _UNIT)
    ended = _shown("Result"), _shown("ExecMainStatus"), _shown("ActiveState")
    said = _run("journalctl", "--no-pager", "--output=cat", "--unit", _UNIT)
    _run("systemctl", "start", _UNIT)
    _until(_answers)

    assert ended == ("success", "0", "inactive")
    assert '"event":"draining"' in said
    assert '"event":"stopped"' in said


def test_stays_down_with_an_unusable_configuration() -> None:
    """An unusable configuration ends the unit without further starts."""
    file = "/etc/ownership-gateway/environment"
    _run("sed", "-i", "s/_PORT=8080/_PORT=none/", file)
    _run("/bin/sh", "-c", f"systemctl restart {_UNIT} || true")
    try:
        _until(lambda: _shown("ActiveState") == "failed")
        ended = _shown("ExecMainStatus"), _shown("NRestarts")
    finally:
        _run("sed", "-i", "s/_PORT=none/_PORT=8080/", file)
        _run("systemctl", "restart", _UNIT)
        _until(_answers)

    assert ended == (f"{Exit.CONFIGURATION:d}", "0")
