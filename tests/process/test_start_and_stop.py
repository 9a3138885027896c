"""A start without the store and Redis, a stop without lost questions, and a kill."""

import asyncio
import math
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import httpx
import pytest

from service.clock import SystemClock
from service.sandbox import seed
from tests import sizes
from tests.gateways import SECRET, befall, plain_client, sandbox_alone, store_calls, until
from tests.process.processes import QUESTION, TIMEOUT, Balancer, process
from tests.redis_server import free_port


@contextmanager
def silent_port() -> Iterator[int]:
    """Return a port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def first_answers(*, store: int, redis: int, deadline_ms: int) -> tuple[int, httpx.Response]:
    """Start a gateway with this store and this Redis; return its readiness and its answer to a first question."""
    environment = {
        "ITCH__API_KEY": "a-seller-key-of-a-test",
        "ITCH__BASE_URL": f"http://127.0.0.1:{store}",
        "REDIS__URL": f"redis://127.0.0.1:{redis}",
        "SECRET": SECRET,
    }
    async with process(**environment) as gateway, plain_client(timeout=TIMEOUT) as http:
        ready = await http.get(f"{gateway.base_url}/readyz")
        answer = await http.post(
            f"{gateway.base_url}/verify/download-key", json={**QUESTION, "deadline_ms": deadline_ms}
        )
        return ready.status_code, answer


async def test_it_starts_ready_while_redis_and_the_store_are_down() -> None:
    """The gateway is ready once it says that it has started, and answers `unknown` where it needs the store."""
    # The first question also waits for what is imported after the start; it must not run out of time for that.
    ready, answer = await first_answers(store=free_port(), redis=free_port(), deadline_ms=10_000)

    assert (ready, answer.status_code, answer.json()["reason"]) == (200, 503, "source_unavailable")


async def test_it_starts_ready_while_redis_and_the_store_are_silent() -> None:
    """A Redis and a store that accept connections and never answer delay the start no more than those that are down."""
    with silent_port() as store, silent_port() as redis:
        ready, answer = await first_answers(store=store, redis=redis, deadline_ms=300)

    assert (ready, answer.status_code, answer.json()["reason"]) == (200, 503, "deadline_exceeded")


async def stopped_under_load(*, drain_seconds: float, looks_every: float) -> tuple[Balancer, int]:
    """Stop a gateway in the middle of a few hundred questions; return how they ended, and the exit code.

    A load balancer that never looks sends questions for a moment after the gateway has gone.
    """
    async with process("--sandbox", DRAIN_SECONDS=str(drain_seconds)) as gateway:
        balancer = Balancer(gateway.base_url, looks_every=looks_every)
        running = asyncio.create_task(balancer.run(staying=4, new=4))
        while balancer.answered <= 200:  # noqa: ASYNC110 - `until` would leave it no time
            await asyncio.sleep(0.01)
        gateway.signal(signal.SIGTERM)
        if math.isinf(looks_every):
            await gateway.ends()
            await asyncio.sleep(0.1)
            balancer.stop()
        await running
        return balancer, await gateway.ends()


@pytest.mark.parametrize("attempt", range(sizes.STOPS))
async def test_stopping_under_load_loses_nothing(attempt: int) -> None:
    """Readiness fails, the load balancer notices, and until then everything is answered."""
    balancer, code = await stopped_under_load(drain_seconds=0.8, looks_every=0.1)

    assert (balancer.failed, code) == ([], 0)
    assert balancer.answered > 200


async def test_whoever_does_not_look_loses_questions() -> None:
    """A control: the test above can fail."""
    balancer, code = await stopped_under_load(drain_seconds=0.0, looks_every=math.inf)

    assert (balancer.failed != [], code) == (True, 0)


async def test_killing_it_leaves_nothing_wrong(redis_url: str) -> None:
    """Another gateway with the same Redis gives the right answers at once."""
    environment = {"ITCH__API_KEY": seed.SELLER_KEY, "REDIS__URL": redis_url, "SECRET": SECRET}
    async with sandbox_alone(SystemClock()) as (sandbox, base_url):
        environment["ITCH__BASE_URL"] = base_url
        async with process(**environment) as other, plain_client(timeout=TIMEOUT) as http:
            async with process(**environment) as killed:
                await ask(http, killed.base_url, seed.OWNER_KEY)
                befall(sandbox, latency_ms=60_000)
                sandbox.journal.clear()
                asking = asyncio.create_task(ask(http, killed.base_url, "a-key-that-nobody-has"))
                await until(lambda: store_calls(sandbox))
                killed.signal(signal.SIGKILL)
                with pytest.raises(httpx.TransportError):
                    await asking
                code = await killed.ends()
            sandbox.faults.replace([])
            known = await ask(http, other.base_url, seed.OWNER_KEY)
            unknown = await ask(http, other.base_url, "another-key-that-nobody-has")

    assert code == -signal.SIGKILL
    assert [answer.json()["outcome"] for answer in (known, unknown)] == ["owned", "not_owned"]


async def ask(http: httpx.AsyncClient, base_url: str, key: str) -> httpx.Response:
    """Ask about a download key."""
    return await http.post(f"{base_url}/verify/download-key", json={"game": 3, "download_key": key})


_NOWHERE: Final = {
    "full disk": ">/dev/full 2>/dev/full",
    "closed": ">&- 2>&-",
    "all closed": "<&- >&- 2>&-",
    "output closed": ">&-",
}


@asynccontextmanager
async def speaking_into(where: str, *arguments: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Start `serve` with its standard streams redirected as a shell would; return its address and the process."""
    port = free_port()
    command = shlex.join([sys.executable, "-m", "service", "serve", "--port", str(port), *arguments])
    # Empty: what is written must wait in a buffer, as it does for an operator, whatever these tests run with.
    environment = {**os.environ, "OWNERSHIP_GATEWAY_DRAIN_SECONDS": "0", "PYTHONUNBUFFERED": ""}
    started = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exec {command} {where}", env=environment)
    try:
        yield f"http://127.0.0.1:{port}", started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@pytest.mark.parametrize("where", _NOWHERE.values(), ids=_NOWHERE)
async def test_log_and_greeting_that_cannot_be_written_keep_nobody_from_being_served(where: str) -> None:
    """It starts, answers, and ends with 0 when it is told to."""
    async with speaking_into(where, "--sandbox") as (base_url, started), plain_client(timeout=TIMEOUT) as http:
        answer = await first_answer(http, base_url, started)
        started.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT):
            code = await started.wait()

    assert (answer.json()["outcome"], code) == ("owned", 0)


async def test_log_and_greeting_without_a_reader_keep_nobody_from_being_served() -> None:
    """Both go into a pipe whose other end was closed before the start."""
    reading, writing = os.pipe()
    os.close(reading)
    port = free_port()
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "serve", "--sandbox", "--port", str(port)), stdout=writing, stderr=writing
    )
    os.close(writing)
    try:
        async with plain_client(timeout=TIMEOUT) as http:
            answer = await first_answer(http, f"http://127.0.0.1:{port}", started)
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()

    assert answer.json()["outcome"] == "owned"


async def first_answer(http: httpx.AsyncClient, base_url: str, started: asyncio.subprocess.Process) -> httpx.Response:
    """Return the answer to a question that is asked until the process answers."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            assert started.returncode is None, f"it ended with {started.returncode}"
            with suppress(httpx.TransportError):
                return await ask(http, base_url, seed.OWNER_KEY)
            await asyncio.sleep(0.05)
