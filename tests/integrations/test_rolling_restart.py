"""Two gateways behind nginx that are restarted in turn, under load: no question is lost."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integrations.load import Load
from tests.integrations.processes import Gateway, lasting_port, nginx

_RESTARTS: Final = 36 if os.environ.get("INTEGRATIONS_LONG") else 6
_FAIL_SECONDS: Final = 2
"""How long nginx avoids a gateway that refused it. Each restart waits for longer, or both would be avoided at once."""

_PACE_SECONDS: Final = 0.1

# What is a POST and was sent is tried nowhere else: that is nginx's default.
_BALANCED: Final = """
upstream gateways {{
    server 127.0.0.1:{first} fail_timeout={fail_seconds}s;
    server 127.0.0.1:{second} fail_timeout={fail_seconds}s;
    keepalive 16;
}}
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://gateways; proxy_http_version 1.1; proxy_set_header Connection ""; }}
}}
"""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Gateway]]:
    """Two gateways that are ready, without callers."""
    gateways = [
        Gateway(lasting_port(), tmp_path / f"{name}.log", {"DRAIN_SECONDS": "1"}) for name in ("first", "second")
    ]
    try:
        for gateway in gateways:
            gateway.start()
        yield gateways
    finally:
        for gateway in gateways:
            gateway.kill()


async def test_restarts_in_turn_lose_nothing(pair: list[Gateway], tmp_path: Path, seen: Callable[[str], None]) -> None:
    """Every question is answered right, on kept connections and on new ones."""
    first, second = pair
    port = lasting_port()
    balanced = _BALANCED.format(first=first.port, second=second.port, port=port, fail_seconds=_FAIL_SECONDS)
    with nginx(tmp_path, port, balanced):
        load = Load(port, every_seconds=_PACE_SECONDS)
        asking = asyncio.create_task(load.run(staying=16, new=24))
        try:
            for number in range(_RESTARTS):
                await asyncio.sleep(1.5 * _FAIL_SECONDS)
                await asyncio.to_thread(pair[number % 2].stop)
                await asyncio.to_thread(pair[number % 2].start)
        finally:
            load.stop()
            await asking

    seen(f"{_RESTARTS} restarts: {load.seen}")
    assert set(load.fates) == {"right"}
