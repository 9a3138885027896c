"""A sandbox, its server on a loopback port, and clients of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from service.sandbox import seed
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import plain_client


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    """A sandbox as it starts."""
    return Sandbox(clock=clock)


@pytest.fixture
async def server(sandbox: Sandbox) -> AsyncIterator[SandboxServer]:
    """The sandbox on a port of its own."""
    async with SandboxServer(sandbox) as serving:
        yield serving


@pytest.fixture
async def http(server: SandboxServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client without credentials."""
    async with plain_client(base_url=server.base_url) as client:
        yield client


@pytest.fixture
async def seller(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client with the seller's key."""
    http.headers["Authorization"] = f"Bearer {seed.SELLER_KEY}"
    return http
