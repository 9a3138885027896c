"""A real Prometheus and a real Alertmanager for a real gateway, on loopback; a minute is a second there."""

import contextlib
import json
import math
import re
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from service.canaries.canary import Expectation
from service.causes import Cause
from service.key_use import KeyUse
from service.observability.challenge_reports import challenge_counts
from service.observability.issuer_metrics import issuer_keys_gauge
from service.observability.key_uses import KeyUses
from service.observability.metrics import Metrics
from service.observability.redeem_reports import redeem_counts
from service.ownership import CacheTier, Method, Reason
from service.redeem.redeem_reason import RedeemReason
from tests.canaries.watched import canary_lines
from tests.gateways import SECRET
from tests.redis_server import RedisServer, free_port

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "prometheus" / "rules.yaml"
ROUTES: Final = ROOT / "deploy" / "alertmanager" / "alertmanager.example.yml"

_GAMES: Final = (
    f'{canary_lines()}key_players = 2\nredeem_secret = "a secret of that project"\n[games.sun-garden]\nid = 4\n'
    '[forward_auth.downloads]\ngame = "x-moon"\ncredentials = ["jwt"]\n'
    '[[oidc]]\nissuer = "https://127.0.0.1:1"\naudiences = ["game"]\n'
)
_START_SECONDS: Final = 30.0
_TIMEOUT_SECONDS: Final = 300.0
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(?<=\[)(\d+)([smhd])(?=[\]:])|(?<=offset )(\d+)([smhd])")


@cache
def program(name: str) -> str:
    """Return the path of prometheus, promtool, alertmanager or amtool, fetching all of them if they are not there."""
    script = subprocess.run([ROOT / "deploy/tools/install-prometheus.sh"], capture_output=True, text=True, check=False)
    if script.returncode:
        raise RuntimeError(script.stderr)
    return f"{script.stdout.splitlines()[-1]}/{name}"


