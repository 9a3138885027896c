"""The cause for which the store gives no answer, told from what is on the wire."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from service.causes import Cause
from service.errors import SourceUnavailable
from service.secret import ProxyUrl, SellerKey
from service.stores.transport import StoreClient
from tests.cache.certificates import write_certificate
from tests.cli.terminals import start
from tests.redis_server import free_port
from tests.stores.connect_proxy import babbling_proxy, connect_proxy
from tests.stores.raw_server import closed_port, http_answer, raw_server
from tests.stores.test_certificates import store


async def cause_at(base_url: str, *, proxy: str | None = None) -> Cause | None:
    """Ask the store at that address, and return why it gives no answer."""
    client = StoreClient(base_url=base_url, user_agent="test", proxy=None if proxy is None else lambda: ProxyUrl(proxy))
    try:
        with pytest.raises(SourceUnavailable) as raised:
            await client.get("/profile", bearer=SellerKey("canary-seller-key"), parameters={})
    finally:
        await client.close()
    assert str(raised.value) == "no answer from the store"
    return raised.value.cause


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_closed_port(host: str) -> None:
    """A host may have several addresses, all of which refuse."""
    assert await cause_at(closed_port().replace("127.0.0.1", host)) is Cause.REFUSED


@pytest.mark.parametrize("host", ["store.invalid", "a..b"])
async def test_a_host_without_an_address(host: str) -> None:
    """Be it that no server knows the name, or that it is none."""
    assert await cause_at(f"http://{host}:1") is Cause.DNS


async def test_an_address_without_a_route() -> None:
    """The system never connects to the address that stands for all."""
    assert await cause_at("http://255.255.255.255:1") is Cause.UNREACHABLE


async def test_a_store_that_hangs_up() -> None:
    """At once, politely."""
    async with raw_server(hang_up) as server:
        assert await cause_at(server.base_url) is Cause.RESET


async def test_a_store_that_resets_the_connection() -> None:
    """At once, as a firewall does."""
    async with raw_server(reset) as server:
        assert await cause_at(server.base_url) is Cause.RESET


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """End the connection."""
    writer.close()
    await writer.wait_closed()


async def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with an RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    "answer", [b"+PONG\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n: \r\n\r\n"]
)
async def test_an_answer_that_is_no_http(answer: bytes) -> None:
    """A server of another kind."""
    async with raw_server(answer) as server:
        assert await cause_at(server.base_url) is Cause.PROTOCOL


async def test_half_an_answer() -> None:
    """The connection ends before the body does."""

    async def half(writer: asyncio.StreamWriter) -> None:
        writer.write(http_answer(b"{}" * 100)[:-10])
        await writer.drain()
        writer.close()

    async with raw_server(half) as server:
        assert await cause_at(server.base_url) is Cause.RESET


async def test_a_store_that_does_not_speak_tls() -> None:
    """As a portal of a network, which answers in the store's place."""
    async with plain_server() as port:
        assert await cause_at(f"https://127.0.0.1:{port}") is Cause.NOT_TLS


@asynccontextmanager
async def plain_server() -> AsyncIterator[int]:
    """Serve plain HTTP to all who send a byte; yield the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


# Proxies.


async def test_a_proxy_that_hangs_up() -> None:
    """Before it has said anything."""
    async with babbling_proxy(b"") as proxy:
        assert await cause_at("https://store.invalid", proxy=f"http://{proxy.address}") is Cause.PROXY


async def test_a_store_that_fails_behind_a_proxy_that_works(tmp_path: Path) -> None:
    """The certificate is the store's, and so is the fault."""
    write_certificate(tmp_path, address="127.0.0.1")
    async with store(tmp_path) as shop, connect_proxy() as proxy:
        assert await cause_at(shop.base_url, proxy=f"http://{proxy.address}") is Cause.TLS_UNTRUSTED


