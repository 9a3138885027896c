"""The way to the store through a proxy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from service.causes import Cause
from service.cli.exits import Exit
from service.errors import SettingsError, SourceUnavailable
from service.secret import ProxyUrl, SellerKey
from service.secret_file import SecretFile, SecretPlace
from service.secret_text import read_proxy_url
from service.settings import load_settings
from service.stores.transport import StoreClient
from tests.cache.certificates import write_certificate
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, opened, settings_from, until
from tests.redis_server import free_port
from tests.stores.connect_proxy import babbling_proxy, connect_proxy
from tests.stores.descriptors import no_descriptor_left
from tests.stores.test_certificates import Store, store

PROXY: Final = "itch.proxy"
PASSWORD: Final = "canary p@ss/w:rd"
ENCODED: Final = "canary%20p%40ss%2Fw%3Ard"
MEBIBYTES_OF_BUFFERS: Final = 64
"""More than the system's buffers for both ends of a connection hold, and far less than what never ends."""

A_SECOND: Final = timedelta(seconds=1)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Store]:
    """A store that speaks TLS, with a certificate that is trusted by those who are told to."""
    write_certificate(tmp_path, address="127.0.0.1")
    async with store(tmp_path) as serving:
        yield serving


async def test_the_store_is_asked_through_the_proxy(shop: Store, tmp_path: Path) -> None:
    """The proxy learns the address of the store, and carries what it cannot read."""
    async with connect_proxy(credentials=f"gateway:{PASSWORD}") as proxy:
        asked = await shop.is_asked(
            trusting=tmp_path / "certificate.pem", ITCH__PROXY=f"http://gateway:{ENCODED}@{proxy.address}"
        )

    assert asked == Exit.OK
    assert len(shop.requests) == len(proxy.heads) == 1
    assert proxy.heads[0].startswith(f"CONNECT {shop.base_url.removeprefix('https://')} HTTP/1.1\r\n".encode())
    assert b"canary-seller-key" in shop.requests[0]
    assert b"canary-seller-key" not in proxy.heads[0] + proxy.carried
    assert b"proxy-authorization" not in shop.requests[0].lower()


async def test_a_store_that_nobody_vouches_for_is_not_asked_through_a_proxy_either(shop: Store, tmp_path: Path) -> None:
    """A proxy in between is no reason to trust another certificate."""
    (tmp_path / "other").mkdir()
    write_certificate(tmp_path / "other", address="127.0.0.1")
    async with connect_proxy() as proxy:
        asked = await shop.is_asked(
            trusting=tmp_path / "other" / "certificate.pem", ITCH__PROXY=f"http://{proxy.address}"
        )

    assert asked == Exit.UNKNOWN
    assert (len(proxy.heads), shop.requests) == (1, [])


@asynccontextmanager
async def client_behind(proxy: str) -> AsyncIterator[StoreClient]:
    """Return a client of a store that nothing leads to but the proxy."""
    client = StoreClient(base_url="https://store.invalid", user_agent="test", proxy=lambda: ProxyUrl(proxy))
    try:
        yield client
    finally:
        await client.close()


async def cause_of(client: StoreClient) -> Cause | None:
    """Ask, and return the cause of what is raised."""
    with pytest.raises(SourceUnavailable) as raised:
        await client.get("/profile", bearer=SellerKey("canary-seller-key"), parameters={})
    assert "canary" not in str(raised.value)
    return raised.value.cause


@pytest.mark.parametrize("refusal", [b"403 Forbidden", b"502 Bad Gateway", b"407 Proxy Authentication Required"])
async def test_a_proxy_that_refuses_is_the_cause(refusal: bytes) -> None:
    """No request follows the one to connect."""
    async with connect_proxy(refusal=refusal) as proxy, client_behind(f"http://{proxy.address}") as client:
        told = await cause_of(client)

    assert told is (Cause.AUTH if refusal.startswith(b"407") else Cause.PROXY)
    assert [head.split(b" ")[0] for head in proxy.heads] == [b"CONNECT"]
    assert b"canary" not in proxy.heads[0]


async def test_a_wrong_password_is_said() -> None:
    """The cause does not repeat it."""
    async with (
        connect_proxy(credentials="gateway:right") as proxy,
        client_behind(f"http://gateway:{ENCODED}@{proxy.address}") as client,
    ):
        assert await cause_of(client) is Cause.AUTH


async def test_a_proxy_that_is_not_there_is_the_cause() -> None:
    """The store itself is not asked."""
    async with client_behind(f"http://127.0.0.1:{free_port()}") as client:
        assert await cause_of(client) is Cause.PROXY


