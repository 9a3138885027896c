"""`deploy/examples`: game servers that ask, each run against a real gateway with a sandbox, and against worse."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.cache.certificates import write_certificate
from tests.deploy.processes import environment, gateway
from tests.docs.pages import ROOT, blocks, code, table
from tests.redis_server import free_port

_EXAMPLES: Final = ROOT / "deploy" / "examples"
_LANGUAGES: Final = ("python", "node", "csharp")
_OWNER: Final = "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"
_REVOKED: Final = "sandbox-revoked-key-0000000000000000003x"
_CONFIGURATION: Final = """
[games.x-moon]
id = 3
grant_user_ids = [2010]
ban_user_ids = [2001]
"""


class Line(NamedTuple):
    """A line that an example prints."""

    what: str
    reason: str
    shown: str
    """The text for the player."""


class Example:
    """One example, as a program that asks once and prints what to do."""

    def __init__(self, *command: str | Path) -> None:
        self._command = [*map(str, command)]

    def run(
        self, path: str, question: dict[str, object], variables: Mapping[str, str], *, timeout: float = 0
    ) -> "subprocess.CompletedProcess[str]":
        """Run it in an environment that also has these variables."""
        command = [*self._command, path, json.dumps(question), str(timeout)]
        return subprocess.run(
            command, env=os.environ | dict(variables), capture_output=True, text=True, check=False, timeout=60
        )

    def lines(
        self, address: str, path: str, question: dict[str, object], *, timeout: float = 0, token: str = ""
    ) -> list[Line]:
        """Return the lines that it prints: one for each wait, then the decision about the player."""
        ran = self.run(path, question, {"GATEWAY": address, "CALLER_TOKEN": token}, timeout=timeout)
        return printed(ran)

    def asks(self, address: str, path: str, question: dict[str, object], *, token: str = "") -> tuple[str, str]:
        """Return its decision after the first answer, and the reason."""
        (line,) = self.lines(address, path, question, token=token)
        return line.what, line.reason


def printed(ran: "subprocess.CompletedProcess[str]") -> list[Line]:
    """Return the lines of an example that has ended well."""
    assert (ran.returncode, ran.stderr) == (0, "")
    return [Line(*line.split("\t")) for line in ran.stdout.splitlines()]


def _language(request: pytest.FixtureRequest) -> str:
    """Return the language of a test's parameter, if it is here; `deploy/check-examples.sh` installs them all."""
    language = str(request.param)
    needed = {"python": sys.executable, "node": "node", "csharp": "mcs"}[language]
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not there")
    return language


@pytest.fixture(scope="module", params=_LANGUAGES)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Example:
    """Every example whose language is here."""
    language = _language(request)
    directory = _EXAMPLES / language
    if language == "python":
        return Example(sys.executable, directory / "ownership.py")
    if language == "node":
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
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def fragile() -> Iterator[str]:
    """The address of a gateway of the test's own, whose store it may break."""
    port = free_port()
    with gateway({"PORT": str(port)}):
        yield f"http://127.0.0.1:{port}"


