"""`deploy/examples/passes`: verifiers to copy, each run with passes of a real gateway, and with forged ones."""

import base64
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from service.clock import SystemClock
from service.pass_pem import new_signing_key
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreRequest
from tests.deploy.processes import gateway
from tests.docs.pages import ROOT
from tests.gateways import SECRET, X_MOON
from tests.passes.test_forged import CORPUS
from tests.redis_server import free_port

_EXAMPLES: Final = ROOT / "deploy" / "examples" / "passes"
_CLIENTS: Final = ROOT / "tests" / "deploy" / "pass_clients"
_NEEDED: Final = {"python": sys.executable, "node": "node", "java": "javac", "csharp": "mcs", "gdscript": "godot"}
_ISSUER: Final = "https://gateway.example.com"
_AUDIENCE: Final = "game:3/server-42"
_PLAYER: Final = "lobby:7f3a"
_GOOD: Final = f"in pass itch:{seed.OWNER_ID}"
_TIMEOUT_SECONDS: Final = 90
_HOUR: Final = 3600


class Verifier:
    """One example in a process of its own, which is told the time: `admit` and `refresh` return what it prints."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.ahead = 0.0
        """Seconds by which its clock is ahead of the machine's."""

    def admit(self, text: str, player: str = _PLAYER, *, now: float | None = None) -> str:
        """Show it a pass, and return its verdict, the reason, and whose pass it is."""
        return self._tell(now, "admit", *(base64.b64encode(one.encode()).decode() for one in (player, text)))

    def refresh(self, *, now: float | None = None) -> int:
        """Have it fetch what is due, and return how much of that could not be fetched."""
        word, failed = self._tell(now, "refresh").split()
        assert word == "refreshed"
        return int(failed)

    def _tell(self, now: float | None, *words: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        instant = time.time() + self.ahead if now is None else now
        self._process.stdin.write("\t".join([repr(instant), *words]) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module", params=_NEEDED)
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """Every example whose language is here, as a command; `deploy/check-examples.sh` installs them, but for Godot."""
    language = str(request.param)
    if shutil.which(_NEEDED[language]) is None:
        pytest.skip(f"{_NEEDED[language]} is not there")
    if language == "python":
        return [sys.executable, _CLIENTS / "check.py"]
    if language == "node":
        return ["node", _CLIENTS / "check.mjs"]
    made = tmp_path_factory.mktemp(language)
    if language == "java":
        subprocess.run(
            ["javac", "-Xlint:all", "-Werror", "-d", made, _EXAMPLES / "PassVerifier.java", _CLIENTS / "Check.java"],
            check=True,
        )
        return ["java", "-Xshare:auto", "-cp", made, "Check"]
    if language == "csharp":
        references = [f"-r:System.{name}.dll" for name in ("Net.Http", "Runtime.Serialization", "Xml", "Core")]
        sources = [_EXAMPLES / "PassVerifier.cs", _CLIENTS / "Check.cs"]
        subprocess.run(
            ["mcs", "-langversion:7", "-warnaserror", f"-out:{made}/check.exe", *references, *sources], check=True
        )
        return ["mono", made / "check.exe"]
    shutil.copy(_EXAMPLES / "pass_verifier.gd", made)
    shutil.copy(_CLIENTS / "check.gd", made)
    (made / "project.godot").write_text("config_version=5\n", encoding="utf-8")
    return ["godot", "--headless", "--no-header", "--path", made, "--script", "check.gd", "--"]


Start = Callable[..., Verifier]


@pytest.fixture
def start(command: list[str | Path]) -> Iterator[Start]:
    """Start an example that is to get keys and list from an address."""
    processes: list[subprocess.Popen[str]] = []

    def start_one(address: str, *, issuer: str = _ISSUER, audience: str = _AUDIENCE) -> Verifier:
        process = subprocess.Popen(
            [*command, address, issuer, audience], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return Verifier(process)

    yield start_one
    for process in processes:
        process.kill()
        process.communicate()


# --- the corpus of forged tokens ---


class _Published:
    """A server of keys and list that says what it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []

    def publish(self, keys: object, before: object) -> None:
        """Answer with these keys and this list."""
        self.answers = {
            "/.well-known/jwks.json": (200, json.dumps({"keys": keys}).encode()),
            "/passes/invalidated": (200, json.dumps({"as_of": 1, "before": before}).encode()),
        }


@pytest.fixture
def published() -> Iterator[tuple[_Published, str]]:
    """A server that publishes the keys of the corpus and an empty list, and its address."""
    content = _Published()
    content.publish(CORPUS["keys"], {})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content.asked.append(self.path)
            status, body = content.answers.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", body.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with _serving(Handler) as address:
        yield content, address


@contextmanager
def _serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_no_forged_token_is_accepted(start: Start, published: tuple[_Published, str]) -> None:
    """Of the whole corpus only the good pass lets its player in."""
    verifier = start(published[1])
    good = partial(verifier.admit, CORPUS["good"], CORPUS["player_ref"], now=CORPUS["now"])
    assert good() == "in pass itch:1994"

    forged = {**CORPUS["forged"], **CORPUS["for_match_servers"]}
    accepted = {
        name: said
        for name, token in forged.items()
        if not (said := verifier.admit(token, CORPUS["player_ref"], now=CORPUS["now"])).startswith("out ")
    }

    assert accepted == {}
    assert good() == "in pass itch:1994"


def test_a_forged_token_is_refused_for_what_is_wrong(start: Start, published: tuple[_Published, str]) -> None:
    """The reason is in the words of the README."""
    verifier = start(published[1])
    names = {
        "the type JWT": "malformed_pass",
        "a signature spelt otherwise": "malformed_pass",
        "RS384 with the gateway's own key": "malformed_pass",
        "the name 'strange' of a key": "unknown_key",
        "a strange key under our name": "wrong_signature",
        "another issuer": "other_issuer",
        "another server": "other_audience",
        "another game": "other_game",
        "a no": "no_pass",
        "ended": "expired_pass",
        "begun in an hour": "pass_of_the_future",
        "another player": "other_player",
    }
    forged = {**CORPUS["forged"], **CORPUS["for_match_servers"]}

    said = {name: verifier.admit(forged[name], CORPUS["player_ref"], now=CORPUS["now"]) for name in names}

    assert said == {name: f"out {reason}" for name, reason in names.items()}


def test_the_pass_of_another_player(start: Start, published: tuple[_Published, str]) -> None:
    """A pass that names a player lets in no other."""
    verifier = start(published[1])
    players = ("", "lobby:0000", "lobby:7f3", "LOBBY:7F3A")

    said = {player: verifier.admit(CORPUS["good"], player, now=CORPUS["now"]) for player in players}

    assert said == dict.fromkeys(players, "out other_player")


def test_times_to_the_second(start: Start, published: tuple[_Published, str]) -> None:
    """No leeway at the end, and a minute at the beginning."""
    verifier = start(published[1])
    end, begin = CORPUS["now"] + 840, CORPUS["now"] - 60

    said = [verifier.admit(CORPUS["good"], now=now) for now in (end - 0.5, end, begin - 60, begin - 61)]

    assert said == ["in pass itch:1994", "out expired_pass", "in pass itch:1994", "out pass_of_the_future"]


def test_the_list_is_compared_with_the_observation(start: Start, published: tuple[_Published, str]) -> None:
    """A pass is void by an instant after its `observed_at`, by the last of its handles too, and by no other."""
    content, address = published
    verifier = start(address)
    said = []

    for step, after in enumerate((-0.25, 0, 0.25, 0)):
        before = {"q83vEjRWeJAD": CORPUS["now"] - 60.25 + after, "q83vEjRWeJAE": 9e9, "-83vEjRWeJAE": 9e9, "0": 9e9}
        content.publish(CORPUS["keys"], before)
        assert verifier.refresh(now=CORPUS["now"] + 30 * step) == 0
        said.append(verifier.admit(CORPUS["good"], now=CORPUS["now"]))

    assert said == ["in pass itch:1994", "in pass itch:1994", "out void_pass", "in pass itch:1994"]


def test_unknown_keys_are_fetched_once_a_minute(start: Start, published: tuple[_Published, str]) -> None:
    """Forged names of keys do not make it ask the gateway each time."""
    content, address = published
    verifier = start(address)
    verifier.refresh(now=CORPUS["now"])
    strange = CORPUS["forged"]["the name 'strange' of a key"]

    for second in range(0, 180, 2):
        verifier.admit(strange, now=CORPUS["now"] + second)

    assert content.asked.count("/.well-known/jwks.json") == 3


# A whole key for RSA, but of 1024 bits.
_SHORT: Final = {"kty": "RSA", "alg": "RS256", "kid": "x", "n": "g" + "A" * 169 + "E", "e": "AQAB"}
_GARBAGE: Final = [
    (500, b"oops"),
    (404, b'{"keys": [], "before": {}}'),
    (302, b"/elsewhere"),
    (200, b""),
    (200, b"<html>welcome</html>"),
    (200, b"[]"),
    (200, b"null"),
    (200, b"{}"),
    (200, b'{"keys": [], "before": []}'),
    (200, b'{"keys": [{}], "before": null}'),
    (200, b'{"keys": {}, "before": 3}'),
    (200, b'{"keys": 3, "before": {"q83vEjRWeJAD": "soon"}}'),
    (200, json.dumps({"keys": [_SHORT], "before": {"": ""}}).encode()),
    (200, b'{"keys": [{"kty": "oct", "alg": "HS256", "kid": "x", "k": "AQAB"}], "before": {"x": '),
]


def test_garbage_in_place_of_keys_and_list(start: Start, published: tuple[_Published, str]) -> None:
    """Keys and list stay as they are: a player who was let in still is, and a pass that was void still is."""
    content, address = published
    verifier, other = start(address), start(address)
    assert other.refresh(now=CORPUS["now"]) == 0
    content.publish(CORPUS["keys"], {"q83vEjRWeJAD": CORPUS["now"]})
    assert verifier.refresh(now=CORPUS["now"]) == 0
    content.answers["/elsewhere"] = (200, json.dumps({"keys": CORPUS["keys"], "before": {"q": 1}}).encode())
    seen = {}

    for number, answer in enumerate(_GARBAGE):
        content.answers |= {"/.well-known/jwks.json": answer, "/passes/invalidated": answer}
        # To and fro, so that keys and list are due, and the pass never ends.
        now = CORPUS["now"] + (0 if number % 2 else 400)
        seen[answer] = [(one.refresh(now=now), one.admit(CORPUS["good"], now=now)) for one in (verifier, other)]

    assert seen == {answer: [(2, "out void_pass"), (2, "in pass itch:1994")] for answer in _GARBAGE}


# --- a real gateway ---


class RealGateway:
    """A gateway process with keys in a file, in front of a store that does not say that it is a sandbox."""

    def __init__(self, directory: Path, store: str) -> None:
        self.port = free_port()
        self.key_file = directory / "pass-keys.pem"
        self.rotate(new_signing_key())
        self.settings = {"PORT": str(self.port), "CONFIG": str(directory / "gateway.toml")}
        (directory / "gateway.toml").write_text(
            f'secret = "{SECRET}"\n[itch]\napi_key = "{seed.SELLER_KEY}"\nbase_url = "{store}"\n'
            f'[passes]\nissuer = "{_ISSUER}"\nkey_file = "{self.key_file}"\n'
            f"{X_MOON}[games.other]\nid = 4\ngrant_user_ids = [{seed.OWNER_ID}]\n",
            encoding="utf-8",
        )

    @property
    def address(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it until the block ends."""
        with gateway(self.settings, "serve"):
            yield

    def rotate(self, *keys: str) -> None:
        """Put these keys in the place of those before, as the page says: by a rename."""
        new = self.key_file.with_suffix(".new")
        new.write_text("".join(keys), encoding="utf-8")
        new.replace(self.key_file)

    def issued(self, **order: object) -> str:
        """Return the pass of an owner, by the account if there is no `method`; what is None is left out."""
        order = {"game": 3, "audience": "server-42", "player_ref": _PLAYER, **order}
        if "method" not in order:
            order |= {"method": "user", "user_id": seed.OWNER_ID}
        answer = self.post("/passes", {name: given for name, given in order.items() if given is not None})
        value: str = answer["pass"]["value"]
        return value

    def post(self, path: str, body: dict[str, object]) -> Any:
        """Post a body, and return the answer."""
        request = urllib.request.Request(  # noqa: S310 - a gateway of the test's own
            self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310
            return json.load(response)

    def get(self, path: str) -> Any:
        """Return what is there."""
        with urllib.request.urlopen(self.address + path) as response:  # noqa: S310
            return json.load(response)

    def until_published(self, count: int) -> None:
        """Return once so many keys are published: the file is looked at once a second."""
        end = time.monotonic() + _TIMEOUT_SECONDS
        while len(self.get("/.well-known/jwks.json")["keys"]) != count:
            assert time.monotonic() < end, f"there are never {count} keys"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of a store that is no sandbox to the gateway."""
    sandbox = Sandbox(clock=SystemClock())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            answer = sandbox.receive(
                StoreRequest(
                    method="GET",
                    path=path,
                    query=tuple(urllib.parse.parse_qsl(query, keep_blank_values=True)),
                    authorization=self.headers["Authorization"],
                )
            ).answer
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with _serving(Handler) as address:
        yield address


@pytest.fixture
def real(tmp_path: Path, store: str) -> RealGateway:
    """A gateway that is not running yet."""
    return RealGateway(tmp_path, store)


def test_passes_of_a_gateway(start: Start, real: RealGateway) -> None:
    """A good one lets its player in, by account or key; no other does, nor one that has ended."""
    with real.running():
        verifier = start(real.address)
        by_key = verifier.admit(real.issued(method="download_key", download_key=seed.OWNER_KEY))
        said = {
            "good": verifier.admit(real.issued()),
            "for any player": verifier.admit(real.issued(player_ref=None), ""),
            "another server": verifier.admit(real.issued(audience="server-4")),
            "all servers": verifier.admit(real.issued(audience=None)),
            "another game": verifier.admit(real.issued(game=4)),
            "another player": verifier.admit(real.issued(), "lobby:0000"),
            "another issuer": start(real.address, issuer="https://other.example").admit(real.issued()),
        }
        verifier.ahead = 901
        said["ended"] = verifier.admit(real.issued())

    assert by_key.startswith("in pass key:")
    assert said == {
        "good": _GOOD,
        "for any player": _GOOD,
        "another server": "out other_audience",
        "all servers": "out other_audience",
        "another game": "out other_audience",
        "another player": "out other_player",
        "another issuer": "out other_issuer",
        "ended": "out expired_pass",
    }


def test_a_pass_that_was_made_void(start: Start, real: RealGateway) -> None:
    """Once the list is fetched again, half a minute later, and from then on without the gateway too."""
    with real.running():
        verifier = start(real.address)
        verifier.refresh()
        value = real.issued()
        real.post("/admin/invalidate", {"game": 3, "user_id": seed.OWNER_ID})
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not real.get("/passes/invalidated")["before"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        before = verifier.admit(value)
        verifier.ahead = 31
        assert verifier.refresh() == 0
        after = verifier.admit(value)
        newer = verifier.admit(real.issued())
    verifier.ahead = 400
    assert verifier.refresh() == 2

    assert (before, after, verifier.admit(value), newer) == (_GOOD, "out void_pass", "out void_pass", _GOOD)


def test_a_rotated_key(start: Start, real: RealGateway) -> None:
    """Passes of the new key are good at once, those of the old one until it is removed, and then no more."""
    first, second = real.key_file.read_text(encoding="utf-8"), new_signing_key()
    with real.running():
        verifier = start(real.address)
        old = real.issued()
        verifier.admit(old)
        real.rotate(second, first)
        real.until_published(2)
        new = real.issued()
        too_soon = verifier.admit(new)
        verifier.ahead = 61
        during = [verifier.admit(new), verifier.admit(old)]
        real.rotate(second)
        real.until_published(1)
        verifier.ahead = 400
        assert verifier.refresh() == 0
        done = [verifier.admit(new), verifier.admit(old)]

    assert too_soon == "out unknown_key"
    assert during == [_GOOD, _GOOD]
    assert done == [_GOOD, "out unknown_key"]


def test_without_the_gateway(start: Start, real: RealGateway) -> None:
    """Keys from before let in players whose pass has not ended, and none after that; without any it is `later`."""
    with real.running():
        verifier = start(real.address)
        verifier.refresh()
        value = real.issued()
    late = start(real.address)
    said = []
    for ahead in (0, 400, 890, 901, _HOUR):
        verifier.ahead = late.ahead = ahead
        verifier.refresh()
        said.append((verifier.admit(value), late.admit(value)))
    with real.running():
        back = real.issued()
        late.ahead = verifier.ahead = 0  # a clock that is set back

        assert (verifier.admit(back), late.admit(back)) == (_GOOD, _GOOD)
    assert said == [
        (_GOOD, "later no_keys"),
        (_GOOD, "later no_keys"),
        (_GOOD, "later no_keys"),
        ("out expired_pass", "later no_keys"),
        ("out expired_pass", "later no_keys"),
    ]


def test_keys_without_a_list(start: Start, published: tuple[_Published, str]) -> None:
    """A list that was never had voids nothing."""
    content, address = published
    content.answers["/passes/invalidated"] = (503, b"")
    verifier = start(address)

    assert verifier.refresh(now=CORPUS["now"]) == 1
    assert verifier.admit(CORPUS["good"], now=CORPUS["now"]) == "in pass itch:1994"
