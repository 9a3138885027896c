"""Gateways, opened as a test needs them and closed after it."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from tests.api.edges import Edge
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, opened, settings_from
from tests.http.serving import listening


class Open(Protocol):
    """Opens a gateway with this configuration; the rest is for `tests.gateways.opened`."""

    def __call__(self, toml: str = X_MOON, *, frugal: bool = False, **more: Any) -> Awaitable[Asker]:
        """Return the open gateway."""


@pytest.fixture
def log() -> LogLines:
    """The gateway's log."""
    return LogLines()


@pytest.fixture
async def open_with(tmp_path: Path, clock: FakeClock, log: LogLines) -> AsyncIterator[Open]:
    """Open gateways with any configuration."""
    async with AsyncExitStack() as stack:

        async def open_one(toml: str = X_MOON, *, frugal: bool = False, sandbox: bool = True, **more: Any) -> Asker:
            settings = settings_from(tmp_path, toml, sandbox=sandbox, frugal=frugal)
            return await stack.enter_async_context(opened(settings, clock=clock, log=log, **more))

        yield open_one


@pytest.fixture
async def gateway(open_with: Open) -> Asker:
    """A gateway for one game, open to every caller, with the sandbox for its store."""
    return await open_with()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Asker]:
    """A gateway for the tests of one module that leave nothing behind in it, configured by the module's `TOML`."""
    settings = settings_from(tmp_path_factory.mktemp("shared"), getattr(request.module, "TOML", X_MOON))
    async with opened(settings, clock=FakeClock(), log=LogLines()) as gateway:
        yield gateway


@pytest.fixture
async def edge(gateway: Asker) -> AsyncIterator[Edge]:
    """A proxy in front of the players of the `gateway` that a test file opens."""
    async with listening(gateway.gateway.http) as server:
        yield Edge(server.port)