def _break_store(address: str, fault: dict[str, object]) -> None:
    """Let the sandbox behind the gateway fail so."""
    request = urllib.request.Request(  # noqa: S310 - a gateway of the test's own
        f"{address}/sandbox/faults",
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
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
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


@pytest.mark.parametrize(
    ("path", "question", "advice"),
    [
        ("/verify/download-key", {"download_key": _REVOKED}, "copy_key_again"),
        ("/verify/user", {"user_id": 2007}, "open_game_once"),
        ("/verify/user", {"user_id": 2001}, None),
        ("/verify/jwt", {"jwt": "no"}, "restart_from_app"),
    ],
    ids=["revoked", "owns nothing", "banned", "no JWT"],
)
def test_shown_to_the_player(
    example: Example, address: str, path: str, question: dict[str, object], advice: str | None
) -> None:
    """A player who is not let in sees the sentence of docs/api.md for the advice, and a support code."""
    (line,) = example.lines(address, path, {"game": "x-moon", **question})

    sentence = "" if advice is None else _advised(advice) + " "
    assert re.fullmatch(rf"{re.escape(sentence)}Support code: [0-9A-Z]{{26}}", line.shown)


def _advised(advice: str) -> str:
    """Return the sentence that docs/api.md has for an advice."""
    (sentence,) = (row[1] for row in table("docs/api.md", "Advice", first="advice").rows if code(row[0]) == advice)
    return sentence.rpartition('"')[0].removeprefix('"') + "."


@pytest.mark.parametrize(
    "file", ["python/ownership.py", "node/ownership.mjs", "csharp/OwnershipGateway.cs", "gdscript/ownership_gateway.gd"]
)
def test_sentences(file: str) -> None:
    """Each example has the sentence of docs/api.md for each advice."""
    source = (_EXAMPLES / file).read_text(encoding="utf-8")
    joined = re.sub(r'"\s*\+?\s*"', "", source)

    for row in table("docs/api.md", "Advice", first="advice").rows:
        advice = code(row[0])
        assert re.search(rf'\b{advice}"?[:,][\s(]*"{re.escape(_advised(advice))}"', joined), advice


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

    assert [line[:2] for line in lines] == [("waiting", "source_unavailable"), ("in", "download_key")]
    assert lines[0].shown.startswith(_advised("try_again") + " Support code: ")
    assert lines[1].shown == ""


def test_gives_up(example: Example, fragile: str) -> None:
    """When the time is over the player is still not granted anything."""
    _break_store(fragile, {"status": 429, "retry_after": "50"})

    (line,) = example.lines(fragile, "/verify/download-key", {"game": 3, "download_key": _OWNER}, timeout=5)

    assert line[:2] == ("later", "source_rate_limited")


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
        yield f"http://127.0.0.1:{port}", token


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
    found: list[Line] = []
    for _ in range(12):
        found = example.lines(
            guarded[0], "/verify/download-key", {"game": 3, "download_key": _OWNER}, timeout=20, token=guarded[1]
        )
        if len(found) > 1:
            break

    assert found[0] == Line("waiting", "too_many_questions", "")
    assert found[-1] == Line("in", "download_key", "")


def test_nobody_there(example: Example) -> None:
    """A refused connection means later."""
    decided = example.asks(f"http://127.0.0.1:{free_port()}", "/verify/user", {"game": 3, "user_id": 1})

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

        decided = example.asks(
            f"http://127.0.0.1:{listener.getsockname()[1]}", "/verify/user", {"game": 3, "user_id": 1}
        )

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


@pytest.mark.parametrize("shown", [{"advice": 3, "decision_id": ["x"]}, {"advice": "constructor"}, {"advice": None}])
def test_nonsense_for_the_player(example: Example, shown: dict[str, object]) -> None:
    """Advice that the example does not know has no sentence, and breaks nothing."""
    body = {"allowed": False, "outcome": "not_owned", "reason": "no_download_key", **shown}
    with _somebody_else(_http("200 OK", body)) as somewhere:
        (line,) = example.lines(somewhere, "/verify/user", {"game": 3, "user_id": 1})

    assert (line.what, line.shown) in {("out", ""), ("later", "")}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "localhost",
        "//127.0.0.1:8080",
        "ftp://127.0.0.1:8080",
        "http:127.0.0.1:8080",
        "http://",
        "http://:8080",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://user:a-secret@127.0.0.1:8080",
        "http://127.0.0.1:8080/verify",
        "http://127.0.0.1:8080?a-secret",
        "http://127.0.0.1:8080#a-secret",
        " http://127.0.0.1:8080",
        "http://127.0.0.1:8080\n",
    ],
)
def test_no_url(example: Example, url: str) -> None:
    """An address without a scheme, and all else that is no URL of a gateway, ends it at the start with one line."""
    ran = example.run("/verify/user", {"game": 3, "user_id": 1994}, {"GATEWAY": url})

    assert ran.returncode == 1
    assert ran.stderr == "error: GATEWAY is no URL such as http://127.0.0.1:8080 or https://gateway.example\n"
    assert ran.stdout == ""


