"""A process of its own that asks a gateway about ever new players, and prints the memory that it takes.

python -m tests.reliability.flood COUNT REDIS_URL [keep]

Prints one JSON object a sample. With `keep` each request leaves something behind, as it must not.
"""

import asyncio
import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import msgspec
import uvloop

from service.clock import SystemClock
from service.http.application import Application
from service.http.connection import Request
from service.http.reply import Reply
from tests.clock import FakeClock
from tests.gateways import SECRET, X_MOON, LogLines, opened, pointing_at, settings_from
from tests.itch.rig import streamed
from tests.reliability.store import BASE_URL
from tests.reliability.wrapping import InFront, reply_of

SAMPLES: Final = 20
WORKERS: Final = 40
KEPT_BYTES: Final = 8_000
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_JWT: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{}In0.c2lnbmF0dXJl"


def says(request: httpx.Request) -> httpx.Response:
    """Answer as a store where every third player owns the game, and one question in a thousand fails."""
    asked = str(request.url)
    if request.url.path.endswith("/profile"):
        return _say(200, {"user": {"id": 1}})
    if request.url.path.endswith("/purchases"):
        return _say(200, {"purchases": {}})
    number = int("".join(filter(str.isdigit, asked.partition("?")[2])) or "0")
    if number % 1000 == 7:
        return _say(500, {"errors": ["There was a server error"]})
    if number % 3:
        return _say(400, {"errors": ["no download key found"]})
    key = request.url.params.get("download_key", "a-key")
    owner = {"id": int(request.url.params.get("user_id", "1"))}
    return _say(200, {"download_key": {"id": number + 1, "key": key, "game_id": 3, "owner": owner}})


def _say(status: int, body: dict[str, object]) -> httpx.Response:
    return streamed(httpx.Response(status, json=body))


def question(number: int) -> tuple[str, dict[str, object]]:
    """Return a path and a body: by every method, about a player who has not been asked about before."""
    ways: list[tuple[str, dict[str, object]]] = [
        ("/verify/download-key", {"download_key": f"the-key-number-{number:09}"}),
        ("/verify/download-key", {"download_key": f"another-number-{number:09}"}),
        ("/verify/user", {"user_id": number + 2}),
        ("/verify/email", {"email": f"player-{number}@example.com"}),
        ("/verify/download-key", {"download_key": f"no key {number}"}),
        ("/verify/jwt", {"jwt": _JWT.format(number), "only_if_cached": True}),
        ("/verify/user", {"user_id": number + 2, f"field-{number}": 1}),
        *[("/verify/download-key", {"download_key": f"unknown-{number:09}", "only_if_cached": True})] * 3,
    ]
    path, fields = ways[number % len(ways)]
    return path, {"game": 3, **fields}


async def ask(application: Application, number: int) -> int:
    """Ask without a client between; return the status."""
    path, fields = question(number)
    headers = {b"host": b"a", b"content-type": b"application/json", b"x-request-id": b"request-%d" % number}
    body = msgspec.json.encode(fields)
    request = Request(method=b"POST", target=path.encode(), headers=headers, body=body)
    return (await reply_of(application, request)).status


class Sampler:
    """Asks, and takes a sample after each part."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._statuses: dict[int, int] = {}

    async def run(self, count: int) -> None:
        """Ask so many questions."""
        numbers = iter(range(count))
        for part in range(SAMPLES):
            upto = count * (part + 1) // SAMPLES
            await asyncio.gather(*(self._work(numbers, upto) for _ in range(WORKERS)))
            self._print(upto)

    async def _work(self, numbers: Iterator[int], upto: int) -> None:
        for number in numbers:
            status = await ask(self._application, number)
            self._statuses[status] = self._statuses.get(status, 0) + 1
            if number >= upto - WORKERS:
                return

    def _print(self, asked: int) -> None:
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        sample = {"asked": asked, "resident": resident, "descriptors": descriptors, "statuses": self._statuses}
        sys.stdout.write(json.dumps({**sample, "tasks": len(asyncio.all_tasks())}) + "\n")
        sys.stdout.flush()


class Keeping(InFront):
    """Broken: remembers every request that ever came."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._kept: list[bytearray] = []

    async def reply(self, request: Request) -> Reply:
        """Remember, and answer."""
        self._kept.append(bytearray(KEPT_BYTES))
        return await super().reply(request)


async def main(count: int, redis_url: str, *, keep: bool) -> None:
    """Ask, sample, print."""
    with tempfile.TemporaryDirectory() as directory:
        toml = (
            f'secret = "{SECRET}"\n{pointing_at(BASE_URL)}[cache]\nmax_entries = 500\n{X_MOON}'
            f'[redis]\nurl = "{redis_url}"\n'
        )
        settings = settings_from(Path(directory), toml, sandbox=False)
        async with opened(
            settings,
            clock=FakeClock(),
            real_clock=SystemClock(),
            log=LogLines(),
            level="error",
            transport=httpx.MockTransport(says),
        ) as gateway:
            application = gateway.gateway.http.application
            gc.freeze()  # imported modules stay: samples need not go through them
            await Sampler(Keeping(application) if keep else application).run(count)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], keep="keep" in sys.argv[3:]))
