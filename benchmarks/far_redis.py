"""A Redis that answers, but late: what it adds to questions that the process cannot answer from its memory.

The gateway reaches Redis through a proxy that holds every byte back for a while, as a network does: what is sent
meanwhile is not held up by it. Each question is about another player, whom only Redis could know, and forbids asking
the store: so what its answer takes is the wait for Redis, and nothing else of note.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from typing import Final, Self
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from benchmarks.identities import GAME, download_key
from benchmarks.laboratory import Laboratory, Target
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError

DELAYS_MS: Final = (0, 80, 150, 400)
RATES: Final = (20, 500)
MOST_ADDED_SECONDS: Final = 0.005
_WAITED_SECONDS: Final = 0.050

_SECONDS: Final = 12.0
_UNTIL_LEFT_ALONE_SECONDS: Final = 2.0
_CALLERS: Final = 64
_TIMEOUT_SECONDS: Final = 30.0
_ASKED: Final = [{"tier": "redis", "operation": "get", "result": result} for result in ("hit", "miss", "failed")]
_HEAD: Final = (
    f"POST /verify/download-key HTTP/1.1\r\nHost: benchmark\r\nAuthorization: Bearer {TOKEN}\r\n"
    "Content-Type: application/json\r\n"
).encode("ascii")


class FarRedis(Struct, frozen=True):
    """What questions took with Redis so far away, once it had been asked for two seconds. Times in seconds."""

    delay_ms: int
    rate: int
    questions: int
    p50: float
    p95: float
    longest: float
    waited: int
    """Questions that took 50 ms and more: those that Redis kept waiting, and what else a busy machine does."""
    asked_redis: int
    """Questions, of all, that Redis was asked for: with a Redis so far away, those that found out how far it is."""
    redis_up: float
    """What the gateway says of Redis in the end."""


def measure_far_redis(tell: Callable[[str], None]) -> tuple[FarRedis, ...]:
    """Ask a new gateway for each delay and rate."""
    measured = []
    with Laboratory() as laboratory:
        for rate in RATES:
            for delay_ms in DELAYS_MS:
                tell(f"Redis {delay_ms} ms away, {rate} questions a second")
                with LatePort(laboratory.redis_server.port, delay_ms / 1000) as late:
                    target = laboratory.gateway(redis_url=f"redis://127.0.0.1:{late.port}")
                    waits = asyncio.run(_ask(target, rate))
                    measured.append(_summarise(delay_ms, rate, waits, _series(target)))
    return tuple(measured)


def table(measured: Sequence[FarRedis]) -> str:
    """Return the figures as lines of text, and what misses its target."""
    near = {one.rate: one for one in measured if one.delay_ms == 0}
    head = (
        f"{'Redis away':>10} {'questions/s':>11} {'p50 ms':>8} {'p95 ms':>8} {'longest':>8} {'waited':>13} "
        f"{'asked Redis':>11} redis_up"
    )
    return "\n".join([head, *(_row(one, near[one.rate]) for one in measured)])


def _row(one: FarRedis, near: FarRedis) -> str:
    met = one.p95 - near.p95 <= MOST_ADDED_SECONDS
    return (
        f"{one.delay_ms:>7} ms {one.rate:>11} {one.p50 * 1000:>8.2f} {one.p95 * 1000:>8.2f} {one.longest * 1000:>8.1f} "
        f"{one.waited:>6} of {one.questions:>4} {one.asked_redis:>11} {one.redis_up:>8.0f}"
        f"   {'met' if met else 'MISSED'}"
    )


def _summarise(delay_ms: int, rate: int, waits: Sequence[float], series: Sequence[Sample]) -> FarRedis:
    """Return what the questions of one rate came to, and what the gateway says of Redis."""
    ordered = sorted(waits)
    return FarRedis(
        delay_ms=delay_ms,
        rate=rate,
        questions=len(ordered),
        p50=median(ordered),
        p95=ordered[int(len(ordered) * 0.95)],
        longest=ordered[-1],
        waited=sum(wait > _WAITED_SECONDS for wait in ordered),
        asked_redis=sum(int(one.value) for one in series if one.labels in _ASKED),
        redis_up=next(one.value for one in series if one.name == "ownership_gateway_redis_up"),
    )


async def _ask(target: Target, rate: int) -> list[float]:
    """Return what each question took that was asked after the first two seconds."""
    waits: list[float] = []
    begun_at = time.monotonic()
    idle = asyncio.Queue[_Caller]()
    for _ in range(_CALLERS):
        idle.put_nowait(await _Caller.connect(target))

    async def ask(number: int, caller: _Caller) -> None:
        asked_at = time.monotonic()
        await caller.ask(number)
        if asked_at - begun_at > _UNTIL_LEFT_ALONE_SECONDS:
            waits.append(time.monotonic() - asked_at)
        idle.put_nowait(caller)

    async with asyncio.timeout(_SECONDS + _TIMEOUT_SECONDS), asyncio.TaskGroup() as questions:
        for number in range(int(rate * _SECONDS)):
            await asyncio.sleep(begun_at + number / rate - time.monotonic())
            questions.create_task(ask(number, await idle.get()))
    while not idle.empty():
        idle.get_nowait().close()
    return waits


class _Caller:
    """One connection, on which a client library would take longer than what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, target: Target) -> Self:
        where = urlsplit(target.base_url)
        return cls(*await asyncio.open_connection(where.hostname, where.port))

    async def ask(self, number: int) -> None:
        """Ask about that player. Raises `BenchmarkError` for any answer but that nothing is known."""
        body = msgspec.json.encode(
            {"game": GAME.game_id, "download_key": download_key(number), "only_if_cached": True, "deadline_ms": 10_000}
        )
        self._writer.write(_HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        answer = await self._reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
        if b'"not_cached"' not in answer:
            raise BenchmarkError(f"an answer that was not expected: {answer[:200]!r}")

    def close(self) -> None:
        self._writer.close()


def _series(target: Target) -> list[Sample]:
    text = httpx.get(f"{target.base_url}/metrics", timeout=_TIMEOUT_SECONDS, trust_env=False).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


class LatePort:
    """`with LatePort(port, seconds) as late`: leads from `late.port` to that port on loopback, replies come late."""

    def __init__(self, target_port: int, delay_seconds: float) -> None:
        self.port = 0
        self._target_port = target_port
        self._delay_seconds = delay_seconds
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._lead, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        server.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_redis = await asyncio.open_connection("127.0.0.1", self._target_port)
        with suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pump(reader, to_redis[1], 0.0), self._pump(to_redis[0], writer, self._delay_seconds)
            )

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                self._loop.call_later(delay_seconds, writer.write, data)
        self._loop.call_later(delay_seconds, writer.close)
