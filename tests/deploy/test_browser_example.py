"""`deploy/examples/browser`: a browser game's server, in front of a real gateway with a sandbox."""

import importlib
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from service.sandbox import seed
from tests.deploy.processes import environment, gateway
from tests.redis_server import free_port

_EXAMPLES: Final = Path(__file__).parents[2] / "deploy" / "examples"
_LARGE: Final = b'{"access_token": "a-token-of-a-player"' + b" " * 2000 + b"}"


class Answer(NamedTuple):
    """An answer over HTTP, with its body as JSON."""

    status: int
    body: Any
    headers: Message


def _send(
    method: str, url: str, body: object = None, *, origin: str | None = None, session: str | None = None
) -> Answer:
    headers = {"Content-Type": "application/json"}
    if origin is not None:
        headers["Origin"] = origin
    if session is not None:
        headers["Authorization"] = f"Bearer {session}"
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - a server of the test's own
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310 - as above
            return Answer(response.status, _read(response.read()), response.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, _read(error.read()), error.headers)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


class Game(NamedTuple):
    """The game's server and its gateway, by their addresses."""

    url: str
    gateway: str

    def token(self, user_id: int, **more: object) -> str:
        """Return an access token that the user has given to the seller's application, or to another."""
        answer = _send("POST", f"{self.gateway}/sandbox/access-tokens", {"user_id": user_id, **more})
        return str(answer.body["access_token"])

    def log_in(self, token: object) -> Answer:
        """Log in from the game's own page."""
        return _send("POST", f"{self.url}/session", {"access_token": token}, origin=self.url)

    def treasure(self, session: str | None) -> Answer:
        """Ask for what only owners get."""
        return _send("GET", f"{self.url}/treasure", session=session)


@contextmanager
def _game(directory: Path, address: str) -> Iterator[str]:
    studio = shutil.copytree(_EXAMPLES / "browser", directory / "studio")
    shutil.copy(_EXAMPLES / "python" / "ownership.py", studio)
    port = str(free_port())
    variables = environment({}) | {"GATEWAY": address, "GAME": "3", "CLIENT_ID": "an-application", "PORT": port}
    command = [sys.executable, "server.py"]
    with subprocess.Popen(command, cwd=studio, env=variables, stdout=subprocess.PIPE, text=True) as it:
        try:
            assert it.stdout is not None
            assert it.stdout.readline().startswith("listening")
            yield f"http://127.0.0.1:{port}"
        finally:
            it.kill()


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Game]:
    """A game in front of a gateway that takes access tokens."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with (
        gateway({"PORT": str(port), "ITCH__ACCESS_TOKENS": "true"}),
        _game(tmp_path_factory.mktemp("game"), address) as url,
    ):
        yield Game(url, address)


def test_an_owner_gets_in(game: Game) -> None:
    """And gets what only owners get."""
    answer = game.log_in(game.token(seed.OWNER_ID))

    assert answer.status == 200
    assert game.treasure(answer.body["session"]).body == {"treasure": "the second world"}


@pytest.mark.parametrize("session", [None, "", "a-guess"])
def test_nothing_without_a_session(game: Game, session: str | None) -> None:
    """Not even for owners."""
    assert game.treasure(session).status == 401


@pytest.mark.parametrize(
    ("user", "more"),
    [(seed.STRANGER_ID, {}), (seed.OWNER_ID, {"application_of": 777}), (seed.OWNER_ID, {"scopes": []})],
)
def test_others_are_told_why(game: Game, user: int, more: dict[str, object]) -> None:
    """A stranger, and owners whose token is another application's, or says too little."""
    answer = game.log_in(game.token(user, **more))

    assert answer.status == 403
    assert "Support code: " in answer.body["shown"]
    assert "session" not in answer.body


@pytest.mark.parametrize("origin", [None, "https://elsewhere.example", "null"])
def test_another_page_logs_nobody_in(game: Game, origin: str | None) -> None:
    """Else it could have players play as another one."""
    body = {"access_token": game.token(seed.OWNER_ID)}

    assert _send("POST", f"{game.url}/session", body, origin=origin).status == 403


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"access_token": 7}', b"\xff", _LARGE])
def test_what_is_no_login(game: Game, body: bytes) -> None:
    """The gateway is not asked."""
    assert _send("POST", f"{game.url}/session", body, origin=game.url).status == 400


def test_the_page(game: Game) -> None:
    """It names the application, and its script is from here alone."""
    page, script = _send("GET", f"{game.url}/"), _send("GET", f"{game.url}/login.js")

    assert 'content="an-application"' in page.body
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "https://itch.io/user/oauth" in script.body
    assert {_send("GET", f"{game.url}{path}").status for path in ("/server.py", "/../server.py", "/session")} == {404}
    assert _send("POST", f"{game.url}/treasure", {}).status == 404


def test_an_outage_lets_no_new_player_in(game: Game) -> None:
    """The page is told when to come back, and nothing is granted."""
    token = game.token(seed.BUYER_ID)
    _send("PUT", f"{game.gateway}/sandbox/faults", {"status": 500})
    answer = game.log_in(token)
    _send("DELETE", f"{game.gateway}/sandbox/faults")

    assert (answer.status, "session" in answer.body) == (503, False)
    assert int(answer.headers["Retry-After"]) >= 1
    assert game.log_in(token).status == 200


def test_a_gateway_that_is_gone(tmp_path: Path) -> None:
    """As an outage."""
    with _game(tmp_path, f"http://127.0.0.1:{free_port()}") as url:
        answer = Game(url, "").log_in("a-token-of-somebody")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


def test_without_an_application(tmp_path: Path) -> None:
    """It says where to make one."""
    shutil.copy(_EXAMPLES / "python" / "ownership.py", tmp_path)
    shutil.copytree(_EXAMPLES / "browser", tmp_path, dirs_exist_ok=True)

    ended = subprocess.run([sys.executable, "server.py"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "oauth-apps" in ended.stderr


def test_sessions_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a quarter of an hour, or where there are too many: the oldest."""
    monkeypatch.syspath_prepend(str(_EXAMPLES / "python"))
    monkeypatch.syspath_prepend(str(_EXAMPLES / "browser"))
    server = importlib.import_module("server")
    now = [0.0]
    sessions = server.Sessions(lambda: now[0])
    first = sessions.begin()
    now[0] = server.SESSION_SECONDS - 1
    assert sessions.holds(first)
    now[0] += 1
    assert not sessions.holds(first)

    many = [sessions.begin() for _ in range(server.MOST_SESSIONS + 1)]
    assert not sessions.holds(many[0])
    assert all(sessions.holds(session) for session in many[1:])


def test_the_script_is_one() -> None:
    """Node reads it, where that is there."""
    if shutil.which("node") is None:
        pytest.skip("node is not there")
    subprocess.run(["node", "--check", _EXAMPLES / "browser" / "login.js"], check=True)
