"""A relay beside its hub: the time of a question that the relay does not know, beside asking the hub directly.

Three processes: the hub with its sandbox, the relay, and this one, which asks on one connection to each, by turns.
Every question is another one to the relay, as each names another player of the same key; the hub knows the key. With
the store cold each is about another user. A line in between makes the hub as far away for the relay as for a direct
question.
"""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import count, repeat
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx
import msgspec
import uvloop
from msgspec import Struct

from benchmarks.calls import Ask, first_question, open_in_process, settings_for, until_remembered
from benchmarks.laboratory import gateway_command
from benchmarks.load import TOKEN
from benchmarks.processes import LOAD_CORE, SERVER_CORE, BenchmarkError, ServerProcess
from service.clock import SystemClock
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import GAME_ID, OWNER_KEY
from service.sandbox.state import Sandbox
from service.settings import Settings, load_settings
from tests.fault_proxy import FaultProxy, Mode
from tests.redis_server import free_port

TARGET: Final = 1.5
STORE_SECONDS: Final = 0.1
_QUESTIONS: Final = 400
_COLD_QUESTIONS: Final = 10
_LINE_SECONDS: Final = 0.001
"""Each way. Event loops wait for whole milliseconds."""

_Question: TypeAlias = dict[str, object]

_HUB: Final = """\
[games.benchmark]
id = {game_id}

[[callers]]
name = "benchmark"
token_sha256 = "{token}"
games = ["benchmark"]
rights = ["verify", "assert:user"]
rate = 100000
"""
_RELAY: Final = """\
[relay]
url = "{hub}"
token = "{token}"

[games.benchmark]
id = {game_id}
"""


class Miss(Struct, frozen=True):
    """Median milliseconds of a question, asked of the hub and of the relay; the median of all rounds."""

    case: str
    direct_ms: float
    relayed_ms: float

    @property
    def ratio(self) -> float:
        """The second to the first."""
        return self.relayed_ms / self.direct_ms


def measure(*, rounds: int) -> tuple[Miss, ...]:
    """Ask both, near and far, with the store cold and where the hub knows; and about what the relay knows."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        hub = _open(stack, directory, "hub", _hub_configuration(), SERVER_CORE, "--sandbox")
        latency = {"latency_ms": round(STORE_SECONDS * 1000)}
        httpx.put(f"{hub}/sandbox/faults", json=latency, trust_env=False).raise_for_status()
        return uvloop.run(_measure(stack, directory, hub, rounds))


def measure_known(*, rounds: int) -> tuple[float, float]:
    """Return the least CPU microseconds of a known player's question at a gateway and at a relay, without sockets."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        hub = _open(stack, directory, "hub", _hub_configuration(), SERVER_CORE, "--sandbox")
        configuration = directory / "relay.toml"
        # With callers and long memory, so that nothing but the short way is asked.
        text = _RELAY.format(hub=hub, token=TOKEN, game_id=GAME_ID).replace("[games", "fresh_seconds = 300\n[games")
        configuration.write_text(text + _hub_configuration().partition("\n\n")[2], encoding="utf-8")
        return uvloop.run(_measure_known(load_settings({}, config_file=configuration), rounds))


async def _measure_known(relay: Settings, rounds: int) -> tuple[float, float]:
    async with SandboxServer(Sandbox(clock=SystemClock())) as store:
        async with open_in_process(settings_for(store.base_url)) as (_, ask):
            await until_remembered(ask)
            direct = await _least(ask, rounds)
        async with open_in_process(relay) as (_, ask):
            return direct, await _least(ask, rounds)


async def _least(ask: Ask, rounds: int) -> float:
    least = float("inf")
    for spent in range(rounds + 1):
        requests = [first_question(spent * _QUESTIONS + number) for number in range(_QUESTIONS)]
        before = time.thread_time()
        answers = [await ask(request) for request in requests]
        seconds = time.thread_time() - before
        if not all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers):
            raise BenchmarkError(f"no answer: {answers[-1][:300]!r}")
        least = min(least, seconds if spent else least)
    return least / _QUESTIONS * 1_000_000


def table_of_known(known: tuple[float, float]) -> str:
    """Return the figures as a line of text."""
    direct, relayed = known
    return f"a known player: {direct:.1f} CPU µs at a gateway, {relayed:.1f} at a relay, ratio {relayed / direct:.2f}"


