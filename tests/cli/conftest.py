"""An environment without configuration, a store to ask, and logging that is put back as it was."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from litestar import Litestar
from litestar.types import Message, Receive, Scope, Send

from service.clock import SystemClock
from service.sandbox.app import create_sandbox_app
from service.sandbox.faults import Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import SELLER_KEY
from service.sandbox.state import Sandbox

WriteConfig = Callable[[str], str]


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OWNERSHIP_GATEWAY_") or name == "NO_COLOR":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    names = ["", "aiohttp", "httpcore", "httpx", "redis", "uvicorn.access"]
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers
    for logger, level in before:
        logger.setLevel(level)


class Store:
    """A store on a loopback port: the sandbox, whose clock is `ahead` of ours, or that tells no time while it is None.

    It names itself the sandbox only to those who look at its headers.
    """

    def __init__(self) -> None:
        self.sandbox = Sandbox(clock=SystemClock())
        self.ahead: timedelta | None = None
        self.base_url = ""
        self._app: Litestar = create_sandbox_app(self.sandbox)

    @property
    def variables(self) -> dict[str, str]:
        """The configuration of a gateway that asks this store."""
        return {
            "OWNERSHIP_GATEWAY_ITCH__BASE_URL": self.base_url,
            "OWNERSHIP_GATEWAY_ITCH__API_KEY": SELLER_KEY,
        }

    def befall(self, **fault: Any) -> None:
        """Let this fault stand, and no other."""
        self.sandbox.faults.replace([Fault(**fault)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the sandbox does, and tell the time."""

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start" and self.ahead is not None:
                date = format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)
                message["headers"] = [*message["headers"], (b"date", date.encode())]
            await send(message)

        await self._app(scope, receive, send_dated)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """A store to ask, with the seeded world."""
    store = Store()
    app: Any = store
    async with SandboxServer(app) as server:
        store.base_url = server.base_url
        yield store


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    """Write a TOML file, and return where it is."""

    def write(toml: str) -> str:
        path = tmp_path / "gateway.toml"
        path.write_text(toml, encoding="utf-8")
        return str(path)

    return write
