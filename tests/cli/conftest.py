"""An environment without configuration, a store or a gateway to ask, and logging that is put back as it was."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec import structs

from service.clock import SystemClock
from service.sandbox.faults import Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import SELLER_KEY
from service.sandbox.state import Delivery, Sandbox
from service.sandbox.store_endpoints import StoreRequest
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, opened, settings_from

WriteConfig = Callable[[str], str]


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OWNERSHIP_GATEWAY_") or name == "NO_COLOR":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    names = ["", "aiohttp", "httpcore", "httpx", "redis"]
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers
    for logger, level in before:
        logger.setLevel(level)


class DatedSandbox(Sandbox):
    """A sandbox whose clock is `ahead` of ours; its answers have no date while that is None."""

    ahead: timedelta | None = None

    def receive(self, request: StoreRequest) -> Delivery:
        """Answer as any sandbox does, and tell the time."""
        delivery = super().receive(request)
        if self.ahead is None:
            return delivery
        date = format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)
        answer = structs.replace(delivery.answer, headers=(*delivery.answer.headers, ("Date", date)))
        return structs.replace(delivery, answer=answer)


class Upstream:
    """A store on a loopback port: the sandbox, which names itself so in a header alone."""

    def __init__(self) -> None:
        self.sandbox = DatedSandbox(clock=SystemClock())
        self.base_url = ""

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


@pytest.fixture
async def store() -> AsyncIterator[Upstream]:
    """A store to ask, with the seeded world."""
    store = Upstream()
    async with SandboxServer(store.sandbox) as server:
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


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Asker]:
    """A gateway that needs no token, for the commands that ask one that runs."""
    async with opened(settings_from(tmp_path, X_MOON), clock=FakeClock(), log=LogLines()) as asker:
        yield asker
