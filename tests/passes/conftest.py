"""Gateways with keys of an operator's, in front of a store that does not say that it is a sandbox."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import pytest

from service.pass_pem import new_signing_key
from service.sandbox.seed import SELLER_KEY
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreRequest
from service.settings import SettingsReader
from tests.clock import FakeClock
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    opened,
    settings_from,
    until_learned,
)

ISSUER: Final = "https://gateway.example.com"


def pem(name: str = "first") -> str:
    """Return the private key of that name, in PEM."""
    return _made(name)


@cache
def _made(_name: str) -> str:
    return new_signing_key()  # which takes a while


class Line(httpx.AsyncBaseTransport):
    """Leads to a store that does not say that it is a sandbox."""

    def __init__(self, sandbox: Sandbox, *, marked: bool = False) -> None:
        self._sandbox = sandbox
        self._mark = [("x-sandbox", "yes")] if marked else []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the store does."""
        asked = StoreRequest(
            method=request.method,
            path=request.url.path,
            query=tuple(request.url.params.multi_items()),
            authorization=request.headers.get("authorization"),
        )
        answer = self._sandbox.receive(asked).answer
        headers = [("content-type", answer.content_type), *answer.headers, *self._mark]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))


class OpenReal(Protocol):
    """Opens a gateway with keys in `key_file`. Its store says that it is a sandbox if `marked`."""

    async def __call__(
        self, games: str = X_MOON, *, seconds: int = 900, marked: bool = False, reread: bool = False, **options: Any
    ) -> Asker:
        """Return the open gateway."""


@pytest.fixture
def log() -> LogLines:
    """The log of the gateways."""
    return LogLines()


@pytest.fixture
def store(clock: FakeClock) -> Sandbox:
    """A store."""
    return Sandbox(clock=clock)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The file of the keys."""
    file = tmp_path / "pass-keys.pem"
    file.write_text(pem())
    return file


@pytest.fixture
async def open_real(
    tmp_path: Path, clock: FakeClock, log: LogLines, store: Sandbox, key_file: Path
) -> AsyncIterator[OpenReal]:
    """Open gateways whose passes are real."""
    async with AsyncExitStack() as stack:

        async def open_one(
            games: str = X_MOON, *, seconds: int = 900, marked: bool = False, reread: bool = False, **options: Any
        ) -> Asker:
            toml = (
                f'secret = "{SECRET}"\n[itch]\napi_key = "{SELLER_KEY}"\n'
                f'[passes]\nissuer = "{ISSUER}"\nkey_file = "{key_file}"\nseconds = {seconds}\n{games}'
            )
            settings = settings_from(tmp_path, toml, sandbox=False)
            options.setdefault("clock", clock)
            if reread:
                reader = SettingsReader({}, config_file=tmp_path / "gateway.toml")
                settings, options["reader"] = reader.read(), reader
            asker = await stack.enter_async_context(
                opened(settings, log=log, transport=Line(store, marked=marked), **options)
            )
            await until_learned(asker.gateway)
            store.journal.clear()
            return asker

        yield open_one
