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
from tests.reliability.store import Statements, StoreLine

ISSUER: Final = "https://gateway.example.com"


def pem(name: str = "first") -> str:
    """Return the private key of that name, in PEM."""
    return _made(name)


@cache
def _made(_name: str) -> str:
    return new_signing_key()  # which takes a while


class MarkedLine(StoreLine):
    """Leads to a store that says that it is a sandbox."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the store does, and say so."""
        response = await super().handle_async_request(request)
        response.headers["x-sandbox"] = "yes"
        return response


def line_to(sandbox: Sandbox, clock: FakeClock, *, marked: bool = False) -> StoreLine:
    """Return a way to a store, which says that it is a sandbox if it is `marked`."""
    kind = MarkedLine if marked else StoreLine
    return kind(sandbox, clock=clock, statements=Statements())


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
                opened(settings, log=log, transport=line_to(store, clock, marked=marked), **options)
            )
            await until_learned(asker.gateway)
            store.journal.clear()
            return asker

        yield open_one
