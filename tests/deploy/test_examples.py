"""`deploy/examples`: game servers that ask, each run against a real gateway with a sandbox, and against worse."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.processes import gateway
from tests.redis_server import free_port

_EXAMPLES: Final = Path(__file__).parents[2] / "deploy" / "examples"
_OWNER: Final = "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"
_REVOKED: Final = "sandbox-revoked-key-0000000000000000003x"
_CONFIGURATION: Final = """
[games.x-moon]
id = 3
grant_user_ids = [2010]
ban_user_ids = [2001]
"""


class Example:
    """One example, as a program that asks once and prints what to do."""

    def __init__(self, *command: str | Path) -> None:
        self._command = [*map(str, command)]

    def lines(
        self, address: str, path: str, question: dict[str, object], *, timeout: float = 0, token: str = ""
    ) -> list[str]:
        """Return the lines that it prints: one for each wait, then the decision about the player and its reason."""
        environment = os.environ | {"GATEWAY": address, "CALLER_TOKEN": token}
        command = [*self._command, path, json.dumps(question), str(timeout)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.splitlines()

    def asks(self, address: str, path: str, question: dict[str, object], *, token: str = "") -> tuple[str, str]:
        """Return its decision after the first answer, and the reason."""
        (line,) = self.lines(address, path, question, token=token)
        what, reason = line.split("\t")
        return what, reason


@pytest.fixture(scope="module", params=["python", "node", "csharp"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Example:
    """Every example whose language is here; `deploy/check-examples.sh` installs them all."""
    needed = {"python": sys.executable, "node": "node", "csharp": "mcs"}[request.param]
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not there")
    directory = _EXAMPLES / str(request.param)
    if request.param == "python":
        return Example(sys.executable, directory / "ownership.py")
    if request.param == "node":
        return Example("node", directory / "ownership.mjs")
    program = tmp_path_factory.mktemp("csharp") / "ownership.exe"
    references = ["-r:System.Net.Http.dll", "-r:System.Runtime.Serialization.dll"]
    subprocess.run(
        ["mcs", "-langversion:7", "-warnaserror", f"-out:{program}", *references, *directory.glob("*.cs")], check=True
    )
    return Example("mono", program)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway that knows one game, one grant and one ban."""
    file = tmp_path_factory.mktemp("gateway") / "gateway.toml"
    file.write_text(_CONFIGURATION, encoding="utf-8")
    port = free_port()
    with gateway({"PORT": str(port), "CONFIG": str(file)}):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def fragile() -> Iterator[str]:
    """The address of a gateway of the test's own, whose store it may break."""
    port = free_port()
    with gateway({"PORT": str(port)}):
        yield f"127.0.0.1:{port}"


