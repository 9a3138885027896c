"""One HTTP request over a real socket: the bytes sent, the answer read, and the exception for every failure."""

import asyncio
import gzip
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest

from service.clock import SystemClock
from service.errors import GatewayInTheWay, NoAnswer, SourceProtocolError, SourceUnavailable
from service.ownership import DownloadKey, GameId, Proof, ProofKind, VerifiedEmail
from service.sandbox import seed
from service.sandbox.faults import Drip, Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from service.secret import SellerKey
from service.stores.answer import AnswerTooLargeError, StoreAnswer
from service.stores.transport import StoreClient
from service.verification.interfaces import Lane
from tests.itch.rig import build
from tests.stores.descriptors import no_descriptor_left
from tests.stores.raw_server import RawServer, closed_port, http_answer, raw_server

SECRET: Final = SellerKey("canary-seller-key")
PLAYERS_KEY: Final = "canary-download-key"
OK: Final = http_answer(b'{"ok":true}')
LIMIT: Final = 256 * 1024
HANGS: Final = 30
"""Seconds after which a test that should have ended has failed."""


@asynccontextmanager
async def client_of(base_url: str) -> AsyncIterator[StoreClient]:
    """Yield a client as the gateway has it."""
    client = StoreClient(base_url=base_url, user_agent="ownership-gateway/1 (+https://gateway.example)")
    try:
        yield client
    finally:
        await client.close()


async def get(client: StoreClient, path: str = "/path", **parameters: str) -> StoreAnswer:
    """Ask, with the secrets that must not appear anywhere."""
    async with asyncio.timeout(HANGS):
        return await client.get(path, bearer=SECRET, parameters={"download_key": PLAYERS_KEY, **parameters})


async def failure(base_url: str) -> NoAnswer:
    """Return what asking there raises."""
    async with client_of(base_url) as client:
        with pytest.raises(NoAnswer) as raised:
            await get(client)
        return raised.value


def head(server: RawServer) -> dict[str, str]:
    """Return the headers of the only request, names in lower case."""
    (request,) = server.received
    lines = [line.partition(": ") for line in request.decode().split("\r\n")[1:] if line]
    headers = {name.lower(): value for name, _, value in lines}
    assert len(headers) == len(lines)
    return headers


@pytest.mark.parametrize("host", ["127.0.0.1", "store.invalid"])
async def test_a_gateway_without_descriptors_does_not_blame_the_store(host: str) -> None:
    """Neither connecting nor resolving a name can do without; with descriptors again, the store is asked."""
    async with raw_server(OK) as server, client_of(server.base_url) as client:
        async with client_of(server.base_url.replace("127.0.0.1", host)) as starved:
            with no_descriptor_left(), pytest.raises(GatewayInTheWay) as raised:
                await get(starved)
        answer = await get(client)

    assert raised.value.reason == SourceUnavailable.reason
    assert "descriptor" in raised.value.detail
    assert answer.status == 200


async def test_a_name_that_does_not_exist_is_the_stores_business() -> None:
    """With descriptors left, failing to resolve it is no trouble of the gateway's own."""
    assert type(await failure("http://store.invalid")) is SourceUnavailable


async def test_what_is_sent() -> None:
    """A request carries one credential and an honest name, asks for no compression, and has no cookie."""
    async with raw_server(OK) as server, client_of(server.base_url) as client:
        await get(client)

        headers = head(server)

    assert headers == {
        "host": server.base_url.removeprefix("http://"),
        "authorization": "Bearer canary-seller-key",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "ownership-gateway/1 (+https://gateway.example)",
        "connection": "keep-alive",
    }


@pytest.mark.parametrize(
    "value", ["lin+games@example.com", "a b", "a&b=c#d?e%2B%20/../", "\u00e9", "", "\r\nX: 1", "\x00"]
)
async def test_parameters_arrive_as_they_are(value: str) -> None:
    """Characters that are special in a query arrive unchanged."""
    async with raw_server(OK) as server, client_of(server.base_url) as client:
        await get(client, email=value)

        target = server.received[0].decode("ascii").split(" ")[1]

    path, _, query = target.partition("?")
    assert path == "/path"
    assert parse_qsl(query, keep_blank_values=True) == [("download_key", PLAYERS_KEY), ("email", value)]


async def test_what_is_read() -> None:
    """An answer has the whole body, and the headers that matter."""
    answer = http_answer(
        b"slow down",
        "Retry-After: 7",
        "Date: Fri, 20 Nov 2026 14:03:11 GMT",
        "X-Sandbox: yes",
        status="429 Too Many Requests",
    )
    async with raw_server(answer) as server, client_of(server.base_url) as client:
        read = await get(client)

    assert read == StoreAnswer(
        status=429,
        content_type="application/json",
        body=b"slow down",
        retry_after="7",
        date="Fri, 20 Nov 2026 14:03:11 GMT",
        sandbox=True,
    )


