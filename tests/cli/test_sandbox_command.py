"""`sandbox`: a stand-in store for a gateway elsewhere."""

import json
import re
import shlex
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.cli.exits import Exit
from service.sandbox import seed
from tests.cli.signals import run_until_signal
from tests.cli.terminals import run, start
from tests.redis_server import free_port


class Running:
    """A sandbox in a process of its own."""

    def __init__(self, process: Any, greeting: str) -> None:
        self.process = process
        self.greeting = greeting

    @property
    def base_url(self) -> str:
        """The address in its greeting."""
        return self.greeting.partition(" answers at ")[2].split()[0]

    def exports(self, dialect: str) -> dict[str, str]:
        """Return its printed settings for a dialect."""
        found: list[dict[str, str]] = []
        for name, value in re.findall(r"^export (\w+)=(.*)$", self.greeting, re.MULTILINE):
            if name.endswith("BASE_URL"):
                found.append({})
            found[-1][name] = shlex.split(value)[0]
        return next(one for one in found if one["OWNERSHIP_GATEWAY_ITCH__DIALECT"] == dialect)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    """A running sandbox, and its greeting."""
    with start(["sandbox", "--port", "0"]) as process:
        assert process.stderr is not None
        greeting = ""
        while "DELETE" not in greeting:
            line = process.stderr.readline()
            assert line, "it ended before it had greeted"
            greeting += line
        yield Running(process, greeting)
        process.terminate()


@pytest.mark.parametrize("dialect", ["current", "server-side"])
def test_its_settings_put_a_gateway_in_front_of_it(sandbox: Running, dialect: str) -> None:
    """The printed settings make a gateway ask this sandbox, in either dialect."""
    result = run(
        "verify", "--game", "3", "--method", "download_key",
        environ=sandbox.exports(dialect), stdin=seed.OWNER_KEY.encode(),
    )  # fmt: skip

    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["caveats"] == ["sandbox"]


def test_its_fault_line_lets_things_go_wrong(sandbox: Running) -> None:
    """The printed fault line throttles the store, and the line after it ends that."""
    put, delete = [shlex.split(line) for line in sandbox.greeting.splitlines() if "/sandbox/faults" in line]
    put_url, put_body = put[4], put[6]

    httpx.put(put_url, content=put_body)
    throttled = httpx.get(f"{sandbox.base_url}/profile")
    httpx.delete(delete[-1])
    well = httpx.get(f"{sandbox.base_url}/profile")

    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
    assert well.status_code == 401


def test_it_shows_what_it_holds(sandbox: Running) -> None:
    """The printed address shows examples."""
    line = next(line for line in sandbox.greeting.splitlines() if line.endswith("/sandbox"))

    assert httpx.get(line.split()[-1]).json()["examples"]


def test_it_says_that_nothing_is_real(sandbox: Running) -> None:
    """The greeting says that nothing is real."""
    assert "Nothing in it is real." in sandbox.greeting


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    """A signal stops it with exit code 0; every line of its log says sandbox."""
    port = free_port()

    result = run_until_signal(f"http://127.0.0.1:{port}/sandbox", number, "sandbox", "--port", str(port))

    assert result.exit_code == Exit.OK
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["started", "stopped"]
    assert all(line["sandbox"] is True for line in lines)


def test_loopback_needs_no_warning() -> None:
    """A sandbox on loopback prints no warning: only this machine can reach it."""
    port = free_port()

    result = run_until_signal(f"http://127.0.0.1:{port}/sandbox", signal.SIGTERM, "sandbox", "--port", str(port))

    assert "warning" not in result.stderr


def test_any_other_address_is_warned_about() -> None:
    """A sandbox on another address prints a warning, and the address to ask from here."""
    port = free_port()

    result = run_until_signal(
        f"http://127.0.0.1:{port}/sandbox",
        signal.SIGTERM,
        "sandbox",
        "--host",
        "0.0.0.0",  # noqa: S104
        "--port",
        str(port),
    )

    assert "warning: whoever reaches 0.0.0.0" in result.stderr
    assert f"BASE_URL=http://127.0.0.1:{port}\n" in result.stderr


def test_it_listens_on_loopback_of_ipv6() -> None:
    """An IPv6 address is printed with brackets."""
    port = free_port()

    result = run_until_signal(
        f"http://[::1]:{port}/sandbox", signal.SIGTERM, "sandbox", "--host", "::1", "--port", str(port)
    )

    assert f"BASE_URL=http://[::1]:{port}\n" in result.stderr
    assert "warning" not in result.stderr


def test_a_taken_port_is_one_line(sandbox: Running) -> None:
    """A taken port is one line, with the exit code of a bad configuration."""
    port = sandbox.base_url.rpartition(":")[2]

    result = run("sandbox", "--port", port, real_streams=True)

    assert result.exit_code == Exit.CONFIGURATION
    assert result.stderr == f"error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


def test_a_seller_key_of_the_gateway_is_no_hindrance() -> None:
    """A sandbox starts also in a shell that holds its own printed settings."""
    port = free_port()

    result = run_until_signal(
        f"http://127.0.0.1:{port}/sandbox", signal.SIGTERM, "sandbox", "--port", str(port),
        environ={"OWNERSHIP_GATEWAY_ITCH__API_KEY": seed.SELLER_KEY, "OWNERSHIP_GATEWAY_HOST": "0.0.0.0"},  # noqa: S104
    )  # fmt: skip

    assert result.exit_code == Exit.OK
