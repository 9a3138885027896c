"""`deploy/examples/lobby`: players who know only an address, in front of a real gateway with a sandbox."""

import importlib
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from service.sandbox import seed
from tests.deploy.processes import environment, gateway
from tests.redis_server import free_port

_EXAMPLES: Final = Path(__file__).parents[2] / "deploy" / "examples"


class Told(NamedTuple):
    """The status of an answer, its body, and how long to wait."""

    status: int
    body: Any
    wait: str | None


def send(url: str, body: object = None, *, method: str = "POST") -> Told:
    """Send JSON, or bytes."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - a server of the test's own
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
            return Told(response.status, json.loads(response.read()), None)
    except urllib.error.HTTPError as error:
        return Told(error.code, json.loads(error.read()), error.headers["Retry-After"])


class RunningLobby(NamedTuple):
    """A lobby and its gateway, by their addresses."""

    url: str
    gateway: str

    def code(self, email: str) -> Told:
        """Have a code mailed."""
        return send(f"{self.url}/code", {"email": email})

    def mailed(self) -> str:
        """Return the code of the last mail."""
        text = send(f"{self.gateway}/sandbox/mails", method="GET").body[-1]["text"]
        (code,) = [word for word in text.split() if word.isdecimal() and len(word) == 8]
        return str(code)

    def enter(self, begun: Told, code: str) -> Told:
        """Type a code."""
        return send(f"{self.url}/enter", {"challenge": begun.body["challenge"], "code": code})


@contextmanager
def _lobby(directory: Path, address: str) -> Iterator[str]:
    studio = shutil.copytree(_EXAMPLES / "lobby", directory / "studio")
    shutil.copy(_EXAMPLES / "python" / "ownership.py", studio)
    port = str(free_port())
    variables = environment({}) | {"GATEWAY": address, "GAME": "3", "PORT": port}
    command = [sys.executable, "lobby.py"]
    with subprocess.Popen(command, cwd=studio, env=variables, stdout=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout is not None
            assert it.stdout.readline().startswith("listening")
            yield f"http://127.0.0.1:{port}"
        finally:
            it.kill()


@pytest.fixture
def lobby(tmp_path: Path) -> Iterator[RunningLobby]:
    """A lobby in front of a gateway."""
    port = str(free_port())
    address = f"http://127.0.0.1:{port}"
    with gateway({"PORT": port}), _lobby(tmp_path, address) as url:
        yield RunningLobby(url, address)


def test_a_buyer_gets_a_seat(lobby: RunningLobby) -> None:
    """By the code in the mail, and not by another one."""
    begun = lobby.code(seed.BUYER_EMAIL)
    code = lobby.mailed()
    wrong = lobby.enter(begun, f"{(int(code) + 1) % 10**8:08}")
    right = lobby.enter(begun, code)

    assert (begun.status, wrong.status, right.status) == (200, 403, 200)
    assert (wrong.body, right.body.keys()) == ({"shown": "That is another code."}, {"shown", "seat"})


def test_a_stranger_gets_none(lobby: RunningLobby) -> None:
    """The answer to the address is that of a buyer; the one to the code says what to do."""
    buyer, stranger = lobby.code(seed.BUYER_EMAIL), lobby.code("stranger@example.com")
    entered = lobby.enter(stranger, lobby.mailed())

    assert (stranger.status, stranger.body.keys()) == (buyer.status, buyer.body.keys())
    assert (entered.status, entered.body.keys()) == (403, {"shown"})
    assert "Support code: " in entered.body["shown"]


def test_an_outage_costs_no_tries(lobby: RunningLobby) -> None:
    """Seven times the store says nothing, and then the same code opens."""
    begun = lobby.code(seed.BUYER_EMAIL)
    code = lobby.mailed()
    send(f"{lobby.gateway}/sandbox/faults", {"status": 500}, method="PUT")
    waits = [lobby.enter(begun, code) for _ in range(7)]
    send(f"{lobby.gateway}/sandbox/faults", method="DELETE")

    assert {(told.status, int(told.wait or 0) >= 1) for told in waits} == {(503, True)}
    assert lobby.enter(begun, code).status == 200


@pytest.mark.parametrize("email", ["bea", "bea@example.com\r\nBcc: eve@example.com", ""])
def test_what_is_no_address(lobby: RunningLobby, email: str) -> None:
    """No mail is sent."""
    assert lobby.code(email).status == 400
    assert send(f"{lobby.gateway}/sandbox/mails", method="GET").body == []


def test_mails_of_one_host_are_few(lobby: RunningLobby) -> None:
    """The gateway would allow more."""
    told = [lobby.code(f"player-{number}@example.com") for number in range(6)]

    assert [one.status for one in told] == [200] * 5 + [503]
    assert told[-1].wait == "600"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"email": 7}', b"\xff", b'{"challenge": "a"}', b" " * 3000])
@pytest.mark.parametrize("path", ["/code", "/enter", "/"])
def test_what_is_no_request(lobby: RunningLobby, path: str, body: bytes) -> None:
    """The gateway is not asked."""
    assert send(f"{lobby.url}{path}", body).status in (400, 404)


def test_a_gateway_that_is_gone(tmp_path: Path) -> None:
    """Players wait."""
    with _lobby(tmp_path, f"http://127.0.0.1:{free_port()}") as url:
        told = send(f"{url}/code", {"email": seed.BUYER_EMAIL})

    assert (told.status, told.wait) == (503, "2")


def test_a_proof_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the oldest goes where there are too many."""
    monkeypatch.syspath_prepend(str(_EXAMPLES / "python"))
    monkeypatch.syspath_prepend(str(_EXAMPLES / "lobby"))
    lobby = importlib.import_module("lobby")
    now = [0.0]
    kept = lobby.Remembered(60, lambda: now[0])
    kept.set("a", "1")
    now[0] = 59
    kept.set("a", "2")
    assert kept.get("a") == "2"
    now[0] = 60
    assert kept.get("a") is None

    for number in range(lobby.MOST_REMEMBERED + 1):
        kept.set(str(number), "x")
    assert (kept.get("0"), kept.get("1")) == (None, "x")
