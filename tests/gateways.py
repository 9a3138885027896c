"""Whole gateways for tests: the real application, the sandbox on a loopback port, a client that needs no network."""

import asyncio
import hashlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp
import httpx
import structlog
from httpx_aiohttp import AiohttpTransport
from msgspec.structs import replace

from service.app import Gateway, open_gateway
from service.cache.cluster_clock import as_redis_says
from service.http.application import Listener
from service.http.connection import Bounds
from service.observability.logs import Logging, configure_logging
from service.ownership import Method
from service.redis.connect import RedisClient
from service.sandbox.faults import Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import SELLER_KEY
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from service.settings import Settings, SettingsReader, load_settings
from service.verification.interfaces import Clock
from tests.clock import FakeClock
from tests.http.serving import listening

SECRET: Final = "a secret that two gateways share, of 32 characters and more"

PATHS: Final = {
    Method.DOWNLOAD_KEY: "/verify/download-key",
    Method.JWT: "/verify/jwt",
    Method.EMAIL: "/verify/email",
    Method.USER: "/verify/user",
    Method.PASS: "/verify/pass",
    Method.ACCESS_TOKEN: "/verify/access-token",
}

X_MOON: Final = """
[games.x-moon]
id = 3
"""

_TIMEOUT_SECONDS: Final = 30.0
_RESTLESS_TURNS: Final = 200
_REST_SECONDS: Final = 0.001
_TRUSTS_NO_SERVER: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_PLENTY: Final = 1_000_000
"""A store budget that never runs out; what happens when it does is tested where the budget is."""


async def until(happened: Callable[[], object]) -> None:
    """Return once it has happened; fail if it never does."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        for turn in count():
            if happened():
                return
            # A loop that never rests can keep the interpreter from other threads: one that imports then takes minutes.
            await asyncio.sleep(0 if turn < _RESTLESS_TURNS else _REST_SECONDS)


class LogLines:
    """The log, as bytes and as lines of JSON."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: memoryview) -> int:
        """Keep the data."""
        self.written += data
        return len(data)

    def fileno(self) -> int:
        """Fail: there is no descriptor."""
        raise AssertionError("nobody needs to wait for memory")

    def isatty(self) -> bool:
        """Whether the stream is a terminal: it is not."""
        return False

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of one event that have arrived."""
        whole = self.written.rpartition(b"\n")[0]
        return [line for line in map(json.loads, whole.splitlines()) if line["event"] == event]

    async def line_of(self, request_id: str) -> dict[str, Any]:
        """Return the line of the one question asked in that request, once there is one."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines("verified") if line["request_id"] == request_id]

        await until(found)
        return found()[-1]

    async def line(self, event: str) -> dict[str, Any]:
        """Return the last line of one event, once there is one."""
        await until(lambda: self.lines(event))
        return self.lines(event)[-1]


@contextmanager
def logging_into(lines: LogLines, *, clock: Clock, level: str = "debug", sandbox: bool = True) -> Iterator[Logging]:
    """Log there; what that changed for the whole process is put back."""
    names = ["", "aiohttp", "httpcore", "httpx", "redis"]
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = list(logging.getLogger().handlers)
    log = configure_logging(level, "json", sandbox=sandbox, stream=lines, clock=clock)
    try:
        yield log
    finally:
        log.close()
        structlog.reset_defaults()
        logging.getLogger().handlers = handlers
        for logger, was in before:
            logger.setLevel(was)


