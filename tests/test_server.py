"""Listening, draining and stopping: in this process where signals can be sent to it, and as real processes."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from msgspec.structs import replace

from service.app import Gateway
from service.listening import listen
from service.sandbox import seed
from service.server import serve
from service.settings import OperationsSettings, Settings, load_settings
from tests.clock import FakeClock
from tests.gateways import LogLines, logging_into, plain_client, until

QUESTION: Final = {"game": 3, "download_key": seed.OWNER_KEY}
TIMEOUT_SECONDS: Final = 30


@pytest.fixture
def settings() -> Settings:
    """A sandbox on any port, which drains until a second signal."""
    return replace(load_settings({}, flags={"sandbox": "true"}), port=0, drain_seconds=600.0)


@pytest.fixture
def log() -> LogLines:
    """The server's log."""
    return LogLines()


class Serving:
    """A gateway that is being served in this process."""

    def __init__(self, task: asyncio.Task[None], gateway: Gateway, base_url: str) -> None:
        self.task = task
        self.gateway = gateway
        self.base_url = base_url

    async def ask(self, http: httpx.AsyncClient) -> httpx.Response:
        """Ask a question."""
        return await http.post(f"{self.base_url}/verify/download-key", json=QUESTION)

    async def ends(self) -> None:
        """Return once it has stopped by itself."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self.task


@asynccontextmanager
async def serving(settings: Settings, log: LogLines) -> AsyncIterator[Serving]:
    """Serve in this process, and stop in the end."""
    started: asyncio.Future[tuple[Gateway, str]] = asyncio.get_running_loop().create_future()
    with logging_into(log, clock=FakeClock()) as logs:
        task = asyncio.create_task(
            serve(settings, log=logs, started=lambda gateway, base_url: started.set_result((gateway, base_url)))
        )
        await until(lambda: started.done() or task.done())
        if task.done():
            await task
        running = Serving(task, *started.result())
        try:
            yield running
        finally:
            if not task.done():
                os.kill(os.getpid(), signal.SIGINT)
                await running.ends()
            forget_signals()


def forget_signals() -> None:
    """Leave no handler of a server that has stopped."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client over the network."""
    async with plain_client(timeout=TIMEOUT_SECONDS) as client:
        yield client


async def test_questions_are_answered_over_the_network(
    settings: Settings, log: LogLines, http: httpx.AsyncClient
) -> None:
    """A question to the address that `started` got is answered."""
    async with serving(settings, log) as server:
        response = await server.ask(http)

    assert response.json()["outcome"] == "owned"
    assert "server" not in response.headers


async def test_terminated_server_is_not_ready_and_still_answers(
    settings: Settings, log: LogLines, http: httpx.AsyncClient
) -> None:
    """SIGTERM fails readiness at once; a caller that comes all the same is answered, and its connection closed."""
    async with serving(settings, log) as server:
        os.kill(os.getpid(), signal.SIGTERM)
        await log.line("draining")

        ready = await http.get(f"{server.base_url}/readyz")
        answer = await server.ask(http)

    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGTERM, signal.SIGINT], [signal.SIGINT]]
)
async def test_server_stops_when_it_is_told_clearly(
    settings: Settings, log: LogLines, signals: list[signal.Signals]
) -> None:
    """A second signal, or Ctrl-C, does not wait for load balancers."""
    async with serving(settings, log) as server:
        for number in signals:
            os.kill(os.getpid(), number)
        await server.ends()

    assert await log.line("stopped")


async def test_drained_server_stops_by_itself(settings: Settings, log: LogLines) -> None:
    """The stop comes once the time to drain is over."""
    async with serving(replace(settings, drain_seconds=0.0), log) as server:
        os.kill(os.getpid(), signal.SIGTERM)
        await server.ends()

    assert await log.line("stopped")


async def test_question_under_way_is_finished(settings: Settings, log: LogLines, http: httpx.AsyncClient) -> None:
    """A stop cuts no caller off."""
    async with serving(settings, log) as server:
        assert server.gateway.sandbox is not None
        await http.put(f"{server.base_url}/sandbox/faults", json={"latency_ms": 300})
        asking = asyncio.create_task(server.ask(http))
        await until(lambda: server.gateway.http.in_flight)

        os.kill(os.getpid(), signal.SIGINT)

        response = await asking
        await server.ends()
    assert response.json()["outcome"] == "owned"


async def test_operations_have_a_listener_of_their_own(
    settings: Settings, log: LogLines, http: httpx.AsyncClient
) -> None:
    """Each port serves its part, and not the other's."""
    async with serving(replace(settings, operations=OperationsSettings(port=0)), log) as server:
        port = (await log.line("started"))["operations_port"]
        operations = f"http://127.0.0.1:{port}"
        statuses = [
            (await http.get(f"{operations}/readyz")).status_code,
            (await http.get(f"{operations}/metrics")).status_code,
            (await http.get(f"{server.base_url}/metrics")).status_code,
            (await http.post(f"{operations}/verify/download-key", json=QUESTION)).status_code,
            (await server.ask(http)).status_code,
        ]

    assert statuses == [200, 200, 404, 404, 200]