@pytest.mark.parametrize("body", [b"", b'{"ok":true}', b"x" * LIMIT])
async def test_bodies_up_to_the_limit_are_read(body: bytes) -> None:
    """A body with a length is read, in one piece or many."""
    async with raw_server(http_answer(body)) as server, client_of(server.base_url) as client:
        assert (await get(client)).body == body


async def test_a_body_in_chunks_is_read() -> None:
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"o\r\n8\r\nk":true}\r\n0\r\n\r\n'
    async with raw_server(chunked) as server, client_of(server.base_url) as client:
        assert (await get(client)).body == b'{"ok":true}'


async def test_the_limit_is_the_askers() -> None:
    """More is read if more is asked for, and a body that is too long is told apart from one that is no answer."""
    body = b"a" * (LIMIT + 1)
    async with raw_server(http_answer(body)) as server, client_of(server.base_url) as client:
        read = await client.get("/path", bearer=None, parameters={}, largest=LIMIT + 1)

        with pytest.raises(AnswerTooLargeError):
            await client.get("/path", bearer=None, parameters={}, largest=LIMIT)

    assert read.body == body


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_past_the_limit_is_refused(chunked: bool) -> None:  # noqa: FBT001
    """A body past the limit is refused, also if its length was not announced; the next answer is read as usual."""
    answers = [http_answer(b"x" * (LIMIT + 1)), OK]
    if chunked:
        endless = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        answers[0] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + endless * 5

    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))
        await writer.drain()

    async with raw_server(serve) as server, client_of(server.base_url) as client:
        with pytest.raises(SourceProtocolError, match="larger"):
            await get(client)

        assert (await get(client)).body == b'{"ok":true}'


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip", "x"])
async def test_a_compressed_answer_is_refused(encoding: str) -> None:
    """A compressed answer was not asked for, and may be a thousand times its size."""
    bomb = gzip.compress(b"\x00" * 10_000_000)
    async with raw_server(http_answer(bomb, f"Content-Encoding: {encoding}")) as server:
        error = await failure(server.base_url)

    assert isinstance(error, SourceProtocolError)


async def test_an_answer_that_says_it_is_not_compressed_is_read() -> None:
    """`identity` is what was asked for."""
    answer = http_answer(b'{"ok":true}', "Content-Encoding: Identity")
    async with raw_server(answer) as server, client_of(server.base_url) as client:
        assert (await get(client)).body == b'{"ok":true}'


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Again", "308 For ever"])
async def test_redirects_are_not_followed(status: str) -> None:
    """The other host is never connected to."""
    async with raw_server(OK) as other:
        redirect = http_answer(b"", f"Location: {other.base_url}/path", status=status)
        async with raw_server(redirect) as server, client_of(server.base_url) as client:
            answer = await get(client)

    assert answer.status == int(status[:3])
    assert other.connections == 0


