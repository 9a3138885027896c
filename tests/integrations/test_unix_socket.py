"""Two gateways in turn on the path of one Unix socket."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.gateways import until
from tests.integrations.load import exchange
from tests.integrations.processes import Gateway, lasting_port
from tests.integrations.questions import fate, request

_RESTARTS: Final = 36 if os.environ.get("INTEGRATIONS_LONG") else 4
_USER: Final = 1994


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the Unix socket."""
    return tmp_path / "gateway.sock"


@pytest.fixture
def pair(path: Path, tmp_path: Path) -> Iterator[list[Gateway]]:
    """Two gateways for the same path, the first of them ready; each has its operations on a port of its own."""
    gateways = []
    for name in ("first", "second"):
        port = lasting_port()
        settings = {"UNIX_SOCKET": str(path), "OPERATIONS__PORT": str(port), "DRAIN_SECONDS": "0"}
        gateways.append(Gateway(port, tmp_path / f"{name}.log", settings))
    try:
        gateways[0].start()
        yield gateways
    finally:
        for gateway in gateways:
            gateway.kill()


async def test_next_gateway_starts_while_the_last_one_finishes(
    pair: list[Gateway], path: Path, seen: Callable[[str], None]
) -> None:
    """The path leads to the next one from then on, also when the last one has ended."""
    fates: Counter[str] = Counter()
    for number in range(_RESTARTS):
        last, following = pair[number % 2], pair[1 - number % 2]
        last.signal(signal.SIGTERM)
        await until(lambda: not path.exists())
        # However long the next one takes to start, the last one ends later.
        last.signal(signal.SIGSTOP)
        await asyncio.to_thread(following.start)
        fates[await _fate(path)] += 1
        last.signal(signal.SIGCONT)
        await asyncio.to_thread(last.wait)
        fates[await _fate(path)] += 1

    seen(f"{_RESTARTS} restarts: {dict(fates)}")
    assert fates == {"right": 2 * _RESTARTS}


async def _fate(path: Path) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    async with asyncio.timeout(20):
        status, body, _ = await exchange(reader, writer, request(_USER, ""))
    writer.close()
    return fate(status, body, _USER)