async def test_unix_socket_is_for_owner_and_group(settings: Settings, log: LogLines, tmp_path: Path) -> None:
    """No other user of the machine may ask."""
    path = tmp_path / "gateway.sock"
    async with serving(replace(settings, unix_socket=path), log) as server:
        mode = stat.S_IMODE(path.stat().st_mode)
        response = await ask_over(path)

    assert (server.base_url, mode, response.json()["outcome"]) == (f"unix:{path}", 0o660, "owned")


async def test_stopping_server_makes_room_for_the_next(settings: Settings, log: LogLines, tmp_path: Path) -> None:
    """A server that still finishes a question has no path, and leaves alone what the next server has there."""
    path = tmp_path / "gateway.sock"
    here = replace(settings, unix_socket=path, deadline_ms=10_000)
    async with serving(here, log) as server, over(path) as http:
        await http.put("/sandbox/faults", json={"latency_ms": 4000})
        asking = asyncio.create_task(ask_over(path))
        await until(lambda: server.gateway.http.in_flight)
        os.kill(os.getpid(), signal.SIGINT)
        await until(lambda: not path.exists())
        assert not asking.done()
        with ExitStack() as listening:
            listen(here, listening)
            asking.cancel()
            await server.ends()

            assert path.is_socket()


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
async def test_every_address_is_served(
    settings: Settings, log: LogLines, http: httpx.AsyncClient, address: str
) -> None:
    """A question to any address of a list is answered."""
    async with serving(replace(settings, host=("::1", "127.0.0.1")), log) as server:
        port = httpx.URL(server.base_url).port
        response = await http.post(f"http://{address}:{port}/verify/download-key", json=QUESTION)

    assert response.json()["outcome"] == "owned"


def over(path: Path) -> httpx.AsyncClient:
    """A client of a Unix socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=TIMEOUT_SECONDS)


async def ask_over(path: Path) -> httpx.Response:
    """Ask a question over a Unix socket."""
    async with over(path) as http:
        return await http.post("/verify/download-key", json=QUESTION)


async def test_headers_of_proxies_are_not_believed(settings: Settings, log: LogLines, http: httpx.AsyncClient) -> None:
    """A client cannot reach the operations' port by headers that claim it."""
    async with serving(replace(settings, operations=OperationsSettings(port=0)), log) as server:
        port = (await log.line("started"))["operations_port"]
        response = await http.get(
            f"{server.base_url}/metrics",
            headers={"host": f"127.0.0.1:{port}", "x-forwarded-port": str(port), "forwarded": f"host=a:{port}"},
        )

    assert response.status_code == 404


class Process:
    """`serve --sandbox` as a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    def line(self, event: str) -> dict[str, Any]:
        """Return the next line of the log with this event."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            line: dict[str, Any] = json.loads(text)
            self.lines.append(line)
            if line["event"] == event:
                return line
        raise AssertionError(f"it ended without {event}: {self.lines}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        self.process.communicate(timeout=TIMEOUT_SECONDS)
        return self.process.returncode


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[Process]:
    """Start one; it is killed in the end, if it has not ended yet."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OWNERSHIP_GATEWAY_")}
    with subprocess.Popen(
        [sys.executable, "-m", "service", "serve", "--sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**clean, **{f"OWNERSHIP_GATEWAY_{name}": value for name, value in environment.items()}},
    ) as started:
        try:
            yield Process(started)
        finally:
            started.kill()


def test_process_answers_and_ends_well_when_terminated() -> None:
    """Exit code 0 after SIGTERM: not ready at once, answering meanwhile, then done."""
    with process("--port", "0", DRAIN_SECONDS="600") as server:
        base_url = server.line("started")["listening"]
        before = httpx.get(f"{base_url}/readyz", trust_env=False)
        server.process.send_signal(signal.SIGTERM)
        server.line("draining")
        ready = httpx.get(f"{base_url}/readyz", trust_env=False)
        answer = httpx.post(f"{base_url}/verify/download-key", json=QUESTION, trust_env=False)
        code = server.end(signal.SIGTERM)

    assert (before.status_code, ready.status_code, answer.json()["outcome"], code) == (200, 503, "owned", 0)


def test_process_ends_well_when_interrupted() -> None:
    """Ctrl-C is no error."""
    with process("--port", "0") as server:
        server.line("started")

        assert server.end(signal.SIGINT) == 0


def test_process_that_finds_its_port_in_use_says_so_in_one_line() -> None:
    """Exit code 4, as for every configuration that cannot be used."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "service", "serve", "--sandbox", "--port", port],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )

    assert ended.returncode == 4
    assert ended.stderr.splitlines() == [f"error: cannot listen on 127.0.0.1 port {port}: Address already in use"]
