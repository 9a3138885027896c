"""A gateway in front of a store that is not its own sandbox: it has nothing of the sandbox."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from service.sandbox.control import ENDPOINTS
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, opened, pointing_at, sandbox_alone, settings_from

PLACES: Final = [(method, path) for path, methods in ENDPOINTS.items() for method in methods]

_WITHOUT_SANDBOX: Final = """
import asyncio, sys
from service.app import open_gateway
from service.cli.serve import serve
from service.clock import SystemClock
from service.observability.line_writer import unbuffered
from service.observability.logs import configure_logging
from service.settings import load_settings

async def main():
    given = {"OWNERSHIP_GATEWAY_ITCH__API_KEY": "k" * 40, "OWNERSHIP_GATEWAY_ITCH__BASE_URL": "http://127.0.0.1:1"}
    log = configure_logging("error", "json", sandbox=False, stream=unbuffered(sys.stderr), clock=SystemClock())
    async with open_gateway(load_settings(given), log=log):
        pass
    log.close()

asyncio.run(main())
print([name for name in sys.modules if "sandbox" in name])
"""


@pytest.fixture
async def gateway(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Asker]:
    """A gateway with a key for a store elsewhere, which happens to be a sandbox."""
    async with sandbox_alone(clock) as (_, base_url):
        settings = settings_from(tmp_path, pointing_at(base_url) + X_MOON, sandbox=False)
        async with opened(settings, clock=clock, log=LogLines()) as open_gateway:
            yield open_gateway


@pytest.mark.parametrize(("method", "path"), PLACES)
async def test_control_endpoints_do_not_exist(gateway: Asker, method: str, path: str) -> None:
    """Each is an unknown route, in every spelling."""
    for spelling in (f"/sandbox{path}", f"/sandbox{path}/", f"/%73andbox{path}"):
        answer = await gateway.http.request(method, spelling, json={})

        assert answer.status_code in (404, 405), spelling
        assert "x-sandbox" not in answer.headers


def test_nothing_of_the_sandbox_is_imported() -> None:
    """A gateway without a sandbox starts, and stops, without a module of it."""
    ran = subprocess.run([sys.executable, "-c", _WITHOUT_SANDBOX], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"
