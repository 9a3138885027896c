"""The faults that only a real connection shows, and the server that carries them."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from service.sandbox import seed
from service.sandbox.app import create_sandbox_app
from service.sandbox.faults import Drip, Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from tests.clock import FakeClock

AUTHORIZATION = {"Authorization": f"Bearer {seed.SELLER_KEY}"}


@pytest.fixture
async def server(sandbox: Sandbox) -> AsyncIterator[SandboxServer]:
    """The sandbox on a port of its own."""
    async with SandboxServer(create_sandbox_app(sandbox)) as serving:
        yield serving


@pytest.fixture
async def client(server: SandboxServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that port, with the seller's key."""
    async with httpx.AsyncClient(base_url=server.base_url, headers=AUTHORIZATION, trust_env=False) as client:
        yield client


async def until_asleep(clock: FakeClock) -> None:
    """Return once the sandbox waits for the clock."""
    async with asyncio.timeout(10):
        while not clock.sleepers:  # noqa: ASYNC110 - what it waits for comes over the wire
            await asyncio.sleep(0)


async def test_it_serves_on_loopback(server: SandboxServer, client: httpx.AsyncClient) -> None:
    """On a port that the system chose."""
    answer = await client.get("/profile")

    assert server.base_url.startswith("http://127.0.0.1:")
    assert answer.json()["user"]["id"] == seed.SELLER_ID
    assert "server" not in answer.headers


async def test_it_takes_no_signals(sandbox: Sandbox) -> None:
    """Ctrl+C goes on to whoever had it before."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    async with SandboxServer(create_sandbox_app(sandbox)):
        during = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    assert during == before


async def test_connections_are_kept(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A slow answer that has ended leaves the connection usable."""
    sandbox.faults.replace([Fault(redirect="/", times=1)])

    assert (await client.get("/profile")).status_code == 302
    assert (await client.get("/profile")).status_code == 200


async def test_a_truncated_answer_ends_too_early(
    client: httpx.AsyncClient, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection closes before the promised length, and the server does not complain about what was ordered."""
    caplog.set_level(logging.WARNING)
    sandbox.faults.replace([Fault(truncated=True, times=1)])

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await client.get("/profile")

    assert (await client.get("/profile")).status_code == 200
    assert caplog.records == []


async def test_latency_delays_the_answer(client: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock) -> None:
    """Nothing is sent before its time."""
    sandbox.faults.replace([Fault(latency_ms=2500)])

    asking = asyncio.create_task(client.get("/profile"))
    await until_asleep(clock)
    await clock.advance(timedelta(milliseconds=2499))
    early = asking.done()
    await clock.advance(timedelta(milliseconds=1))
    answer = await asking

    assert not early
    assert answer.status_code == 200


async def test_a_drip_sends_everything_in_the_end(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock
) -> None:
    """Piece by piece, each after a pause."""
    sandbox.faults.replace([Fault(body="0123456789", drip=Drip(chunk_bytes=4, interval_ms=1000))])
    began = clock.monotonic()

    asking = asyncio.create_task(client.get("/profile"))
    for _ in range(3):
        await until_asleep(clock)
        await clock.advance(timedelta(seconds=1))
    answer = await asking

    assert answer.text == "0123456789"
    assert clock.monotonic() - began == 3


async def test_a_drip_can_be_truncated(client: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock) -> None:
    """Half of the body drips, then the connection closes."""
    sandbox.faults.replace([Fault(body="0123", truncated=True, drip=Drip(chunk_bytes=2, interval_ms=1000))])
    received = []

    async def read() -> None:
        async with client.stream("GET", "/profile") as answer:
            received.extend([piece async for piece in answer.aiter_bytes()])

    reading = asyncio.create_task(read())
    await until_asleep(clock)
    await clock.advance(timedelta(seconds=1))

    with pytest.raises(httpx.RemoteProtocolError):
        await reading


async def test_whoever_hangs_up_is_not_answered_any_more(
    client: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock
) -> None:
    """A slow answer does not outlive its connection."""
    sandbox.faults.replace([Fault(latency_ms=600_000)])
    asking = asyncio.create_task(client.get("/profile"))
    await until_asleep(clock)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    async with asyncio.timeout(10):
        while clock.sleepers:  # noqa: ASYNC110 - what it waits for comes over the wire
            await asyncio.sleep(0)


@pytest.mark.parametrize("fault", [Fault(latency_ms=600_000), Fault(drip=Drip(interval_ms=60_000))])
async def test_it_stops_in_the_middle_of_an_answer(
    sandbox: Sandbox, clock: FakeClock, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """Whoever was being answered is hung up on, without a word in the log."""
    caplog.set_level(logging.WARNING)
    sandbox.faults.replace([fault])
    server = SandboxServer(create_sandbox_app(sandbox))

    async with httpx.AsyncClient(headers=AUTHORIZATION, trust_env=False) as client:
        async with server:
            asking = asyncio.create_task(client.get(f"{server.base_url}/profile"))
            await until_asleep(clock)
        with pytest.raises(httpx.TransportError):
            await asking

    assert clock.sleepers == 0
    assert caplog.records == []


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /games/%FF%00/download_keys?user_id=%FF&email=%C3%28 HTTP/1.1",
        b"GET /games/3/download_keys?user_id=\xff\xfe HTTP/1.1",
        b"GET //..//.//profile HTTP/1.1",
        b"GET /api/1/key/game/" + b"9" * 9000 + b"/purchases?email= HTTP/1.1",
        b"DELETE /profile HTTP/1.1",
        b"HEAD /profile HTTP/1.1",
    ],
)
async def test_odd_requests_are_answered(server: SandboxServer, request_line: bytes) -> None:
    """None of them is the sandbox's own fault."""
    host, port = server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = [request_line, b"Host: x", b"Connection: close", b"Authorization: Bearer " + seed.SELLER_KEY.encode()]
    writer.write(b"\r\n".join(head) + b"\r\n\r\n")

    status_line = await reader.readline()
    await reader.read()
    writer.close()
    await writer.wait_closed()

    assert status_line.split()[1] in {b"200", b"400", b"404"}


async def test_a_port_can_be_chosen(sandbox: Sandbox, server: SandboxServer) -> None:
    """One that is taken is an error that names it."""
    taken = int(server.base_url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        async with SandboxServer(create_sandbox_app(sandbox), port=taken):
            pass
