"""CPU time of a scrape, by how many games are configured: what was asked about costs, what is configured does not.

One process, no sockets, as in `calls`: the request goes through the gateway as a scrape does. The sandbox stands in for
the store and is not asked.
"""

import asyncio
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from benchmarks.calls import Ask, open_in_process
from benchmarks.processes import BenchmarkError
from service.observability.metrics import Metrics
from service.ownership import CacheTier, Method, Reason
from service.settings import load_settings

CONFIGURED: Final = (10, 20, 100, 1_000)
MOST_MS: Final = 10.0
MOST_RATIO: Final = 1.5
_ASKED_ABOUT: Final = 20
_DECISIONS: Final = 10_000
_SCRAPES: Final = 31
_REQUEST: Final = b"GET /metrics HTTP/1.1\r\nHost: benchmark\r\n\r\n"
_KINDS: Final = tuple(
    product(
        (Method.DOWNLOAD_KEY, Method.JWT, Method.USER),
        (Reason.DOWNLOAD_KEY, Reason.NO_DOWNLOAD_KEY, Reason.DEADLINE_EXCEEDED, Reason.SOURCE_UNAVAILABLE),
        CacheTier,
    )
)
"""Kinds of answers that each game is given: more than most are."""


class Scrape(Struct, frozen=True):
    """One gateway: how many games it has, and the median of its scrapes in CPU time and bytes."""

    games: int
    asked_about: int
    milliseconds: float
    kibibytes: float


def measure_scrapes() -> tuple[Scrape, ...]:
    """Scrape gateways with ever more games, each after the same decisions."""
    return tuple(asyncio.run(_measure(games)) for games in CONFIGURED)


def table(scrapes: tuple[Scrape, ...]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'games':>6} {'asked about':>12} {'CPU ms':>8} {'KiB':>6}"]
    lines += [
        f"{one.games:>6,} {one.asked_about:>12} {one.milliseconds:>8.2f} {one.kibibytes:>6.0f}" for one in scrapes
    ]
    by_games = {one.games: one.milliseconds for one in scrapes}
    lines.append(f"100 games: {by_games[100]:.1f} ms, at most {MOST_MS:.0f}")
    lines.append(f"1 000 games / 10 games: {by_games[1_000] / by_games[10]:.2f}, at most {MOST_RATIO}")
    return "\n".join(lines)


async def _measure(games: int) -> Scrape:
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "gateway.toml"
        tables = "".join(f"\n[games.game-{number}]\nid = {number + 1}\n" for number in range(games))
        configuration.write_text(f"sandbox = true\n{tables}", encoding="utf-8")
        settings = load_settings({}, config_file=configuration)
    asked_about = min(games, _ASKED_ABOUT)
    async with open_in_process(settings) as (gateway, ask):
        _decide(gateway.metrics, asked_about)
        spent = [await _scrape(ask) for _ in range(_SCRAPES)]
    return Scrape(
        games=games,
        asked_about=asked_about,
        milliseconds=median(seconds for seconds, _ in spent) * 1000,
        kibibytes=median(size for _, size in spent) / 1024,
    )


def _decide(metrics: Metrics, games: int) -> None:
    for number in range(_DECISIONS):
        method, reason, cache = _KINDS[number // games % len(_KINDS)]
        metrics.decision(f"game-{number % games}", method, reason, cache, seconds=0.001)


async def _scrape(ask: Ask) -> tuple[float, int]:
    before = time.thread_time()
    answer = await ask(_REQUEST)
    spent = time.thread_time() - before
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchmarkError(f"no metrics: {answer[:200]!r}")
    return spent, len(answer)
