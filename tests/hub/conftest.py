"""A relay in front of a hub: two whole gateways, or a relay in front of prepared bytes."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from tests.clock import FakeClock
from tests.fault_proxy import FaultProxy
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, opened, settings_from
from tests.http.serving import listening

TOKEN: Final = "ogw_the-token-of-a-relay-in-tests-0000000000000"
HUB: Final = X_MOON + caller_lines(
    "relay", TOKEN, rights='["verify", "assert:user", "assert:email", "pass", "challenge"]', rate="100000"
)


def relay_lines(url: str, **more: str) -> str:
    """Return the configuration of a relay; `more` is TOML, by key."""
    fields = {"url": f'"{url}"', "token": f'"{TOKEN}"', **more}
    return "[relay]\n" + "\n".join(f"{key} = {value}" for key, value in fields.items()) + "\n"


class OpenRelay(Protocol):
    """Opens a relay of the hub at that address; the rest is for `tests.gateways.opened`."""

    def __call__(
        self, url: str, toml: str = X_MOON, *, relay: dict[str, str] | None = None, **more: Any
    ) -> Awaitable[Asker]:
        """Return the open relay."""


class Hub:
    """A hub in front of its own sandbox, and its address, which it can leave."""

    def __init__(self, asker: Asker, proxy: FaultProxy) -> None:
        self.asker = asker
        self.url = f"http://127.0.0.1:{proxy.port}"
        self._proxy = proxy

    async def leave(self) -> None:
        """Let nothing listen there any more."""
        await self._proxy.leave()

    async def come_back(self) -> None:
        """Listen there again."""
        await self._proxy.come_back()


class OpenHub(Protocol):
    """Opens a hub."""

    def __call__(self, toml: str = HUB, **more: Any) -> Awaitable[Hub]:
        """Return the open hub."""


@pytest.fixture
def log() -> LogLines:
    """The relay's log."""
    return LogLines()


@pytest.fixture
async def open_hub(tmp_path: Path, clock: FakeClock) -> AsyncIterator[OpenHub]:
    """Open hubs with any configuration."""
    async with AsyncExitStack() as stack:

        async def open_one(toml: str = HUB, **more: Any) -> Hub:
            settings = settings_from(tmp_path, toml)
            asker = await stack.enter_async_context(
                opened(settings, clock=more.pop("clock", clock), log=LogLines(), **more)
            )
            server = await stack.enter_async_context(listening(asker.gateway.http))
            return Hub(asker, await stack.enter_async_context(FaultProxy(server.port)))

        yield open_one


@pytest.fixture
async def open_relay(tmp_path: Path, clock: FakeClock, log: LogLines) -> AsyncIterator[OpenRelay]:
    """Open relays of any hub."""
    async with AsyncExitStack() as stack:

        async def open_one(url: str, toml: str = X_MOON, *, relay: dict[str, str] | None = None, **more: Any) -> Asker:
            settings = settings_from(tmp_path, relay_lines(url, **(relay or {})) + toml, sandbox=False, frugal=True)
            return await stack.enter_async_context(
                opened(settings, clock=more.pop("clock", clock), log=more.pop("log", log), **more)
            )

        yield open_one


@pytest.fixture
async def hub(open_hub: OpenHub) -> Hub:
    """A hub with one game, which knows the relay."""
    return await open_hub()


@pytest.fixture
async def relay(hub: Hub, open_relay: OpenRelay) -> Asker:
    """A relay of that hub."""
    return await open_relay(hub.url)