@pytest.mark.parametrize("host", ["proxy.invalid", "a..b", "127.1", "999.999.999.999", "[:::::]"])
async def test_a_proxy_that_cannot_be_found_is_the_cause(host: str) -> None:
    """The name may be one that no name server knows, or none at all."""
    async with client_behind(f"http://{host}:3128") as client:
        assert await cause_of(client) is Cause.PROXY


NO_TLS: Final = b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
NO_HEADS: Final = {
    "nothing": (b"", False),
    "garbage": (bytes(range(256)) * 16, False),
    "no HTTP": (b"<html>hello</html>\r\n\r\n", False),
    "no TLS": (NO_TLS, True),
    "fields without end": (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000, True),
    "a line without end": (b"HTTP/1.1 200 OK\r\na: " + b"b" * 60_000, True),
    "a refusal without end": (b"HTTP/1.1 403 No\r\nContent-Length: 9999999999\r\n\r\n" + b"b" * 60_000, True),
}


@pytest.mark.parametrize(("answer", "again"), NO_HEADS.values(), ids=NO_HEADS)
async def test_what_is_no_answer_of_a_proxy_ends_the_request(answer: bytes, again: bool) -> None:  # noqa: FBT001
    """Not more of it is taken than fits into buffers of the system, and into a few lines."""
    async with babbling_proxy(answer, again=again) as proxy, client_behind(f"http://{proxy.address}") as client:
        told = await cause_of(client)
        await until(lambda: proxy.closed)

    assert told is (Cause.NOT_TLS if answer == NO_TLS else Cause.PROXY)
    assert proxy.sent < MEBIBYTES_OF_BUFFERS << 20


async def test_a_proxy_that_hangs_keeps_no_connection_of_a_request_that_was_given_up() -> None:
    """A question has its deadline, and behind the proxy a connection must not outlive it."""
    async with babbling_proxy(None) as proxy, client_behind(f"http://{proxy.address}") as client:
        asking = asyncio.create_task(cause_of(client))
        await until(lambda: proxy.asked)
        asking.cancel()
        await until(lambda: proxy.closed)
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_a_store_that_cannot_be_reached_without_a_proxy_is_no_proxys_fault() -> None:
    """A control: the causes above are those of a proxy."""
    client = StoreClient(base_url=f"https://127.0.0.1:{free_port()}", user_agent="test")

    told = await cause_of(client)

    await client.close()
    assert told is Cause.REFUSED


async def test_a_question_behind_a_proxy_that_refuses_gets_no_answer(tmp_path: Path, clock: FakeClock) -> None:
    """The store is unavailable, be it the proxy's fault, until the file names a proxy that is better."""
    file, log = tmp_path / "proxy", LogLines()
    async with connect_proxy(refusal=b"403 Forbidden") as proxy, connect_proxy(refusal=b"403 Forbidden") as other:
        file.write_text(f"http://gateway:{ENCODED}@{proxy.address}")
        toml = f'[itch]\napi_key = "canary-seller-key"\nbase_url = "https://store.invalid"\nproxy_file = "{file}"\n'
        async with opened(settings_from(tmp_path, toml + X_MOON, sandbox=False), clock=clock, log=log) as gateway:
            first = await gateway.key("a-key-that-nobody-has")
            file.write_text(f"http://{other.address}")
            clock.jump(A_SECOND)
            second = await gateway.key("another-key-that-nobody-has")
            reloaded = await log.line("credential_reloaded")

    assert [(answer.status_code, answer.json()["reason"]) for answer in (first, second)] == [
        (503, "source_unavailable")
    ] * 2
    assert (proxy.heads != [], other.heads != [], reloaded["setting"]) == (True, True, PROXY)
    assert b"canary" not in log.written + first.content + second.content


class Told:
    """Words told about the proxy's file."""

    def __init__(self) -> None:
        self.reloaded: list[str] = []
        self.unreadable: list[str] = []

    def place(self, url: str, *, file: Path | None, clock: FakeClock) -> SecretPlace[ProxyUrl]:
        """Return a place that tells."""
        return SecretPlace(
            PROXY,
            ProxyUrl(url),
            file=None if file is None else SecretFile(file, read=read_proxy_url),
            monotonic=clock.monotonic,
            reloaded=self.reloaded.append,
            unreadable=lambda setting, why: self.unreadable.append(f"{setting} {why}"),
        )


