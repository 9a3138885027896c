"""Remembering refusals: the CPU time of a refused question with it and without, as a ratio in one run.

One process, no sockets, as in `calls`, with uvloop and the collector as `serve` has them. Blocks of questions go in
turn to a gateway that remembers and to one that does not; what counts is the median over the pairs, half of them of
gateways that were made in the other order. Each player is
banned by the file, which is the cheapest refusal that there is, so that the share is the largest. It is measured
without Redis, and with one, to which writes go by the second and not by the question: at most 10 of one caller.
"""

import asyncio
import hashlib
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Final

import uvloop
from msgspec import Struct, json

from benchmarks.calls import Ask, open_in_process
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError
from service.sandbox.seed import SELLER_KEY
from service.server import spare_the_collector
from service.settings import load_settings
from tests.redis_server import RedisServer

MOST_RATIO: Final = 1.05
"""The target: at most 5 % more CPU time."""

IDS: Final = 20_000
"""More than a process remembers: each refusal is a new one, and takes the place of another."""

_SECRET: Final = "benchmark-secret-that-seals-nothing-of-worth"  # noqa: S105 - of no worth
_FIRST_ID: Final = 10_000_000
_BLOCK: Final = 500
_FEW: Final = 50
_TURN: Final = 10
"""Questions that are answered in one turn of the event loop; between turns, Redis is written to."""


class Cost(Struct, frozen=True):
    """The CPU time of a refused question in microseconds, and the ratio to that without remembering."""

    players: int
    redis: bool
    remembering_us: float
    without_us: float
    ratio: float


def measure_refusals(*, pairs: int) -> tuple[Cost, ...]:
    """Ask about many players, each of whose refusals is new, and about few, whose refusals are counted."""
    server = RedisServer()
    server.start()
    try:
        return tuple(
            uvloop.run(_measure(pairs, players, redis_url))
            for redis_url in (None, server.url)
            for players in (IDS, _FEW)
        )
    finally:
        server.stop()


def table(costs: tuple[Cost, ...]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'players':>8} {'Redis':>6} {'remembering µs':>15} {'without µs':>11} {'ratio':>6}"]
    lines += [
        f"{one.players:>8} {'yes' if one.redis else 'no':>6} {one.remembering_us:>15.1f} {one.without_us:>11.1f} "
        f"{one.ratio:>6.3f}"
        for one in costs
    ]
    lines.append(f"at most {MOST_RATIO}")
    return "\n".join(lines)


async def _measure(pairs: int, players: int, redis_url: str | None) -> Cost:
    measured = [
        pair for order in ((True, False), (False, True)) for pair in await _pairs(order, pairs // 2, players, redis_url)
    ]
    scale = 1e6 / _BLOCK
    return Cost(
        players=players,
        redis=redis_url is not None,
        remembering_us=median(with_it for with_it, _ in measured) * scale,
        without_us=median(without for _, without in measured) * scale,
        ratio=median(with_it / without for with_it, without in measured),
    )


async def _pairs(
    order: tuple[bool, bool], pairs: int, players: int, redis_url: str | None
) -> list[tuple[float, float]]:
    """Return the times of blocks with remembering and without, of gateways made in this order."""
    async with AsyncExitStack() as stack:
        asks = {}
        for remembers in order:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            file = Path(directory) / "gateway.toml"
            file.write_text(_file(remembers=remembers, redis_url=redis_url), encoding="utf-8")
            _, asks[remembers] = await stack.enter_async_context(open_in_process(load_settings({}, config_file=file)))
        spare_the_collector()
        for ask in asks.values():  # what is made once, and, for the one that remembers, a memory that is full
            for start in range(0, IDS, _BLOCK):
                await _block(ask, start, players)
        measured = []
        for pair in range(pairs):
            # The one that goes first finds another machine than the one that goes second.
            taken = {
                remembers: await _block(asks[remembers], pair * _BLOCK, players)
                for remembers in (order if pair % 2 else reversed(order))
            }
            measured.append((taken[True], taken[False]))
        return measured


async def _block(ask: Ask, start: int, players: int) -> float:
    """Ask so many questions, and return the CPU time that they took, with all that goes on beside them."""
    requests = [_request((start + number) % players) for number in range(_BLOCK)]
    begun = time.process_time()
    answer = b""
    for number, request in enumerate(requests, 1):
        answer = await ask(request)
        if number % _TURN == 0:
            await asyncio.sleep(0)
    taken = time.process_time() - begun
    if b'"reason":"operator_ban"' not in answer:
        raise BenchmarkError(f"not a refusal: {answer[:200]!r}")
    return taken


def _file(*, remembers: bool, redis_url: str | None) -> str:
    redis = "" if redis_url is None else f'[redis]\nurl = "{redis_url}"\n'
    ids = ", ".join(str(_FIRST_ID + number) for number in range(IDS))
    token = hashlib.sha256(TOKEN.encode()).hexdigest()
    return f"""\
remember_refusals = {str(remembers).lower()}
secret = "{_SECRET}"

{redis}
[itch]
api_key = "{SELLER_KEY}"
base_url = "http://127.0.0.1:9"

[games.benchmark]
id = 3
ban_user_ids = [{ids}]

[[callers]]
name = "benchmark"
token_sha256 = "{token}"
games = ["benchmark"]
rights = ["assert:user"]
rate = 100000
"""


def _request(number: int) -> bytes:
    body = json.encode({"game": 3, "user_id": _FIRST_ID + number})
    head = (
        "POST /verify/user HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
