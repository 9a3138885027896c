"""A gateway that is no relay, and a relay that needs nothing of the store."""

import json
import subprocess
import sys
from typing import Final

from tests.cli.terminals import environment

OURS: Final = (
    "service.hub",
    "service.api.relayed",
    "service.api.public_copies",
    "service.api.channel_copies",
    "service.api.hub_passes",
    "service.cache.told_memory",
    "service.verification.told",
    "service.verification.inquiries",
    "service.wiring.relay",
    "service.cli.hub_checks",
)
OF_THE_STORE: Final = ("httpx", "aiohttp", "jwt", "service.stores.transport", "service.passes", "service.canaries")

PROGRAM: Final = """
import asyncio, json, sys
from pathlib import Path
from service.app import open_gateway
from service.clock import SystemClock
from service.observability.logs import configure_logging
from service.settings import load_settings

async def run():
    settings = load_settings(json.loads(sys.argv[1]))
    with open("/dev/null", "wb", buffering=0) as nowhere:
        log = configure_logging("error", "json", sandbox=False, stream=nowhere, clock=SystemClock())
        async with open_gateway(settings, log=log) as gateway:
            body, _ = gateway.metrics.render()
        log.close()
    print(json.dumps([sorted(sys.modules), body.decode()]))

asyncio.run(run())
"""


def opened(**settings: str) -> tuple[list[str], str]:
    """Return what a process of its own has imported that opened a gateway, and its metrics."""
    variables = json.dumps({f"OWNERSHIP_GATEWAY_{name}": value for name, value in settings.items()})
    command = [sys.executable, "-c", PROGRAM, variables]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    modules, metrics = json.loads(ended.stdout)
    return modules, metrics


def test_a_gateway_has_nothing_of_a_relay() -> None:
    """No import, no series."""
    modules, metrics = opened(ITCH__API_KEY="a-key", ITCH__BASE_URL="http://127.0.0.1:9")

    assert [name for name in modules if name.startswith(OURS)] == []
    assert '"hub"' not in metrics
    assert 'endpoint="profile"' in metrics


def test_a_relay_has_nothing_of_the_store() -> None:
    """No client of it is imported, and no series of its endpoints are there."""
    modules, metrics = opened(RELAY__URL="http://127.0.0.1:9", RELAY__TOKEN="a-token")

    assert [name for name in modules if name.split(".")[0] in OF_THE_STORE or name.startswith(OF_THE_STORE)] == []
    assert 'endpoint="hub"' in metrics
    assert 'endpoint="profile"' not in metrics