async def test_another_proxy_in_the_file_is_used_for_the_next_request(tmp_path: Path, clock: FakeClock) -> None:
    """A proxy's password is changed without a restart."""
    file, told = tmp_path / "proxy", Told()
    async with connect_proxy(refusal=b"403 Forbidden") as old, connect_proxy(refusal=b"403 Forbidden") as new:
        file.write_text(f"http://{old.address}")
        place = told.place(f"http://{old.address}", file=file, clock=clock)
        client = StoreClient(base_url="https://store.invalid", user_agent="test", proxy=place.current)
        await cause_of(client)
        file.write_text(f" http://gateway:{ENCODED}@{new.address}\n")
        await cause_of(client)
        clock.jump(A_SECOND)
        await cause_of(client)
        clock.jump(A_SECOND)
        await cause_of(client)
        await client.close()

    assert (len(old.heads), len(new.heads), told.reloaded) == (2, 2, [PROXY])


def test_the_file_is_read_once_there_are_descriptors_again(tmp_path: Path, clock: FakeClock) -> None:
    """A gateway without a descriptor left does not say that the file is unreadable, and does not forget to read it."""
    file, told = tmp_path / "proxy", Told()
    file.write_text("http://other:3128")
    place = told.place("http://proxy:3128", file=file, clock=clock)
    clock.jump(A_SECOND)
    with no_descriptor_left():
        meanwhile = place.current()
    clock.jump(A_SECOND)

    assert (meanwhile.reveal(), place.current().reveal()) == ("http://proxy:3128", "http://other:3128")
    assert (told.reloaded, told.unreadable) == ([PROXY], [])


def test_a_proxy_without_a_file_stays(clock: FakeClock) -> None:
    """The URL of the settings is never read again."""
    place = Told().place("http://proxy:3128", file=None, clock=clock)
    clock.jump(A_SECOND)

    assert place.current() == ProxyUrl("http://proxy:3128")


UNFIT: Final = [
    "https://proxy:3128",
    "proxy:3128",
    "http://proxy",
    "http://proxy:0",
    "http://proxy:65536",
    "http://proxy:3128/path",
    "http://proxy:3128?x=1",
    "http://gateway@proxy:3128",
    "http://a b:c@proxy:3128",
    "http://a:b@c@proxy:3128",
    '"http://proxy:3128"',
    "HTTPS_PROXY=http://proxy:3128",
]


@pytest.mark.parametrize("text", UNFIT)
def test_what_is_no_proxy_is_refused_with_the_same_words_at_start_and_later(
    text: str, tmp_path: Path, clock: FakeClock
) -> None:
    """The proxy read before stays."""
    file, told = tmp_path / "proxy", Told()
    file.write_text(text)
    place = told.place("http://proxy:3128", file=file, clock=clock)
    for _ in range(2):
        clock.jump(A_SECOND)
        assert place.current() == ProxyUrl("http://proxy:3128")
    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY": "k3y", "OWNERSHIP_GATEWAY_ITCH__PROXY_FILE": str(file)})

    [why] = told.unreadable
    assert refusal.value.mistakes == [
        f"OWNERSHIP_GATEWAY_ITCH__PROXY_FILE cannot be used: {why.removeprefix(f'{PROXY} ')}"
    ]


@pytest.mark.parametrize("url", ["http://proxy:3128", "http://proxy:3128/", f"http://a:{ENCODED}@[::1]:1"])
def test_what_is_a_proxy(url: str) -> None:
    """User and password are percent-encoded."""
    loaded = load_settings({"OWNERSHIP_GATEWAY_ITCH__API_KEY": "k3y", "OWNERSHIP_GATEWAY_ITCH__PROXY": url})

    assert loaded.itch.proxy == ProxyUrl(url)


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"ITCH__API_KEY": "k3y", "ITCH__BASE_URL": "http://127.0.0.1:9"},
            "OWNERSHIP_GATEWAY_ITCH__PROXY is set, but OWNERSHIP_GATEWAY_ITCH__BASE_URL begins with http://: only https"
            " goes through a proxy",
        ),
        (
            {"SANDBOX": "true"},
            "OWNERSHIP_GATEWAY_SANDBOX and OWNERSHIP_GATEWAY_ITCH__PROXY are both set: the sandbox never stands in for"
            " a real store, keep one",
        ),
    ],
)
def test_a_proxy_that_nothing_can_go_through_is_a_mistake(environ: dict[str, str], line: str) -> None:
    """Without TLS the proxy would read the seller's key."""
    with pytest.raises(SettingsError) as refusal:
        load_settings(
            {f"OWNERSHIP_GATEWAY_{name}": value for name, value in environ.items()}
            | {"OWNERSHIP_GATEWAY_ITCH__PROXY": "http://proxy:3128"}
        )

    assert refusal.value.mistakes == [line]