async def test_cookies_are_not_kept() -> None:
    """A cookie that comes with one player's answer is not sent with the next player's question."""
    cookies = http_answer(b"{}", "Set-Cookie: session=abc; Path=/", "Set-Cookie: cf=1; Max-Age=99999")
    async with raw_server(cookies) as server, client_of(server.base_url) as client:
        await get(client)
        await get(client)

    assert len(server.received) == 2
    assert b"cookie" not in server.received[1].lower()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The seller's key goes to the store and nowhere else."""
    async with raw_server(OK) as proxy, raw_server(OK) as server:
        monkeypatch.setenv(name, proxy.base_url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with client_of(server.base_url) as client:
            await get(client)

    assert (proxy.connections, server.connections) == (0, 1)


async def test_credentials_in_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A `.netrc` for the store's host changes nothing."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with raw_server(OK) as server, client_of(server.base_url) as client:
        await get(client)

        assert head(server)["authorization"] == "Bearer canary-seller-key"


async def test_a_base_url_may_end_in_a_slash() -> None:
    """The path is below it all the same."""
    async with raw_server(OK) as server, client_of(f"{server.base_url}/api/1/") as client:
        await get(client, "/key/me")

        assert server.received[0].startswith(b"GET /api/1/key/me?")


async def _reset(writer: asyncio.StreamWriter) -> None:
    # With no time to linger, closing sends a reset.
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def _then_close(content: bytes) -> Any:
    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.close()

    return serve


BROKEN: Final = {
    "reset": _reset,
    "closed": _then_close(b""),
    "half a status line": _then_close(b"HTTP/1."),
    "half a header": _then_close(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half a body": _then_close(http_answer(b'{"ok":true}')[:-4]),
    "half a chunk": _then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"),
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{\r\n0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "bad header": b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("serve", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_connection_is_no_answer(serve: Any) -> None:
    """The exception carries no secret, at any point of the failure."""
    async with raw_server(serve) as server:
        error = await failure(server.base_url)

    assert type(error) is SourceUnavailable
    assert_silent(error, server.base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "refused",
        "http://no-such-host.invalid",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://\u2603\u2603.invalid:80",
        "ftp://store.example",
        "http://" + "x" * 300 + ".example",
    ],
)
async def test_a_store_that_cannot_be_reached_is_no_answer(base_url: str) -> None:
    """A refused connection, an unknown host and an impossible address are all no answer."""
    base_url = closed_port() if base_url == "refused" else base_url

    error = await failure(base_url)

    assert type(error) is SourceUnavailable
    assert_silent(error, base_url)


async def test_a_store_without_tls_is_no_answer() -> None:
    """Plain HTTP where TLS was expected."""
    async with raw_server(OK, greeting=http_answer(b"", status="400 Bad Request")) as server:
        base_url = server.base_url.replace("http://", "https://")
        error = await failure(base_url)

    assert type(error) is SourceUnavailable
    assert_silent(error, base_url)
    assert server.received == []


def assert_silent(error: NoAnswer, base_url: str) -> None:
    """Check that neither the error nor its traceback shows a credential, or where it was sent."""
    shown = "".join([str(error), repr(error), error.detail, *traceback.format_exception(error)])
    host = base_url.partition("://")[2]
    for secret in (SECRET.reveal(), PLAYERS_KEY, host, "/path"):
        assert secret not in shown.replace(__file__, "")
    assert error.__cause__ is None
    assert error.__suppress_context__


async def test_a_credential_that_fits_no_header_is_not_shown() -> None:
    """The driver's own message would quote it."""
    unfit = SellerKey("\r\n: ".join(["key-of-two-lines"] * 2))
    async with raw_server(OK) as server, client_of(server.base_url) as client:
        with pytest.raises(SourceUnavailable) as raised:
            await client.get("/path", bearer=unfit, parameters={})

    assert "key-of-two-lines" not in "".join(traceback.format_exception(raised.value))
    assert server.received == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(drip=Drip(chunk_bytes=1, interval_ms=20)),
        Fault(latency_ms=60_000),
    ],
    ids=["drip", "latency"],
)
async def test_a_slow_store_does_not_stretch_a_look_up(fault: Fault) -> None:
    """A body that arrives byte by byte ends with the look-up's time, though each byte comes in time."""
    clock = SystemClock()
    sandbox = Sandbox(clock=clock)
    sandbox.faults.replace([fault])
    async with SandboxServer(sandbox) as server, asyncio.timeout(HANGS):
        rig = build(clock=clock, base_url=server.base_url, timeout=timedelta(seconds=0.3))

        with pytest.raises(SourceUnavailable, match="too long") as raised:
            await rig.source.look_up(
                GameId(seed.GAME_ID),
                DownloadKey(seed.OWNER_KEY),
                accept=frozenset(ProofKind),
                lane=Lane(),
            )

        sandbox.faults.replace([])
        await rig.source.identify_seller()
        await rig.requests.close()
    assert seed.OWNER_KEY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "a moment later"])
async def test_a_stray_answer_is_not_taken_for_the_answer_to_the_next_question(*, apart: bool) -> None:
    """The store, or a proxy before it, sends two answers to the first question, which is about an e-mail address.

    Neither answer names a player. With connections that are used again (`force_close=False`) the second of them makes
    the next player an owner.
    """
    no = http_answer(b'{"errors":["no download key found"]}')
    yes = http_answer(b'{"download_key":{"id":124,"key":"sandbox-key","game_id":3}}')
    asked = 0
    answered, stray_is_there = asyncio.Event(), asyncio.Event()

    async def serve(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(no if apart or asked > 1 else no + yes)
        await writer.drain()
        if apart and asked == 1:
            await answered.wait()
            writer.write(yes)
        stray_is_there.set()

    async with asyncio.timeout(HANGS), raw_server(serve) as server:
        rig = build(clock=SystemClock(), base_url=server.base_url)

        async def proofs(address: str) -> tuple[Proof, ...]:
            evidence = await rig.source.look_up(
                GameId(seed.GAME_ID),
                VerifiedEmail(address),
                accept=frozenset({ProofKind.DOWNLOAD_KEY}),
                lane=Lane(),
            )
            return evidence.proofs

        first = await proofs("first@example.com")
        answered.set()
        await stray_is_there.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        second = await proofs("second@example.com")
        await rig.requests.close()

    assert (first, second) == ((), ())
    assert (asked, server.connections) == (2, 2)


async def test_a_truncated_answer_of_the_sandbox_is_no_answer() -> None:
    """Half of a body is no body."""
    sandbox = Sandbox(clock=SystemClock())
    sandbox.faults.replace([Fault(truncated=True)])
    async with SandboxServer(sandbox) as server:
        assert type(await failure(server.base_url)) is SourceUnavailable
