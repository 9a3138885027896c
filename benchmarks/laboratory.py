"""Everything that is measured, running: a real Redis, a stand-in for the store, gateways, and what they are up to."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import httpx
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from benchmarks.identities import GAME, warm_far_limit, warm_gateways, warm_peer
from benchmarks.load import TOKEN
from benchmarks.nginx import nginx_command
from benchmarks.processes import LOAD_CORE, SERVER_CORE, ServerProcess
from service.sandbox.seed import SELLER_KEY
from service.secret import SealingSecret
from tests.redis_server import RedisServer, free_port

_HERE: Final = Path(__file__).parent
_SECRET: Final = SealingSecret("benchmark-secret-that-seals-nothing-of-worth")
UVICORN: Final = (
    "-m", "uvicorn", "--http", "httptools", "--loop", "uvloop", "--ws", "none", "--no-access-log",
    "--log-level", "warning", "--no-server-header", "--no-proxy-headers", "--host", "127.0.0.1",
)  # fmt: skip
"""The server of every contender, set as the gateway sets its own."""

_CONFIGURATION: Final = """\
secret = "{secret}"
drain_seconds = 0

[itch]
base_url = "{store}"
api_key = "{seller_key}"
{itch}
[redis]
url = "{redis}"

[cache]
{cache}
[log]
level = "info"
format = "json"

[games.{label}]
id = {game_id}

