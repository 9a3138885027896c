"""Shipped processes in company: three replicas with a Redis, two relays, and the store that they ask."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Final

import httpx

from service.clock import SystemClock
from service.sandbox.state import Sandbox
from tests.fault_proxy import FaultProxy
from tests.gateways import SECRET, X_MOON, caller_lines, plain_client, pointing_at, sandbox_alone
from tests.redis_server import RedisServer, free_port

TOKEN: Final = "ogw_canary-the-token-of-all-who-ask-in-company-0"
REPLICAS: Final = 3
RELAYS: Final = 2
FRESH_SECONDS: Final = 1
"""The time for which a relay serves an answer alone."""

SKEWS: Final = {"replica-3": 60, "relay-2": -60}
"""Seconds by which the clocks of these processes are wrong."""

_INSTALL: Final = Path(__file__).parents[1] / "install_faketime.sh"
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 30.0


@cache
def _faketime() -> str:
    script = subprocess.run([_INSTALL], capture_output=True, text=True, check=False)
    if script.returncode:
        raise RuntimeError(script.stderr)
    return script.stdout.splitlines()[-1]


class Member:
    """One gateway process at an address that stays, through restarts; its log grows in a file."""

    def __init__(self, name: str, directory: Path, *, toml: str, **environment: str) -> None:
        self.name = name
        self.port = free_port()
        self.log = directory / f"{name}.log"
        self._complaints = directory / f"{name}.complaints"
        self.starts = 0
        self.turn = asyncio.Lock()
        """Held by the one trouble that befalls it."""
        self._config = directory / f"{name}.toml"
        self._config.write_text(toml)
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_relay(self) -> bool:
        """Whether it asks a hub, and no store."""
        return self.name.startswith("relay")

    async def start(self, *, log: Path | None = None, **environment: str) -> None:
        """Start it, and return when it answers; with another place for its log, or other settings."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OWNERSHIP_GATEWAY_")}
        settings = {**self._environment, **environment}
        variables = {**clean, **{f"OWNERSHIP_GATEWAY_{name}": value for name, value in settings.items()}}
        skew = SKEWS.get(self.name)
        if skew is not None:
            variables |= {"LD_PRELOAD": _faketime(), "FAKETIME": f"{skew:+}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        serve = ["serve", "--config", str(self._config), "--port", str(self.port)]
        command = [sys.executable, "-m", "service", *serve]
        with (log or self.log).open("ab") as output, self._complaints.open("ab") as complaints:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=output, stderr=complaints, env=variables
            )
        self.starts += 1
        async with asyncio.timeout(_START_SECONDS), plain_client(timeout=5) as http:
            while not await _answers(http, self.port):
                assert self._process.returncode is None, f"{self.name} ended: {self._complaints.read_text()}"
                await asyncio.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self) -> None:
        """End it as an orchestrator does."""
        self.signal(signal.SIGTERM)
        assert self._process is not None
        async with asyncio.timeout(_END_SECONDS):
            assert await self._process.wait() == 0, f"{self.name} ended badly: {self._complaints.read_text()}"

    async def kill(self) -> None:
        """End it without a word."""
        if self._process is not None and self._process.returncode is None:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    def allow_descriptors(self, more: int | None) -> None:
        """Let it open so many more descriptors than it has now; None for as many as it began with."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE)
        wanted = hard if more is None else len(list(Path(f"/proc/{self._process.pid}/fd").iterdir())) + more
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (wanted, hard))

    def resident_kib(self) -> int:
        """Return its memory."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def descriptors(self) -> int:
        """Return how many it has open."""
        assert self._process is not None
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))


class Company:
    """All of it. Each replica has a line of its own to Redis."""

    def __init__(
        self, sandbox: Sandbox, redis: RedisServer, lines: Mapping[str, FaultProxy], http: httpx.AsyncClient
    ) -> None:
        self.sandbox = sandbox
        self.redis = redis
        self.lines = lines
        self.http = http
        self.turn_of_redis = asyncio.Lock()
        self.turn_of_store = asyncio.Lock()
        self.members: dict[str, Member] = {}

    @property
    def replicas(self) -> list[Member]:
        """Those that ask the store."""
        return [member for member in self.members.values() if not member.is_relay]

    def hub_of(self, relay: Member) -> Member:
        """Return the replica that a relay asks."""
        return self.members[relay.name.replace("relay", "replica")]


@asynccontextmanager
async def company(directory: Path, *, apart: bool = False) -> AsyncIterator[Company]:
    """Start all of it, and end it with the block; `apart`, each replica with a Redis of its own."""
    async with AsyncExitStack() as stack:
        sandbox, store_url = await stack.enter_async_context(sandbox_alone(SystemClock()))
        servers = [RedisServer() for _ in range(REPLICAS if apart else 1)]
        for server in servers:
            server.start()
            stack.callback(server.stop)
        names = [f"replica-{number}" for number in range(1, REPLICAS + 1)]
        lines = {
            name: await stack.enter_async_context(FaultProxy(server.port))
            for name, server in zip(names, cycle(servers), strict=False)
        }
        met = Company(sandbox, servers[0], lines, await stack.enter_async_context(plain_client()))
        rights = '["verify", "assert:user", "assert:email", "admin"]'
        callers = caller_lines("all", TOKEN, rights=rights, rate="100000", failed_keys_per_minute="100000")
        for name, line in lines.items():
            toml = f"{pointing_at(store_url)}{X_MOON}{callers}"
            url = f"redis://127.0.0.1:{line.port}"
            met.members[name] = Member(name, directory, toml=toml, SECRET=SECRET, REDIS__URL=url)
        for number in range(1, RELAYS + 1):
            hub = met.members[f"replica-{number}"].port
            relay = f'[relay]\nurl = "http://127.0.0.1:{hub}"\ntoken = "{TOKEN}"\nfresh_seconds = {FRESH_SECONDS}\n'
            name = f"relay-{number}"
            met.members[name] = Member(name, directory, toml=f"{relay}{X_MOON}")
        for member in met.members.values():
            stack.push_async_callback(member.kill)
        await asyncio.gather(*(member.start() for member in met.members.values()))
        yield met


async def _answers(http: httpx.AsyncClient, port: int) -> bool:
    with suppress(httpx.HTTPError):
        return (await http.get(f"http://127.0.0.1:{port}/livez")).status_code == httpx.codes.OK
    return False