def _break_store(address: str, fault: dict[str, object]) -> None:
    """Let the sandbox behind the gateway fail so."""
    request = urllib.request.Request(
        f"http://{address}/sandbox/faults",
        json.dumps(fault).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        assert response.status == 200


@contextmanager
def _somebody_else(reply: bytes | None) -> Iterator[str]:
    """Serve these bytes on every connection; None accepts it and never answers."""

    def serve() -> None:
        with suppress(OSError), ExitStack() as until_the_end:
            while True:
                connection, _ = listener.accept()
                until_the_end.enter_context(connection)
                if reply is not None:
                    with suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(reply)
                        connection.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()


def _http(status: str, body: object, *headers: str) -> bytes:
    """Return a whole answer of an HTTP server."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(text)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + text


@pytest.mark.parametrize(
    ("path", "question", "decided"),
    [
        ("/verify/download-key", {"download_key": _OWNER}, ("in", "download_key")),
        ("/verify/user", {"user_id": 2010}, ("in", "operator_grant")),
        ("/verify/download-key", {"download_key": _REVOKED}, ("out", "invalid_download_key")),
        ("/verify/user", {"user_id": 2001}, ("out", "operator_ban")),
        ("/verify/download-key", {"download_key": "no"}, ("other credential", "malformed_download_key")),
        ("/verify/user", {"user_id": "text"}, ("misconfigured", "wrong_type")),
    ],
    ids=["owned", "granted", "not owned", "banned", "rejected", "bad question"],
)
def test_outcomes(
    example: Example, address: str, path: str, question: dict[str, object], decided: tuple[str, str]
) -> None:
    """Every outcome but unknown is decided at the first answer."""
    assert example.asks(address, path, {"game": "x-moon", **question}) == decided


def test_unknown_game(example: Example, address: str) -> None:
    """A game that is not configured is the operator's mistake and not the player's."""
    assert example.asks(address, "/verify/user", {"game": "other", "user_id": 1}) == ("misconfigured", "unknown_game")


def test_unknown(example: Example, fragile: str) -> None:
    """A store that gives no answer grants nothing."""
    _break_store(fragile, {"html_challenge": True})

    decided = example.asks(fragile, "/verify/download-key", {"game": 3, "download_key": _OWNER})

    assert decided == ("later", "source_unavailable")


def test_keeps_the_player_waiting(example: Example, fragile: str) -> None:
    """The player waits as long as the gateway says, and gets in once the store answers again."""
    _break_store(fragile, {"html_challenge": True, "times": 1, "endpoint": "download_keys"})

    lines = example.lines(fragile, "/verify/download-key", {"game": 3, "download_key": _OWNER}, timeout=30)

    assert lines == ["waiting source_unavailable", "in\tdownload_key"]


def test_gives_up(example: Example, fragile: str) -> None:
    """When the time is over the player is still not granted anything."""
    _break_store(fragile, {"status": 429, "retry_after": "50"})

    lines = example.lines(fragile, "/verify/download-key", {"game": 3, "download_key": _OWNER}, timeout=5)

    assert lines == ["later\tsource_rate_limited"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a gateway with one slow caller, and the caller's token."""
    made = subprocess.run(
        [sys.executable, "-m", "service", "new-caller", "lobby", "--game", "3", "--right", "verify", "--rate", "0.5"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    printed = made.stdout
    file = tmp_path_factory.mktemp("guarded") / "gateway.toml"
    file.write_text(printed[printed.index("[[callers]]") :], encoding="utf-8")
    token = next(word for word in printed.split() if word.startswith("ogw_"))
    port = free_port()
    with gateway({"PORT": str(port), "CONFIG": str(file)}):
        yield f"127.0.0.1:{port}", token


def test_without_token(example: Example, guarded: tuple[str, str]) -> None:
    """The message for a caller without a token is to correct its set-up."""
    decided = example.asks(guarded[0], "/verify/download-key", {"game": 3, "download_key": _OWNER})

    assert decided == ("misconfigured", "not_authenticated")


def test_without_right(example: Example, guarded: tuple[str, str]) -> None:
    """The message for a caller without the right to ask is to correct its set-up."""
    decided = example.asks(guarded[0], "/verify/user", {"game": 3, "user_id": 1994}, token=guarded[1])

    assert decided == ("misconfigured", "not_permitted")


def test_too_many_questions(example: Example, guarded: tuple[str, str]) -> None:
    """A caller over its rate waits, and is then answered."""
    found = []
    for _ in range(12):
        found = example.lines(
            guarded[0], "/verify/download-key", {"game": 3, "download_key": _OWNER}, timeout=20, token=guarded[1]
        )
        if len(found) > 1:
            break

    assert found[0] == "waiting too_many_questions"
    assert found[-1] == "in\tdownload_key"


def test_nobody_there(example: Example) -> None:
    """A refused connection means later."""
    decided = example.asks(f"127.0.0.1:{free_port()}", "/verify/user", {"game": 3, "user_id": 1})

    assert decided == ("later", "no_usable_answer")


def test_a_frozen_gateway(example: Example) -> None:
    """A server that takes the connection and never answers means later."""
    with _somebody_else(None) as somewhere:
        decided = example.asks(somewhere, "/verify/user", {"game": 3, "user_id": 1})

    assert decided == ("later", "no_usable_answer")


def test_a_gateway_that_takes_no_connection(example: Example) -> None:
    """A server that accepts no connection means later, without an endless wait."""
    with ExitStack() as until_the_end:
        listener = until_the_end.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # The only place in the queue is taken; Linux gives the next connection no reply at all.
        until_the_end.enter_context(socket.create_connection(listener.getsockname()))

        decided = example.asks(f"127.0.0.1:{listener.getsockname()[1]}", "/verify/user", {"game": 3, "user_id": 1})

    assert decided == ("later", "no_usable_answer")


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-somebody\r\n",
        _http("200 OK", b"<html>welcome</html>"),
        _http("200 OK", b""),
        _http("200 OK", b"true"),
        _http("200 OK", b"null"),
        _http("200 OK", {}),
        _http("200 OK", [{"allowed": True}]),
        _http("200 OK", {"allowed": True}),
        _http("200 OK", {"allowed": "true", "outcome": "owned", "reason": "download_key"}),
        _http("200 OK", {"allowed": 1, "outcome": "owned", "reason": "download_key"}),
        _http("200 OK", {"allowed": True, "outcome": "not_owned", "reason": "no_download_key"}),
        _http("200 OK", {"allowed": False, "outcome": "owned", "reason": "download_key"}),
        _http("200 OK", {"allowed": None, "outcome": "owned", "reason": "download_key"}),
        _http("200 OK", {"allowed": True, "outcome": "unheard of", "reason": "download_key"}),
        _http("200 OK", b'{"allowed": true, "outcome": "owned"')[:-10],
    ],
    ids=range(16),
)
def test_garbage(example: Example, reply: bytes) -> None:
    """Garbage, and answers that contradict themselves, are neither a yes nor a no."""
    with _somebody_else(reply) as somewhere:
        decided = example.asks(somewhere, "/verify/user", {"game": 3, "user_id": 1})

    assert decided == ("later", "no_usable_answer")


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "302 Found", "401 Unauthorized", "500 Oops"])
def test_yes_with_another_status(example: Example, status: str) -> None:
    """A yes is only a yes with status 200."""
    body = {"allowed": True, "outcome": "owned", "reason": "download_key", "code": "a_code"}
    with _somebody_else(_http(status, body, "Location: /elsewhere")) as somewhere:
        what, _ = example.asks(somewhere, "/verify/user", {"game": 3, "user_id": 1})

    assert what in {"misconfigured", "later"}


@pytest.mark.parametrize("seconds", [-5, 0, "soon", None, True, 1e300])
def test_nonsense_in_retry_after(example: Example, seconds: object) -> None:
    """A `Retry-After` of any length or form neither breaks the example nor makes it hammer the gateway."""
    body = {"allowed": False, "code": "overloaded", "retry_after_seconds": seconds}
    with _somebody_else(_http("503 Service Unavailable", body)) as somewhere:
        found = example.lines(somewhere, "/verify/user", {"game": 3, "user_id": 1}, timeout=0.9)

    assert found[0].startswith("later\t")