[[callers]]
name = "benchmark"
token_sha256 = "{token}"
games = ["{label}"]
rights = ["verify", "assert:user", "override"]
rate = 100000
failed_keys_per_minute = 100000
"""


class Budget(Struct, frozen=True):
    """How much a gateway may ask the store, be it more than its settings allow."""

    rate: float
    burst: int
    timeout_seconds: float


class Target:
    """A server under test, and where it is."""

    def __init__(self, server: ServerProcess, base_url: str) -> None:
        self.server = server
        self.base_url = base_url
        self.asked = 0
        """How many questions so far; the next run goes on with the next identity, which is in no small cache yet."""

    def decisions(self) -> dict[tuple[str, str], float]:
        """Return how many decisions a gateway or the far limit has made, by outcome and by the tier they came from."""
        text = httpx.get(f"{self.base_url}/metrics", timeout=10, trust_env=False).text
        made: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(text):
            if family.name == "ownership_gateway_decisions":
                for sample in family.samples:
                    key = sample.labels["outcome"], sample.labels["cache"]
                    made[key] = made.get(key, 0) + sample.value
        return made


class Laboratory:
    """`with Laboratory() as laboratory`: Redis and the store run until the block ends, and all servers opened in it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._directory = Path()
        self.store_url = ""
        """Where the stand-in for the store answers, once open."""
        self._redis: RedisServer | None = None
        self.redis_client = Redis()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
            # Whatever is started without a core of its own, Redis above all, inherits this one.
            os.sched_setaffinity(0, LOAD_CORE)
            redis = RedisServer()
            redis.start()
            stack.callback(redis.stop)
            self._redis = redis
            self.redis_client = stack.enter_context(Redis(unix_socket_path=str(redis.socket_path)))
            port = free_port()
            self.store_url = f"http://127.0.0.1:{port}"
            stack.enter_context(
                ServerProcess(
                    [gateway_command(), "sandbox", "--port", str(port)],
                    ready_url=f"{self.store_url}/sandbox",
                    complaints=self._directory / "store.log",
                    cores=LOAD_CORE,
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def warm(self, numbers: range, *, owned: bool = True) -> None:
        """Let Redis know these identities, as the gateway keeps them."""
        environment = f"current {self.store_url}"
        warm_gateways(self.redis_client, numbers, secret=_SECRET, environment=environment, owned=owned)

    def warm_for_peer(self, numbers: range) -> None:
        """Let Redis know these identities, as the peer keeps them."""
        warm_peer(self.redis_client, numbers)

    def warm_for_far_limit(self, numbers: range) -> None:
        """Let Redis know these identities, as the far limit keeps them."""
        warm_far_limit(self.redis_client, numbers)

    def gateway(
        self,
        *,
        max_entries: int | None = None,
        max_mebibytes: int | None = None,
        cores: Sequence[int] = SERVER_CORE,
        budget: Budget | None = None,
        redis_url: str | None = None,
    ) -> Target:
        """Start a gateway, with the default store budget, bounds of its cache and Redis unless others are named."""
        port = free_port()
        bounds = {"max_entries": max_entries, "max_mebibytes": max_mebibytes}
        configuration = self._directory / f"gateway-{port}.toml"
        configuration.write_text(
            _CONFIGURATION.format(
                secret=_SECRET.reveal(),
                store=self.store_url,
                seller_key=SELLER_KEY,
                itch=f"timeout = {budget.timeout_seconds}\n" if budget is not None else "",
                redis=redis_url or self.redis_server.url,
                cache="".join(f"{name} = {bound}\n" for name, bound in bounds.items() if bound is not None),
                label=GAME.label,
                game_id=GAME.game_id,
                token=hashlib.sha256(TOKEN.encode()).hexdigest(),
            ),
            encoding="utf-8",
        )
        command: list[str | Path] = [gateway_command(), "serve", "--config", configuration, "--port", str(port)]
        if budget is not None:
            program = _HERE / "contenders" / "any_budget.py"
            command = [sys.executable, program, configuration, str(port), str(budget.rate), str(budget.burst)]
        return self._open(command, port, ready="/readyz", cores=cores)

    def contender(self, name: str, *, ready: str = "/readyz") -> Target:
        """Start one of benchmarks/contenders that runs on the gateway's own libraries."""
        port = free_port()
        command: list[str | Path] = [
            sys.executable,
            *UVICORN,
            "--port",
            str(port),
            "--app-dir",
            _HERE / "contenders",
            f"{name}:app",
        ]
        return self._open(command, port, ready=ready)

    def peer(self) -> Target:
        """Start the peer, on libraries of its own."""
        port = free_port()
        command: list[str | Path] = [
            peer_python(),
            *UVICORN,
            "--port",
            str(port),
            "--app-dir",
            _HERE / "contenders",
            "peer:app",
        ]
        environment = {
            "PEER_STORE_URL": self.store_url,
            "PEER_API_KEY": SELLER_KEY,
            "PEER_REDIS_URL": self.redis_server.url,
            "PEER_TOKEN": TOKEN,
        }
        return self._open(command, port, ready="/metrics", environment=environment)

    def far_limit(self, nginx: Path, *, first_tier: bool) -> Target:
        """Start nginx as the far limit, with or without memory in front of Redis."""
        port = free_port()
        command = nginx_command(nginx, self._directory / f"nginx-{port}", port=port, first_tier=first_tier)
        environment = {"FAR_LIMIT_TOKEN": TOKEN, "FAR_LIMIT_REDIS_PORT": str(self.redis_server.port)}
        return self._open(command, port, ready="/readyz", environment=environment)

    @property
    def redis_server(self) -> RedisServer:
        """The Redis that all of them share."""
        if self._redis is None:
            raise AssertionError("the laboratory is not open")
        return self._redis

    def _open(
        self,
        command: Sequence[str | Path],
        port: int,
        *,
        ready: str,
        cores: Sequence[int] = SERVER_CORE,
        environment: dict[str, str] | None = None,
    ) -> Target:
        base_url = f"http://127.0.0.1:{port}"
        server = ServerProcess(
            command,
            ready_url=base_url + ready,
            complaints=self._directory / f"{port}.log",
            cores=cores,
            environment=environment,
        )
        return Target(self._stack.enter_context(server), base_url)


def peer_python() -> Path:
    """Return the Python that has the peer's libraries, installing them where that is possible."""
    environment = os.environ | {"PYTHON": sys.executable}
    script = subprocess.run([_HERE / "install.sh"], stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return Path(script.stdout.splitlines()[-1])


def gateway_command() -> Path:
    """Return the installed gateway."""
    return Path(sys.executable).with_name("ownership-gateway")
