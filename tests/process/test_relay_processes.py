"""A hub and two relays as real processes: the hub killed, stopped and restarted, another certificate, another token."""

import asyncio
import signal
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from service.clock import SystemClock
from service.ownership import Method
from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.cache.certificates import write_certificate
from tests.fault_proxy import FaultProxy
from tests.gateways import PATHS, X_MOON, caller_lines, plain_client, pointing_at, sandbox_alone, store_calls
from tests.process.processes import TIMEOUT, Process, process
from tests.redis_server import free_port

TOKEN: Final = "ogw_canary-the-token-of-relays-in-tests-00000000"
NEXT_TOKEN: Final = "ogw_canary-the-next-token-of-relays-in-tests-000"
BACK_WITHIN: Final = 5.0
"""Seconds after which a relay answers all again, once its hub does."""

_FRESH_SECONDS: Final = 1


class Place:
    """A hub with a fixed address, behind TLS, and relays that trust what `ca.pem` holds."""

    def __init__(self, directory: Path, store_url: str) -> None:
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.token_file = directory / "token"
        self.hub_file = directory / "hub.toml"
        self.port = free_port()
        self.hub: Process | None = None
        self._store = pointing_at(store_url)
        self._stack = AsyncExitStack()
        self._of_hub = AsyncExitStack()
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.line = FaultProxy(self.port, tls=self._tls)

    def certify(self, name: str) -> bytes:
        """Have the hub show a new certificate from now on, and return what has to be trusted for it."""
        folder = self.directory / name
        folder.mkdir()
        write_certificate(folder, address="127.0.0.1", subject=name)
        self._tls.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        return (folder / "certificate.pem").read_bytes()

    def let_in(self, token: str) -> None:
        """Have the hub know this token and no other."""
        rights = '["verify", "assert:user"]'
        replace(self.hub_file, self._store + X_MOON + caller_lines("relays", token, rights=rights, rate="1000"))

    async def start_hub(self) -> None:
        """Start it, at the address that it has."""
        hub = process("--config", str(self.hub_file), "--port", str(self.port))
        self.hub = await self._of_hub.enter_async_context(hub)

    async def kill_hub(self) -> None:
        """End it without a word."""
        await self._of_hub.aclose()

    def signal_hub(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.hub is not None
        self.hub.signal(number)

    async def relay(self) -> httpx.AsyncClient:
        """Start a relay, and return a client of it."""
        config = self.directory / "relay.toml"
        config.write_text(
            f'[relay]\nurl = "https://127.0.0.1:{self.line.port}"\ntoken_file = "{self.token_file}"\n'
            f'ca_file = "{self.ca_file}"\nfresh_seconds = {_FRESH_SECONDS}\n{X_MOON}'
        )
        started = await self._stack.enter_async_context(process("--config", str(config)))
        client = plain_client(base_url=started.base_url, timeout=TIMEOUT)
        return await self._stack.enter_async_context(client)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Place"]:
        """Begin with a hub that is well."""
        async with self._stack, self._of_hub, self.line:
            self.ca_file.write_bytes(self.certify("first"))
            self.token_file.write_text(TOKEN)
            self.let_in(TOKEN)
            await self.start_hub()
            yield self


def replace(file: Path, text: str | bytes) -> None:
    """Put a file in the place of another, as editors and orchestrators do."""
    beside = file.with_suffix(".new")
    beside.write_bytes(text if isinstance(text, bytes) else text.encode())
    beside.replace(file)


@pytest.fixture
async def store() -> AsyncIterator[tuple[Sandbox, str]]:
    """The store of the hub."""
    async with sandbox_alone(SystemClock()) as (sandbox, url):
        yield sandbox, url


@pytest.fixture
async def place(tmp_path: Path, store: tuple[Sandbox, str]) -> AsyncIterator[Place]:
    """A hub that is well."""
    async with Place(tmp_path, store[1]).open() as opened:
        yield opened


async def ask(relay: httpx.AsyncClient, user: int, **fields: Any) -> dict[str, Any]:
    """Return the answer about a user."""
    answer = await relay.post(PATHS[Method.USER], json={"game": 3, "user_id": user, **fields})
    said: dict[str, Any] = answer.json()
    return said


async def until_back(relays: list[httpx.AsyncClient], player: int) -> float:
    """Return the seconds until all relays answer about players whom they do not know; fail if it takes too long."""
    began = time.monotonic()
    while time.monotonic() - began < TIMEOUT:
        said = [(await ask(relay, player, deadline_ms=1000))["outcome"] for relay in relays]
        if "unknown" not in said:
            return time.monotonic() - began
        player += 1
        await asyncio.sleep(0.1)
    raise AssertionError("they are not back")


async def health(relay: httpx.AsyncClient) -> dict[str, str]:
    """Return the states of its components."""
    states: dict[str, str] = (await relay.get("/readyz")).json()["components"]
    return states


async def until_health(relay: httpx.AsyncClient, component: str, state: str, *, player: int) -> None:
    """Return once a component is in that state; meanwhile players come one after the other."""
    async with asyncio.timeout(TIMEOUT):
        while (await health(relay))[component] != state:
            await ask(relay, player, deadline_ms=500)
            player += 1


class Owners:
    """Owners who ask on and on; `lost` are the answers that would have kept one out."""

    def __init__(self, relays: list[httpx.AsyncClient]) -> None:
        self.answered = 0
        self.lost: list[dict[str, Any]] = []
        self._relays = relays

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Ask until the block ends."""
        tasks = [asyncio.create_task(self._play(relay)) for relay in self._relays]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _play(self, relay: httpx.AsyncClient) -> None:
        while True:
            said = await ask(relay, seed.OWNER_ID, deadline_ms=2000)
            self.answered += 1
            if not said.get("allowed"):
                self.lost.append(said)
            await asyncio.sleep(0.02)


async def test_the_hub_is_killed_and_comes_back(place: Place, store: tuple[Sandbox, str]) -> None:
    """Owners play on, no new player gets in, and all is well again within five seconds; the store was asked once."""
    relays = [await place.relay() for _ in range(2)]
    owners = Owners(relays)
    assert [(await ask(relay, seed.OWNER_ID))["allowed"] for relay in relays] == [True, True]
    assert store_calls(store[0]) >= 1
    async with owners.playing():
        await place.kill_hub()
        await asyncio.sleep(_FRESH_SECONDS + 0.5)
        for relay in relays:
            assert (await ask(relay, seed.OWNER_ID))["stale"] is True
            assert (await ask(relay, seed.BUYER_ID))["reason"] == "source_unavailable"
            assert (await health(relay))["hub"] == "unavailable"
        await place.start_hub()
        took = await until_back(relays, 1_000_000)
        after = [await ask(relay, seed.BUNDLE_BUYER_ID) for relay in relays]

    assert took < BACK_WITHIN
    assert [one["allowed"] for one in after] == [True, True]
    assert (owners.lost, owners.answered > 20) == ([], True)


async def test_the_hub_is_stopped_and_goes_on(place: Place) -> None:
    """It takes connections and says nothing: owners do not wait for it more than once."""
    relay = await place.relay()
    await ask(relay, seed.OWNER_ID)
    owners = Owners([relay])
    async with owners.playing():
        place.signal_hub(signal.SIGSTOP)
        try:
            assert (await ask(relay, 1_000_000, deadline_ms=500))["outcome"] == "unknown"
            await until_health(relay, "hub", "unavailable", player=1_100_000)
            began = time.monotonic()
            assert (await ask(relay, seed.OWNER_ID))["stale"] is True
            waited = time.monotonic() - began
        finally:
            place.signal_hub(signal.SIGCONT)
        took = await until_back([relay], 2_000_000)

    assert waited < 1.0, "who is proven does not wait for a hub that is known to be silent"
    assert took < BACK_WITHIN
    assert owners.lost == []


async def test_the_certificate_of_the_hub_changes(place: Place) -> None:
    """Until it is trusted the hub is false, and gets no question; then it is asked again, without a restart."""
    relay = await place.relay()
    await ask(relay, seed.OWNER_ID)
    owners = Owners([relay])
    async with owners.playing():
        second = place.certify("second")
        assert (await ask(relay, 1_000_000))["outcome"] == "not_owned", "connections that stand stay"
        place.line.cut()
        assert (await ask(relay, 1_000_001))["reason"] == "source_unavailable"
        assert (await relay.get("/readyz")).json()["causes"] == {"hub": "tls_untrusted"}
        replace(place.ca_file, second)
        took = await until_back([relay], 2_000_000)

    assert took < BACK_WITHIN
    assert owners.lost == []


async def test_the_token_is_rotated(place: Place) -> None:
    """At the hub, then at the relay: both read their files again."""
    relay = await place.relay()
    await ask(relay, seed.OWNER_ID)
    owners = Owners([relay])
    async with owners.playing():
        place.let_in(NEXT_TOKEN)
        await until_health(relay, "credential", "refused", player=1_100_000)
        assert (await ask(relay, 1_000_001))["reason"] == "gateway_credential"
        replace(place.token_file, NEXT_TOKEN)
        took = await until_back([relay], 2_000_000)

    assert took < BACK_WITHIN
    assert (await health(relay))["credential"] == "ok"
    assert owners.lost == []
