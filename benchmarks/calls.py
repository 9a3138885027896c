"""What a first question from memory goes through in our own code: function calls and files, counted without noise.

One process, no sockets: the bytes of a request go into the protocol that the server would have made for the connection,
and its answer comes out at a transport that only collects. Calls are counted by `sys.setprofile`, those of functions
whose code stands in `service/` only; what runs in C or in libraries is not ours to shorten.
"""

import asyncio
import hashlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

import service
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError
from service.app import Gateway, open_gateway
from service.clock import SystemClock
from service.observability.line_writer import unbuffered
from service.observability.logs import configure_logging
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import GAME_ID, OWNER_KEY, SELLER_KEY
from service.sandbox.state import Sandbox
from service.settings import Settings, SettingsReader, load_settings

CALLS_TARGET: Final = 120
CALLS_AIM: Final = 100
FILES_TARGET: Final = 30

_OURS: Final = str(Path(service.__file__).parent) + os.sep
_QUESTIONS: Final = 5
_ANSWER_SECONDS: Final = 10.0
_CONFIGURATION: Final = """\
[itch]
api_key = "{api_key}"
base_url = "{base_url}"

[games.benchmark]
id = {game_id}

[[callers]]
name = "benchmark"
token_sha256 = "{token}"
games = ["benchmark"]
rights = ["verify", "override"]
rate = 100000
"""
_BLANKS: Final = str.maketrans("01", " \t")

Ask: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class Count(Struct, frozen=True):
    """What one question went through: by how many calls, and in which files."""

    calls: int
    files: frozenset[str]


class Transport(asyncio.Transport):
    """A connection whose other end only collects what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8080)})
        self.written = bytearray()
        self.answered = asyncio.Event()
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self.answered.set()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here to be sent."""

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""


def connect(gateway: Gateway, transport: Transport) -> asyncio.Protocol:
    """Return the protocol of one connection, as the listening socket gets it."""
    protocol = gateway.http.protocol()
    protocol.connection_made(transport)
    return protocol


def count_first_question() -> Count:
    """Return what a first question from memory goes through; of several, the one with the fewest calls."""
    return asyncio.run(_count())


async def _count() -> Count:
    # A sandbox of its own would put its control endpoints in front of the API, and its clock in the place of ours.
    async with (
        SandboxServer(Sandbox(clock=SystemClock())) as store,
        open_in_process(settings_for(store.base_url)) as (_, ask),
    ):
        await until_remembered(ask)
        counts = [await _counted(ask, first_question(number)) for number in range(1, 1 + _QUESTIONS)]
    return min(counts, key=lambda one: one.calls)


def settings_for(base_url: str) -> Settings:
    """Return the settings of a gateway with one game and one caller, for the store at this address."""
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "gateway.toml"
        token = hashlib.sha256(TOKEN.encode()).hexdigest()
        text = _CONFIGURATION.format(game_id=GAME_ID, token=token, base_url=base_url, api_key=SELLER_KEY)
        configuration.write_text(text, encoding="utf-8")
        return load_settings({}, config_file=configuration)


@asynccontextmanager
async def open_in_process(
    settings: Settings, *, reader: SettingsReader | None = None
) -> AsyncIterator[tuple[Gateway, Ask]]:
    """Run a gateway without sockets, and return it with what exchanges a request's bytes for those of its answer.

    With the `reader` of its settings it reads their file again.
    """
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # noqa: ASYNC230 - nothing else runs meanwhile
        log = configure_logging("info", "json", sandbox=True, stream=unbuffered(nowhere), clock=SystemClock())
        try:
            async with open_gateway(settings, log=log, reader=reader) as gateway:
                transport = Transport()
                protocol = connect(gateway, transport)

                async def ask(request: bytes) -> bytes:
                    transport.written.clear()
                    transport.answered.clear()
                    protocol.data_received(request)
                    await asyncio.wait_for(transport.answered.wait(), _ANSWER_SECONDS)
                    return bytes(transport.written)

                yield gateway, ask
                protocol.connection_lost(None)
        finally:
            log.close()


async def until_remembered(ask: Ask) -> None:
    """Have the player looked up; then ask once more, for what is imported or made when it is first needed."""
    for number in range(_QUESTIONS + 1, _QUESTIONS + 10):
        if b'"cache":"memory"' in await ask(first_question(number)):
            return
    raise BenchmarkError("the sandbox's owner was not remembered")


def first_question(number: int) -> bytes:
    """Return a question of its own, byte for byte: blanks in its body spell the number."""
    blanks = f"{number:016b}".translate(_BLANKS).encode("ascii")
    body = msgspec.json.encode({"game": GAME_ID, "download_key": OWNER_KEY}) + blanks
    head = (
        "POST /verify/download-key HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nX-Request-ID: 6f1c8a52-0b7e-4d39-9c41-{number:012x}\r\n"
        f"traceparent: 00-4bf92f3577b34da6{number:016x}-00f067aa{number:08x}-01\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


async def _counted(ask: Ask, request: bytes) -> Count:
    calls = 0
    files: set[str] = set()

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(_OURS):
            calls += 1
            files.add(frame.f_code.co_filename.removeprefix(_OURS))

    sys.setprofile(watch)
    try:
        answer = await ask(request)
    finally:
        sys.setprofile(None)
    if not answer.startswith(b"HTTP/1.1 200 ") or b'"cache":"memory"' not in answer:
        raise BenchmarkError(f"not an answer from memory: {answer[:200]!r}")
    return Count(calls, frozenset(files))