async def test_a_store_without_tls_behind_a_proxy() -> None:
    """As one that answers in the store's place."""
    async with plain_server() as port, connect_proxy() as proxy:
        assert await cause_at(f"https://127.0.0.1:{port}", proxy=f"http://{proxy.address}") is Cause.NOT_TLS


async def test_a_store_that_hangs_up_behind_a_proxy(tmp_path: Path) -> None:
    """The proxy has led to it, and the handshake is over: it is no fault of the proxy's any more."""
    write_certificate(tmp_path, address="127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")

    async def hang_up_when_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up_when_asked, "127.0.0.1", 0, ssl=context)
    async with server, connect_proxy() as proxy:
        found = await diagnosis(
            f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            tmp_path / "certificate.pem",
            ITCH__PROXY=f"http://{proxy.address}",
        )

    assert found["why"] == "reset"


async def test_a_store_without_any_tls_that_hangs_up_behind_a_proxy() -> None:
    """There is no tunnel: the request itself goes to the proxy, and who hangs up then may be either."""
    async with babbling_proxy(b"") as proxy:
        assert await cause_at("http://store.invalid", proxy=f"http://{proxy.address}") is Cause.RESET


# Certificates: a process reads those that it trusts only once, so each needs one of its own.


async def diagnosis(base_url: str, trusted: Path, **settings: str) -> dict[str, str]:
    """Let the doctor of a machine with these trusted certificates examine the store."""
    variables = {
        "OWNERSHIP_GATEWAY_ITCH__BASE_URL": base_url,
        "OWNERSHIP_GATEWAY_ITCH__API_KEY": "canary-seller-key",
        "SSL_CERT_FILE": str(trusted),
        "SSL_CERT_DIR": str(trusted.parent / "none"),
        **{f"OWNERSHIP_GATEWAY_{name}": value for name, value in settings.items()},
    }
    with start(["doctor", "--json"], variables) as process:
        output, _ = await asyncio.to_thread(process.communicate)
    found: dict[str, str] = next(one for one in json.loads(output)["checks"] if one["check"] == "seller key")
    return found


@pytest.mark.parametrize(
    ("host", "certificate", "why"),
    [
        ("127.0.0.1", {"address": "127.0.0.1", "valid_for": timedelta(minutes=-1)}, "tls_expired"),
        ("127.0.0.1", {"address": "127.0.0.1", "valid_in": timedelta(hours=1)}, "tls_expired"),
        ("127.0.0.1", {"address": "127.0.0.2"}, "tls_name"),
        ("localhost", {"address": "127.0.0.1"}, "tls_name"),
    ],
)
async def test_a_certificate_that_is_wrong(tmp_path: Path, host: str, certificate: dict[str, object], why: str) -> None:
    """It is trusted, so that nothing else is wrong about it."""
    write_certificate(tmp_path, **certificate)  # type: ignore[arg-type]  # as the cases have them
    async with store(tmp_path) as shop:
        found = await diagnosis(shop.base_url.replace("127.0.0.1", host), tmp_path / "certificate.pem")

    assert (found["why"], shop.requests) == (why, [])


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    """The hint is what a company's proxy needs."""
    for name in ("trusted", "other"):
        (tmp_path / name).mkdir()
        write_certificate(tmp_path / name, address="127.0.0.1")
    async with store(tmp_path / "other") as shop:
        found = await diagnosis(shop.base_url, tmp_path / "trusted" / "certificate.pem")

    assert found["why"] == "tls_untrusted"
    assert "SSL_CERT_FILE" in found["hint"]


async def test_a_proxy_that_is_not_there_is_the_doctors_diagnosis_too(tmp_path: Path) -> None:
    """Its hint names the setting."""
    write_certificate(tmp_path, address="127.0.0.1")

    found = await diagnosis(
        "https://store.invalid", tmp_path / "certificate.pem", ITCH__PROXY=f"http://127.0.0.1:{free_port()}"
    )

    assert found["why"] == "proxy"
    assert "itch.proxy" in found["hint"]
