"""The gateway as a process of its own, and what a load balancer sends it."""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from service.sandbox import seed
from tests.http.serving import Wire, get, post

TIMEOUT: Final = 30.0
QUESTION: Final = {"game": 3, "download_key": seed.OWNER_KEY}
_REQUEST: Final = post("/verify/download-key", msgspec.json.encode(QUESTION), "Content-Type: application/json")


class Process:
    """A gateway process; `lines` are those of its log that were read."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.base_url = ""
        self._reading = asyncio.create_task(self._read())
        self._read_more = asyncio.Event()

    async def line(self, event: str) -> dict[str, Any]:
        """Return the first line of the log with this event."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                for line in self.lines:
                    if line["event"] == event:
                        return line
                assert not self._reading.done(), f"it ended without {event}: {self.lines}"
                self._read_more.clear()
                await self._read_more.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ends(self) -> int:
        """Return its exit code, once it has ended."""
        async with asyncio.timeout(TIMEOUT):
            await self._reading
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for text in self.process.stdout:
            self.lines.append(json.loads(text))
            self._read_more.set()
        self._read_more.set()


@asynccontextmanager
async def process(*arguments: str, **environment: str) -> AsyncIterator[Process]:
    """Start `serve` on any port, and return when it answers; it is killed in the end, if it has not ended yet."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OWNERSHIP_GATEWAY_")}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "serve", "--port", "0", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**clean, **{f"OWNERSHIP_GATEWAY_{name}": value for name, value in environment.items()}},
    )
    gateway = Process(started)
    try:
        gateway.base_url = (await gateway.line("started"))["listening"]
        yield gateway
    finally:
        if started.returncode is None:
            started.kill()
        await gateway.ends()


class Balancer:
    """Sends questions to a gateway for as long as it is ready, on connections that stay and on new ones.

    `looks_every` is in seconds; at infinity it never notices, and goes on until `stop` is called.
    `failed` are the questions without a proper answer.
    """

    def __init__(self, base_url: str, *, looks_every: float) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._port = urlsplit(base_url).port or 0
        self._looks_every = looks_every
        self._ready = True

    async def run(self, *, staying: int, new: int) -> None:
        """Ask with so many callers of each kind until the gateway is not ready any more."""
        async with asyncio.TaskGroup() as everybody:
            if math.isfinite(self._looks_every):
                everybody.create_task(self._watch())
            for number in range(staying + new):
                everybody.create_task(self._ask_on(stay=number < staying))

    def stop(self) -> None:
        """Send no further question."""
        self._ready = False

    async def _watch(self) -> None:
        while self._ready:
            await asyncio.sleep(self._looks_every)
            try:
                wire = await Wire.to(self._port)
                await wire.send(get("/readyz"))
                self._ready = (await wire.answer())[0] == 200
                wire.cut()
            except (OSError, asyncio.IncompleteReadError):
                self._ready = False

    async def _ask_on(self, *, stay: bool) -> None:
        wire: Wire | None = None
        while self._ready:
            try:
                wire = wire or await Wire.to(self._port)
                await wire.send(_REQUEST)
                status, body = await wire.answer()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(type(error).__name__)
                await asyncio.sleep(0.01)
                wire = None
                continue
            if status == 200 and msgspec.json.decode(body)["allowed"]:
                self.answered += 1
            else:
                self.failed.append(str(status))
            if wire.closing or not stay:
                wire.cut()
                wire = None
        if wire is not None:
            wire.cut()
