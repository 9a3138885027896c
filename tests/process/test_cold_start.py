"""The imports of a gateway before its first answer, and after it."""

import json
import subprocess
import sys
from typing import Final

from tests.gateways import SECRET
from tests.process.processes import TIMEOUT
from tests.redis_server import free_port

LATER: Final = ("httpx", "httpx_aiohttp", "aiohttp", "jwt")
"""A third of the time to start, when they are imported before."""

_SCRIPT: Final = """
import asyncio, json, os, signal, sys

import uvloop

import service.cli.serve
from service.clock import SystemClock
from service.observability.line_writer import unbuffered
from service.observability.logs import configure_logging
from service.server import serve
from service.settings import load_settings

later, environment = json.loads(sys.argv[1])

def imported():
    return [name for name in later if name in sys.modules]

async def main():
    when_started = asyncio.get_running_loop().create_future()

    async def stop_when_all_are_imported():
        await when_started
        while len(imported()) < len(later):
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    stopping = asyncio.create_task(stop_when_all_are_imported())
    log = configure_logging("error", "json", sandbox=False, stream=unbuffered(sys.stderr), clock=SystemClock())
    settings = load_settings(environment)
    await serve(settings, log=log, started=lambda gateway, base_url: when_started.set_result(imported()))
    await stopping
    log.close()
    print(json.dumps([when_started.result(), imported()]))

uvloop.run(main())
"""


def imported_of(*names: str, **environment: str) -> tuple[list[str], list[str]]:
    """Start a gateway and send it nothing; return those of these modules imported before it is ready, and later."""
    settings = {
        "OWNERSHIP_GATEWAY_PORT": "0",
        "OWNERSHIP_GATEWAY_ITCH__API_KEY": "a-seller-key-of-a-test",
        "OWNERSHIP_GATEWAY_ITCH__BASE_URL": f"http://127.0.0.1:{free_port()}",
        **environment,
    }
    command = [sys.executable, "-c", _SCRIPT, json.dumps([names, settings])]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)
    at_start, afterwards = json.loads(ended.stdout)
    return at_start, afterwards


def test_what_asks_the_store_is_imported_after_the_start() -> None:
    """The store's client is imported once the gateway is ready, without waiting for the first question."""
    at_start, afterwards = imported_of(*LATER)

    assert (at_start, afterwards) == ([], list(LATER))


def test_redis_does_not_bring_it_along() -> None:
    """Redis, which is imported before, does not import the store's client."""
    redis = {"OWNERSHIP_GATEWAY_REDIS__URL": f"redis://127.0.0.1:{free_port()}", "OWNERSHIP_GATEWAY_SECRET": SECRET}

    at_start, _ = imported_of("redis", *LATER, **redis)

    assert at_start == ["redis"]
