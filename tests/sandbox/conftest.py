"""A sandbox of one's own, and clients that reach it without a network."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.sandbox import seed
from service.sandbox.app import create_sandbox_app
from service.sandbox.state import Sandbox
from tests.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until told to move."""
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    """A sandbox as it starts."""
    return Sandbox(clock=clock)


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client without credentials."""
    app: Any = create_sandbox_app(sandbox)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client:
        yield client


@pytest.fixture
async def seller(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client with the seller's key."""
    http.headers["Authorization"] = f"Bearer {seed.SELLER_KEY}"
    return http