class Asker:
    """An open gateway, and the client that asks it."""

    def __init__(self, *, gateway: Gateway, http: httpx.AsyncClient, clock: FakeClock, log: LogLines) -> None:
        self.gateway = gateway
        self.http = http
        self.clock = clock
        self.log = log

    @property
    def sandbox(self) -> Sandbox:
        """The gateway's own sandbox."""
        assert self.gateway.sandbox is not None
        return self.gateway.sandbox

    async def ask(self, method: Method, credential: str | int, **fields: object) -> httpx.Response:
        """Ask about a credential and, unless another is named, game 3."""
        token = fields.pop("token", None)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        name = "user_id" if method is Method.USER else str(method)
        body = {"game": 3, name: credential, **fields}
        return await self.http.post(PATHS[method], json=body, headers=headers)

    async def key(self, credential: str, **fields: object) -> httpx.Response:
        """Ask about a download key."""
        return await self.ask(Method.DOWNLOAD_KEY, credential, **fields)

    async def jwt(self, credential: str, **fields: object) -> httpx.Response:
        """Ask about a JWT."""
        return await self.ask(Method.JWT, credential, **fields)

    async def email(self, credential: str, **fields: object) -> httpx.Response:
        """Ask about an address."""
        return await self.ask(Method.EMAIL, credential, **fields)

    async def user(self, credential: int, **fields: object) -> httpx.Response:
        """Ask about a user."""
        return await self.ask(Method.USER, credential, **fields)

    async def batch(self, *items: object, token: str | None = None) -> httpx.Response:
        """Ask many questions at once."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.post("/verify/batch", json={"items": items}, headers=headers)

    async def metric(self, name: str, **labels: str) -> float:
        """Return the value of one series, with or without the prefix in its name."""
        return read_metric((await self.http.get("/metrics")).text, name, **labels)


def read_metric(text: str, name: str, **labels: str) -> float:
    """Return the sum of the series of that name that have all of these labels."""
    found = 0.0
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        family, _, given = series.partition("{")
        if family == f"ownership_gateway_{name}" and all(f'{key}="{label}"' in given for key, label in labels.items()):
            found += float(value)
    return found


def store_calls(sandbox: Sandbox) -> int:
    """Return how often the store was asked anything since its journal was cleared."""
    return sandbox.journal.report().total


def asked_store(sandbox: Sandbox, endpoint: StoreEndpoint) -> int:
    """Return how often one endpoint of the store was asked since its journal was cleared."""
    return sandbox.journal.report().counts[endpoint]


def befall(sandbox: Sandbox, **fault: Any) -> None:
    """Let this fault stand, and no other."""
    sandbox.faults.replace([Fault(**fault)])


def caller_lines(name: str, token: str, **more: str) -> str:
    """Return the configuration of one caller; `more` is TOML, by key."""
    fields = {"games": '["*"]', "rights": '["verify", "assert:user", "assert:email", "admin"]', **more}
    digest = hashlib.sha256(token.encode()).hexdigest()
    lines = "\n".join(f"{key} = {value}" for key, value in fields.items())
    return f'\n[[callers]]\nname = "{name}"\ntoken_sha256 = "{digest}"\n{lines}\n'


def settings_from(directory: Path, toml: str, *, sandbox: bool = True, frugal: bool = False) -> Settings:
    """Return settings as an operator would give them, with a store budget without end unless `frugal`."""
    file = directory / "gateway.toml"
    file.write_text(toml, encoding="utf-8")
    settings = load_settings({}, config_file=file, flags={"sandbox": "true"} if sandbox else {})
    if frugal:
        return settings
    return replace(settings, itch=replace(settings.itch, rate=float(_PLENTY), burst=_PLENTY))


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    clock: FakeClock,
    log: LogLines,
    level: str = "debug",
    reader: SettingsReader | None = None,
    real_clock: Clock | None = None,
    redis: RedisClient | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    bounds: Bounds | None = None,
    redis_time: Callable[[datetime], datetime] | None = None,
) -> AsyncIterator[Asker]:
    """Open a gateway that has already learned whose key it is, and of which the sandbox remembers nothing.

    With the `reader` of its settings it reads their file again.

    It lives by `clock`, and so does Redis as it sees it, unless a `real_clock` or a `redis_time` is given.
    """
    with logging_into(log, clock=clock, level=level, sandbox=settings.sandbox) as logs:
        async with (
            open_gateway(
                settings,
                log=logs,
                reader=reader,
                clock=real_clock or clock,
                redis=redis,
                transport=transport,
                bounds=bounds,
                redis_time=redis_time or (as_redis_says if real_clock else lambda _: clock.now()),
            ) as gateway,
            client_of(gateway) as http,
        ):
            if gateway.sandbox is not None:
                await until_learned(gateway)
                gateway.sandbox.journal.clear()
            yield Asker(gateway=gateway, http=http, clock=clock, log=log)


@asynccontextmanager
async def client_of(gateway: Gateway, listener: Listener = Listener.EVERYTHING) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the gateway, which is served on a loopback port meanwhile."""
    async with (
        listening(gateway.http, listener) as server,
        http_client(server.port) as client,
    ):
        yield client


def http_client(port: int) -> httpx.AsyncClient:
    """Return a client of a loopback port, with as many connections as there are questions.

    It asks through aiohttp: httpx's own pool needs seconds for a thousand connections.
    """

    def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        )

    # Without `verify` it would load certificates that it never needs.
    transport = AiohttpTransport(verify=False, client=open_session, trust_env=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=None)  # noqa: S113


def plain_client(**options: Any) -> httpx.AsyncClient:
    """Return httpx's own client for addresses without TLS: it loads no certificates, which takes longer than a test."""
    return httpx.AsyncClient(trust_env=False, verify=_TRUSTS_NO_SERVER, **options)


async def until_learned(gateway: Gateway) -> None:
    """Return once the gateway knows whose key it has."""
    await until(lambda: states_of(gateway)["credential"] == "ok")


def states_of(gateway: Gateway) -> dict[str, str]:
    """Return what readiness says of each component."""
    _, health = gateway.readiness.report()
    return dict(health.components)


@asynccontextmanager
async def sandbox_alone(clock: Clock) -> AsyncIterator[tuple[Sandbox, str]]:
    """Serve a sandbox of its own; return it and its address."""
    sandbox = Sandbox(clock=clock)
    async with SandboxServer(sandbox) as server:
        yield sandbox, server.base_url


def pointing_at(base_url: str, *, api_key: str = SELLER_KEY) -> str:
    """Return the configuration that asks the store at this address."""
    return f'[itch]\napi_key = "{api_key}"\nbase_url = "{base_url}"\n'
