"""Whole gateways on real ports, by a clock that only moves when a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from service.http.connection import Bounds
from service.settings import Settings
from tests.clock import FakeClock
from tests.gateways import Asker, LogLines, http_client, opened
from tests.http.serving import Served, Wire, listening, post


class OnPort:
    """An open gateway, the port that it answers on, and clients of that port."""

    def __init__(self, gateway: Asker, server: Served, http: httpx.AsyncClient, clock: FakeClock) -> None:
        self.gateway = gateway
        self.server = server
        self.http = http
        self.clock = clock

    async def ask(self, key: str, *, token: str | None = None, **fields: object) -> httpx.Response:
        """Ask about a download key."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.post(
            "/verify/download-key", json={"game": 3, "download_key": key, **fields}, headers=headers
        )

    def asking(self, key: str, **fields: Any) -> asyncio.Task[httpx.Response]:
        """Begin to ask."""
        return asyncio.create_task(self.ask(key, **fields))

    async def caller(self, key: str, *, token: str | None = None) -> Wire:
        """Begin to ask on a connection of its own, which can be cut."""
        wire = await self.server.connect()
        body = msgspec.json.encode({"game": 3, "download_key": key})
        headers = ["Content-Type: application/json", *([f"Authorization: Bearer {token}"] if token else [])]
        await wire.send(post("/verify/download-key", body, *headers))
        return wire


@asynccontextmanager
async def on_port(
    settings: Settings, *, clock: FakeClock, log: LogLines, bounds: Bounds | None = None
) -> AsyncIterator[OnPort]:
    """Open a gateway and serve it as `service.server` does."""
    async with (
        opened(settings, clock=clock, log=log, bounds=bounds) as gateway,
        listening(gateway.gateway.http) as server,
        http_client(server.port) as client,
    ):
        yield OnPort(gateway, server, client, clock)