def table(misses: tuple[Miss, ...]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'':>44} {'the hub':>9} {'a relay':>9} {'ratio':>6}   median ms; a miss at most {TARGET}"]
    lines += [f"{one.case:>44} {one.direct_ms:>9.3f} {one.relayed_ms:>9.3f} {one.ratio:>6.2f}" for one in misses]
    return "\n".join(lines)


async def _measure(stack: ExitStack, directory: Path, hub: str, rounds: int) -> tuple[Miss, ...]:
    misses: list[Miss] = []
    users = count(10_000_000)
    known_key: _Question = {"download_key": OWNER_KEY}
    async with FaultProxy(urlsplit(hub).port or 0) as line:
        line.delay = _LINE_SECONDS
        line.be(Mode.SLOW)
        for place, url in (("beside the hub", hub), ("2 ms from the hub", f"http://127.0.0.1:{line.port}")):
            configuration = _RELAY.format(hub=url, token=TOKEN, game_id=GAME_ID)
            relay = _open(stack, directory, f"relay-{len(misses)}", configuration, LOAD_CORE)
            async with _asker(url) as direct, _asker(relay) as relayed:
                known = await _by_turns(direct, relayed, rounds, _QUESTIONS, repeat(known_key))
                refs: Iterator[_Question] = (known_key | {"player_ref": f"player-{number}"} for number in users)
                miss = await _by_turns(direct, relayed, rounds, _QUESTIONS, refs)
                asked: Iterator[_Question] = ({"user_id": user} for user in users)
                cold = await _by_turns(direct, relayed, rounds, _COLD_QUESTIONS, asked)
            misses += [
                Miss(f"{place}, the relay knows", *known),
                Miss(f"{place}, the hub knows", *miss),
                Miss(f"{place}, itch.io knows ({STORE_SECONDS:g} s)", *cold),
            ]
    return tuple(misses)


async def _by_turns(
    direct: "_Asker", relayed: "_Asker", rounds: int, questions: int, bodies: Iterator[_Question]
) -> tuple[float, float]:
    """Return the median of all rounds' medians for both, in milliseconds."""
    found: tuple[list[float], list[float]] = ([], [])
    for spent in range(rounds + 1):  # the first is for connections, and for what is made when it is first needed
        for place, asker in enumerate((direct, relayed)):
            seconds = median([await asker.ask(next(bodies)) for _ in range(questions)])
            if spent:
                found[place].append(seconds * 1000)
    return median(found[0]), median(found[1])


class _Asker(asyncio.Protocol):
    """Asks on one connection, and says how long each answer took."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # as asyncio promises; uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = bytes(self._received).partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        if end and self._answered is not None and len(body) >= int(length):
            self._answered.set_result(None)

    async def ask(self, question: _Question) -> float:
        """Return the seconds until the answer was there. Raises `BenchmarkError` for one that is no answer."""
        if self._transport is None:
            raise AssertionError("not connected")
        path = "/verify/user" if "user_id" in question else "/verify/download-key"
        body = msgspec.json.encode({"game": GAME_ID, **question})
        head = (
            f"POST {path} HTTP/1.1\r\nHost: benchmark\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._received.clear()
        self._answered = asyncio.get_running_loop().create_future()
        before = time.perf_counter()
        self._transport.write(head.encode("ascii") + body)
        await self._answered
        seconds = time.perf_counter() - before
        if not self._received.startswith(b"HTTP/1.1 200 "):
            raise BenchmarkError(f"no answer: {bytes(self._received[:300])!r}")
        return seconds

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def _asker(url: str) -> AsyncIterator[_Asker]:
    loop = asyncio.get_running_loop()
    _, asker = await loop.create_connection(_Asker, "127.0.0.1", urlsplit(url).port or 0)
    yield asker
    asker.close()


def _hub_configuration() -> str:
    return _HUB.format(game_id=GAME_ID, token=hashlib.sha256(TOKEN.encode()).hexdigest())


def _open(stack: ExitStack, directory: Path, name: str, text: str, cores: list[int], *more: str) -> str:
    """Start a gateway with that configuration, and return its address."""
    port = free_port()
    configuration = directory / f"{name}.toml"
    configuration.write_text(text, encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [gateway_command(), "serve", "--config", configuration, "--port", str(port), *more]
    process = ServerProcess(command, ready_url=f"{url}/readyz", complaints=directory / f"{name}.log", cores=cores)
    stack.enter_context(process)
    return url
