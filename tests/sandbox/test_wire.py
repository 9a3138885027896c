"""The sandbox's server: HTTP on a real connection, and the faults that only one can show."""

import asyncio
import logging
import signal
import socket
import struct
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from service.sandbox import seed
from service.sandbox.faults import Drip, Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import plain_client

AUTHORIZATION = {"Authorization": f"Bearer {seed.SELLER_KEY}"}


@pytest.fixture
async def client(server: SandboxServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that port, with the seller's key."""
    async with plain_client(base_url=server.base_url, headers=AUTHORIZATION) as client:
        yield client


async def until_asleep(clock: FakeClock) -> None:
    """Return once the sandbox waits for the clock."""
    async with asyncio.timeout(10):
        while not clock.sleepers:  # noqa: ASYNC110 - what it waits for comes over the wire
            await asyncio.sleep(0)


async def test_it_serves_on_loopback(server: SandboxServer, client: httpx.AsyncClient) -> None:
    """The server listens on loopback, on a port that the system chose."""
    answer = await client.get("/profile")

    assert server.base_url.startswith("http://127.0.0.1:")
    assert answer.json()["user"]["id"] == seed.SELLER_ID
    assert "server" not in answer.headers


async def test_it_takes_no_signals(sandbox: Sandbox) -> None:
    """The handlers of SIGINT and SIGTERM stay as they were."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    async with SandboxServer(sandbox):
        during = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    assert during == before


async def test_connections_are_kept(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A connection is usable after a fault's answer."""
    sandbox.faults.replace([Fault(redirect="/", times=1)])

    assert (await client.get("/profile")).status_code == 302
    assert (await client.get("/profile")).status_code == 200


async def test_a_truncated_answer_ends_too_early(
    client: httpx.AsyncClient, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A truncated answer ends before its promised length, and the log stays empty."""
    caplog.set_level(logging.WARNING)
    sandbox.faults.replace([Fault(truncated=True, times=1)])

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await client.get("/profile")

    assert (await client.get("/profile")).status_code == 200
    assert caplog.records == []


async def test_latency_delays_the_answer(client: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock) -> None:
    """An answer with latency is not sent before its time."""
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
    """A drip sends the whole body, piece by piece."""
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
    """A truncated drip sends half of the body; then the connection closes."""
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
    """The server hangs up in the middle of an answer, without a word in the log."""
    caplog.set_level(logging.WARNING)
    sandbox.faults.replace([fault])
    server = SandboxServer(sandbox)

    async with plain_client(headers=AUTHORIZATION) as client:
        async with server:
            asking = asyncio.create_task(client.get(f"{server.base_url}/profile"))
            await until_asleep(clock)
        with pytest.raises(httpx.TransportError):
            await asking

    assert clock.sleepers == 0
    assert caplog.records == []


async def exchange(server: SandboxServer, sent: bytes) -> bytes:
    """Return all that the sandbox sends until it closes the connection."""
    host, port = server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    async with asyncio.timeout(10):
        received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /games/%FF%00/download_keys?user_id=%FF&email=%C3%28 HTTP/1.1",
        b"GET /games/3/download_keys?user_id=\xff\xfe HTTP/1.1",
        b"GET //..//.//profile HTTP/1.1",
        b"GET /api/1/key/game/" + b"9" * 9000 + b"/purchases?email= HTTP/1.1",
        b"DELETE /profile HTTP/1.1",
        b"HEAD /profile HTTP/1.1",
        b"GET /profile HTTP/1.0",
    ],
)
async def test_odd_requests_are_answered(server: SandboxServer, request_line: bytes) -> None:
    """Odd requests get the store's answers."""
    head = [request_line, b"Host: x", b"Connection: close", b"Authorization: Bearer " + seed.SELLER_KEY.encode()]

    received = await exchange(server, b"\r\n".join(head) + b"\r\n\r\n")

    assert received.split()[1] in {b"200", b"400", b"404"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"PUT /sandbox/faults HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"PUT /sandbox/faults HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n", b"400"),
        (b"GET /profile HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET /profile HTTP/1.1\r\nX: " + b"x" * 40_000, b"431"),
    ],
)
async def test_what_is_no_request_is_refused(server: SandboxServer, sent: bytes, status: bytes) -> None:
    """Nonsense is answered with a problem, and the connection closes."""
    received = await exchange(server, sent)

    assert received.split()[1] == status
    assert b"\r\nX-Sandbox: ownership-gateway\r\n" in received
    assert b"GET /sandbox shows what there is" in received


async def test_an_answer_to_head_has_no_body(server: SandboxServer) -> None:
    """The answer to HEAD has the length of GET's body, and no body."""
    received = await exchange(server, b"HEAD /profile HTTP/1.1\r\nConnection: close\r\n\r\n")

    head, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\nContent-Length: 35" in head
    assert body == b""


async def test_requests_may_follow_each_other_at_once(server: SandboxServer) -> None:
    """Pipelined requests are answered in their order."""
    received = await exchange(
        server, b"GET /nowhere HTTP/1.1\r\n\r\nGET /sandbox/faults HTTP/1.1\r\nConnection: close\r\n\r\n"
    )

    assert received.count(b"HTTP/1.1 ") == 2
    assert received.endswith(b'{"faults":[]}')


async def test_a_client_that_sends_no_more_gets_its_answer(server: SandboxServer) -> None:
    """The end of the input does not overtake an answer that is ready."""
    host, port = server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /sandbox/faults HTTP/1.1\r\n\r\n")
    writer.write_eof()

    async with asyncio.timeout(10):
        received = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert received.endswith(b'{"faults":[]}')


async def test_a_client_may_wait_to_be_asked_for_its_body(server: SandboxServer) -> None:
    """A client with `Expect: 100-continue`, such as curl, is asked for its body."""
    host, port = server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"PUT /sandbox/faults HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(10):
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(b'{"status":503}')
        received = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_body_may_come_in_chunks(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A chunked body, such as .NET's JsonContent, is read."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"status":'
        yield b"503}"

    answer = await client.put("/sandbox/faults", content=chunks())

    assert answer.status_code == 200
    assert [state.fault for state in sandbox.faults.state()] == [Fault(status=503)]


async def test_chunks_may_have_extensions_and_trailers(server: SandboxServer) -> None:
    """Extensions of chunks and trailers are ignored."""
    received = await exchange(
        server,
        b"PUT /sandbox/faults HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b'e;name=value\r\n{"status":503}\r\n0\r\nX-Sum: 1\r\n\r\n',
    )

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_client_may_cut_the_connection(server: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    """A reset by the client leaves no word in the log."""
    port = int(server.base_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as cut:
        cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        cut.sendall(b"GET /profile HTTP/1.1\r\n")
    async with plain_client(base_url=server.base_url) as client:
        await client.get("/profile")

    assert caplog.records == []


async def test_a_port_can_be_chosen(sandbox: Sandbox, server: SandboxServer) -> None:
    """A taken port is an error that says so."""
    taken = int(server.base_url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        async with SandboxServer(sandbox, port=taken):
            pass