def run(name: str, *arguments: object, said: str | None = None) -> subprocess.CompletedProcess[str]:
    """Return how one of these programs ended, and all that it printed; `said` is its standard input."""
    command = [program(name), *map(str, arguments)]
    return subprocess.run(command, input=said, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def shipped_rules() -> list[dict[str, Any]]:
    """Return every rule that is shipped."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def exposed() -> str:
    """Return what a gateway in trouble shows that was asked about `x-moon`, has canaries, held noes and policies."""
    metrics = Metrics(games=["x-moon"], version="1.2.3", sandbox=False, off=())
    metrics.show_forward_auth()
    metrics.pass_minted("x-moon")
    KeyUses(metrics).count("x-moon", KeyUse.NEW)
    issuer_keys_gauge(metrics).set(0, "1")
    challenge_counts(metrics)
    redeem_counts(metrics, RedeemReason)
    metrics.decision("x-moon", Method.JWT, Reason.PURCHASE, CacheTier.NONE, seconds=0)
    for expect in Expectation:
        metrics.canary("x-moon", expect, ok=True, checked_at=datetime.now(UTC))
    metrics.read_revocations("x-moon", lambda: True)
    for component in ("source", "credential", "redis", "hub"):
        metrics.trouble(component, before=None, now=Cause.REFUSED)
    return metrics.render()[0].decode()


def until(happened: Callable[[], object], *, seconds: float = _TIMEOUT_SECONDS) -> None:
    """Return once it has happened; fail if it never does."""
    give_up_at = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > give_up_at:
            raise AssertionError("it did not happen in time")
        time.sleep(0.2)


def quickened(duration: str) -> str:
    """Return a sixtieth of a duration: its minutes become seconds."""
    return f"{max(1, int(duration[:-1]) * _UNITS[duration[-1]] // 60)}s"


def quickened_rules() -> dict[str, Any]:
    """Return the shipped rules with nothing changed but this: every minute in them is a second."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _DURATION.sub(lambda found: quickened(found[0]), rule["expr"])
            if "for" in rule:
                rule["for"] = quickened(rule["for"])
    return rules


def _quickened_routes(webhook: str) -> dict[str, Any]:
    """Return the shipped routes with their receivers replaced, and quicker."""
    routes: dict[str, Any] = yaml.safe_load(ROUTES.read_text())
    for route in (routes["route"], *routes["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in routes["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{webhook}/{receiver['name']}"}]
    return routes


class Webhook:
    """A receiver of alerts; remembers each one, by receiver, name and status."""

    def __init__(self) -> None:
        told: list[tuple[str, str, str, dict[str, Any]]] = []
        self.told = told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                told.extend(
                    (self.path.strip("/"), alert["labels"]["alertname"], alert["status"], alert)
                    for alert in body["alerts"]
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def alerts(self, receiver: str, name: str, status: str) -> list[dict[str, Any]]:
        """Return what has arrived about one alert."""
        return [alert for *key, alert in self.told if key == [receiver, f"OwnershipGateway{name}", status]]

    def close(self) -> None:
        """Hear nothing more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Program:
    """One process with its output in a file, started at once and again on request."""

    def __init__(self, command: list[str], log: Path, *, ready: str, environment: Mapping[str, str]) -> None:
        self._command = command
        self._log = log
        self._ready = ready
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and return once it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output, env=dict(self._environment))
        give_up_at = time.monotonic() + _START_SECONDS
        while not _answers(self._ready):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                self.kill()
                raise RuntimeError(f"{self._command[0]} did not start: {self._log.read_text()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Prometheus:
    """A Prometheus that scrapes a gateway once a second, and goes by the shipped rules with seconds for minutes.

    Without an Alertmanager its alerts reach no one.
    """

    def __init__(
        self, directory: Path, stack: ExitStack, *, watching: str, http: httpx.Client, alertmanager: str | None = None
    ) -> None:
        self._http = http
        self._url = f"http://127.0.0.1:{free_port()}"
        (directory / "rules.yaml").write_text(yaml.safe_dump(quickened_rules()))
        alertmanagers = [] if alertmanager is None else [{"static_configs": [{"targets": [_host(alertmanager)]}]}]
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "alerting": {"alertmanagers": alertmanagers},
            "scrape_configs": [
                {"job_name": "ownership-gateway", "static_configs": [{"targets": [_host(watching)]}]},
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        command = [
            program("prometheus"),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'prometheus'}",
            f"--web.listen-address={_host(self._url)}",
        ]
        started = Program(command, directory / "prometheus.log", ready=f"{self._url}/-/ready", environment={})
        stack.callback(started.kill)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression yields now, but for those that are not a number."""
        response = self._http.post(f"{self._url}/api/v1/query", data={"query": expression})
        assert response.status_code == httpx.codes.OK, response.text
        found: list[dict[str, Any]] = response.json()["data"]["result"]
        return [series for series in found if not math.isnan(float(series["value"][1]))]

    def history(self, expression: str, *, seconds: int) -> list[dict[str, Any]]:
        """Return the series that an expression has yielded until now, with a value for each second."""
        now = time.time()
        asked = {"query": expression, "start": now - seconds, "end": now, "step": 1}
        response = self._http.post(f"{self._url}/api/v1/query_range", data=asked).raise_for_status()
        found: list[dict[str, Any]] = response.json()["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return set(self.descriptions())

    def descriptions(self) -> dict[str, str]:
        """Return what the alerts that fire now tell people, by their names."""
        response = self._http.get(f"{self._url}/api/v1/alerts").raise_for_status()
        return {
            alert["labels"]["alertname"].removeprefix("OwnershipGateway"): alert["annotations"]["description"]
            for alert in response.json()["data"]["alerts"]
            if alert["state"] == "firing"
        }


class Scene:
    """All of it running, and players asking all the time."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.redis = RedisServer()
        self.redis.start()
        stack.callback(self.redis.stop)
        self.http = stack.enter_context(httpx.Client(trust_env=False, timeout=10))
        self.webhook = Webhook()
        stack.callback(self.webhook.close)

        self.url = f"http://127.0.0.1:{free_port()}"
        self.gateway = self._start_gateway(directory, stack)
        alertmanager = self._start_alertmanager(directory, stack)
        self._prometheus = Prometheus(directory, stack, watching=self.url, http=self.http, alertmanager=alertmanager)

        self._started_at = time.monotonic()
        self._done = threading.Event()
        self._players = threading.Thread(target=self._play, daemon=True)
        stack.callback(self._end)
        self._players.start()

    def _start_gateway(self, directory: Path, stack: ExitStack) -> Program:
        (directory / "gateway.toml").write_text(_GAMES)
        settings = {
            "CONFIG": str(directory / "gateway.toml"),
            "PORT": self.url.rpartition(":")[2],
            "SANDBOX": "true",
            "REDIS__URL": self.redis.url,
            "SECRET": SECRET,
            "ITCH__RATE": "8",
            "ITCH__BURST": "15",
        }
        gateway = Program(
            [str(Path(sys.executable).parent / "ownership-gateway"), "serve"],
            directory / "gateway.log",
            ready=f"{self.url}/readyz",
            environment={f"OWNERSHIP_GATEWAY_{name}": value for name, value in settings.items()},
        )
        stack.callback(gateway.kill)
        return gateway

    def _start_alertmanager(self, directory: Path, stack: ExitStack) -> str:
        url = f"http://127.0.0.1:{free_port()}"
        (directory / "alertmanager.yml").write_text(yaml.safe_dump(_quickened_routes(self.webhook.url)))
        command = [
            program("alertmanager"),
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={directory / 'alertmanager'}",
            "--cluster.listen-address=",
            f"--web.listen-address={url.removeprefix('http://')}",
        ]
        started = Program(command, directory / "alertmanager.log", ready=f"{url}/-/ready", environment={})
        stack.callback(started.kill)
        return url

    @property
    def age_seconds(self) -> float:
        """For how long it all has been running."""
        return time.monotonic() - self._started_at

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression yields now, but for those that are not a number."""
        return self._prometheus.query(expression)

    def history(self, expression: str, *, seconds: int) -> list[dict[str, Any]]:
        """Return the series that an expression has yielded until now, with a value for each second."""
        return self._prometheus.history(expression, seconds=seconds)

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return self._prometheus.firing()

    def sandbox(self, method: str, path: str, body: object = None) -> None:
        """Send a control request to the sandbox."""
        self.http.request(method, f"{self.url}/sandbox/{path}", json=body).raise_for_status()

    def believe(self, *, believe: bool) -> None:
        """Say as an operator whether the store's noes about owners are to be believed, for an hour."""
        said = {"game": "x-moon", "believe": believe, "seconds": 3600}
        self.http.post(f"{self.url}/admin/revocations", json=said).raise_for_status()

    def _play(self) -> None:
        """Ask about every player in the sandbox, again and again, and now and then past every cache."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=10) as http:
            examples: list[dict[str, Any]] = []
            turn = 0
            while not self._done.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    examples = examples or http.get("/sandbox").raise_for_status().json()["examples"]
                    example = examples[turn % len(examples)]
                    fresh = {"max_age": 0} if turn % 20 == 0 else {}
                    player = {"player_ref": f"player-{turn % 3}"} if "download_key" in example["body"] else {}
                    http.post(example["path"], json=example["body"] | fresh | player)
                    if turn % 50 == 0:
                        http.post("/verify/user", json={"game": 3})
                        http.post("/verify/email", json={"game": 3, "proof": _id_token()})
                        http.post("/verify/redeem", json={"game": 3, "redeem_jwt": "no token"})
                turn += 1
                self._done.wait(0.02)

    def _end(self) -> None:
        self._done.set()
        self._players.join()


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    """Run all of it until the block ends."""
    with ExitStack() as stack:
        yield Scene(directory, stack)


def _id_token() -> str:
    """Return an id token of the issuer that is configured, which never gives its keys."""
    now = int(time.time())
    claims = {"iss": "https://127.0.0.1:1", "aud": "game", "sub": "1", "iat": now, "exp": now + 60}
    header = {"alg": "RS256", "kid": "1"}
    head, payload = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return f"{head}.{payload}.c2lnbmF0dXJl"


def _host(url: str) -> str:
    return url.removeprefix("http://")


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    return False
