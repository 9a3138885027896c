"""The imports of a gateway before it is ready: a question for the store is answered as fast as later ones."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.process.processes import TIMEOUT
from tests.redis_server import free_port

_NEEDED: Final = ("httpx", "httpx_aiohttp", "aiohttp", "jwt")
"""The store's client: it takes a third of the time to start to import it."""

_SCRIPT: Final = """
import asyncio, json, os, signal, sys

import uvloop

import service.cli.serve
from service.clock import SystemClock
from service.observability.line_writer import unbuffered
from service.observability.logs import configure_logging
from service.server import serve
from service.settings import load_settings

needed, environment = json.loads(sys.argv[1])
imported = []

def started(gateway, base_url):
    imported.extend(name for name in needed if name in sys.modules)
    os.kill(os.getpid(), signal.SIGINT)

async def main():
    log = configure_logging("error", "json", sandbox=False, stream=unbuffered(sys.stderr), clock=SystemClock())
    before = [name for name in needed if name in sys.modules]
    await serve(load_settings(environment), log=log, started=started)
    log.close()
    print(json.dumps([before, imported]))

uvloop.run(main())
"""


def test_client_of_the_store_is_imported_before_the_gateway_is_ready() -> None:
    """The first questions ran out of time while it was imported; commands that ask nothing do without it."""
    settings = {
        "OWNERSHIP_GATEWAY_PORT": "0",
        "OWNERSHIP_GATEWAY_ITCH__API_KEY": "a-seller-key-of-a-test",
        "OWNERSHIP_GATEWAY_ITCH__BASE_URL": f"http://127.0.0.1:{free_port()}",
    }
    command = [sys.executable, "-c", _SCRIPT, json.dumps([_NEEDED, settings])]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)

    assert json.loads(ended.stdout) == [[], list(_NEEDED)]


@pytest.mark.parametrize(("canaries", "imported"), [("", []), ("canary_owner_user_id = 1994\n", ["service.canaries"])])
def test_canaries_are_imported_where_there_are_any(tmp_path: Path, canaries: str, imported: list[str]) -> None:
    """A gateway without them does not wait for their code when it starts."""
    (tmp_path / "gateway.toml").write_text(f"[games.x-moon]\nid = 3\n{canaries}")
    settings = {
        "OWNERSHIP_GATEWAY_PORT": "0",
        "OWNERSHIP_GATEWAY_SANDBOX": "true",
        "OWNERSHIP_GATEWAY_CONFIG": str(tmp_path / "gateway.toml"),
    }
    command = [sys.executable, "-c", _SCRIPT, json.dumps([["service.canaries"], settings])]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT)

    assert json.loads(ended.stdout) == [[], imported]