class Secure(NamedTuple):
    """A server that speaks TLS in front of a gateway, with a certificate that no system trusts."""

    address: str
    certificate: Path


@pytest.fixture(scope="module")
def secure(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """The gateway behind such a server."""
    directory = tmp_path_factory.mktemp("tls")
    write_certificate(directory, address="localhost")  # Mono takes no IP address in one
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    upstream = urlsplit(address)

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as client:
                    _pass_on(client, (str(upstream.hostname), upstream.port or 80))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield Secure(f"https://localhost:{listener.getsockname()[1]}", directory / "certificate.pem")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()


def _pass_on(client: socket.socket, gateway: tuple[str, int]) -> None:
    """Hand one request on to the gateway, and its answer back."""
    request = b""
    while b"\r\n\r\n" not in request or not request.endswith(b"}"):
        request += client.recv(65536)
    with socket.create_connection(gateway) as upstream:
        upstream.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        while answer := upstream.recv(65536):
            client.sendall(answer)


@pytest.fixture
def trust(request: pytest.FixtureRequest, example: Example, secure: Secure, tmp_path: Path) -> dict[str, str]:
    """The variables with which the example trusts that certificate, as its README says."""
    language = request.node.callspec.params["example"]
    if language == "python":
        return {"SSL_CERT_FILE": str(secure.certificate)}
    if language == "node":
        return {"NODE_EXTRA_CA_CERTS": str(secure.certificate)}
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    subprocess.run(
        ["cert-sync", "--user", secure.certificate], check=True, env=os.environ | home, stdout=subprocess.DEVNULL
    )
    return home


def test_tls(example: Example, secure: Secure, trust: dict[str, str]) -> None:
    """A gateway behind TLS is asked, if the certificates that are trusted fit."""
    question: dict[str, object] = {"game": "x-moon", "download_key": _OWNER}

    (line,) = printed(example.run("/verify/download-key", question, {"GATEWAY": secure.address} | trust))

    assert line == Line("in", "download_key", "")


def test_untrusted_tls(example: Example, secure: Secure) -> None:
    """A server whose certificate is not trusted is told nothing, and its yes means nothing."""
    decided = example.asks(secure.address, "/verify/download-key", {"game": "x-moon", "download_key": _OWNER})

    assert decided == ("later", "no_usable_answer")


@pytest.fixture(scope="module")
def made_to_run() -> Iterator[str]:
    """The address of the gateway that `make run` starts, by the command in the Makefile."""
    made = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    command = made.stdout.splitlines()[-1].removeprefix("exec ").split()
    assert Path(command[0]).name == "ownership-gateway"
    port = free_port()
    with gateway({"PORT": str(port)}, *command[1:]):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("language", _LANGUAGES, indirect=True)
def test_readme(language: str, made_to_run: str, tmp_path: Path) -> None:
    """The command in each README, as it stands there, lets an owner in at what `make run` starts."""
    directory = shutil.copytree(_EXAMPLES / language, tmp_path / language)
    (command,) = blocks(f"deploy/examples/{language}/README.md", "sh")

    ran = subprocess.run(  # noqa: S602 - a line to paste
        command,
        shell=True,
        cwd=directory,
        env=environment({}) | {"GATEWAY": made_to_run},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert printed(ran) == [Line("in", "download_key", "")]


@pytest.fixture
def language(request: pytest.FixtureRequest) -> str:
    """The language of the parameter, if it is here."""
    return _language(request)


@pytest.mark.parametrize("seconds", [-5, 0, "soon", None, True, 1e300])
def test_nonsense_in_retry_after(example: Example, seconds: object) -> None:
    """A `Retry-After` of any length or form neither breaks the example nor makes it hammer the gateway."""
    body = {"allowed": False, "code": "overloaded", "retry_after_seconds": seconds}
    with _somebody_else(_http("503 Service Unavailable", body)) as somewhere:
        found = example.lines(somewhere, "/verify/user", {"game": 3, "user_id": 1}, timeout=0.9)

    assert found[0].what == "later"
