"""Many questions at once that only the store can answer: how much later they are answered than its budget makes them.

The store takes a tenth of a second for each. Whoever comes first is asked about at once, the others wait their turn;
what the last turn takes on top of that wait and of the store's own time is the gateway's doing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count, islice
from math import ceil
from statistics import median
from typing import Final

import httpx
import msgspec
from msgspec import Struct

from benchmarks.identities import GAME, download_key
from benchmarks.laboratory import Budget, Laboratory, Target
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError

QUESTIONS: Final = 500
TARGET: Final = 1.3
STORE_SECONDS: Final = 0.1
_CONNECTIONS_TO_STORE: Final = 16
"""As service/stores/transport.py has them."""
_DEADLINE_MS: Final = 10_000
_TIMEOUT_SECONDS: Final = 16
"""Half of it is what a look-up waits for its turn at most: less than the deadline, so that no turn comes after that."""
_WARM_UP: Final = 32
_BUDGETS: Final = (
    Budget(rate=8, burst=15, timeout_seconds=_TIMEOUT_SECONDS),
    Budget(rate=100, burst=15, timeout_seconds=_TIMEOUT_SECONDS),
    Budget(rate=10_000, burst=QUESTIONS, timeout_seconds=_TIMEOUT_SECONDS),
)
"""The most that may be configured; one that lets all of them through in time; one that bounds nothing, so that only
the number of connections does."""


class Flood(Struct, frozen=True):
    """What became of the questions, medians of all rounds. Times in seconds from the moment they were asked."""

    budget: Budget
    answered: int
    refused: int
    """Told at once to come back later: their turn would have come too late."""
    p50: float
    p99: float
    expected_p99: float
    """What the turn of that answer and the store's own time come to."""

    @property
    def ratio(self) -> float:
        """The gateway's p99 against what it can be at best."""
        return self.p99 / self.expected_p99


class _Answer(Struct, frozen=True):
    outcome: str
    reason: str
    cache: str | None = None
    """Not in every refusal."""


def measure_misses(*, rounds: int, tell: Callable[[str], None]) -> tuple[Flood, ...]:
    """Ask with ever larger budgets, others each time."""
    floods = []
    strangers = count()
    with Laboratory() as laboratory:
        fault = {"latency_ms": round(STORE_SECONDS * 1000)}
        httpx.put(f"{laboratory.store_url}/sandbox/faults", json=fault, trust_env=False).raise_for_status()
        for budget in _BUDGETS:
            target, measured = laboratory.gateway(budget=budget), []
            for number in range(1, rounds + 1):
                tell(f"{budget.rate:g} requests a second, round {number} of {rounds}")
                asyncio.run(_flood(target, islice(strangers, _WARM_UP)))
                time.sleep(1 + budget.burst / budget.rate)  # until the budget is whole again
                measured.append(_summarise(budget, asyncio.run(_flood(target, islice(strangers, QUESTIONS)))))
            floods.append(_typical(measured))
    return tuple(floods)


def table(floods: Sequence[Flood]) -> str:
    """Return the figures as lines of text."""
    head = (
        f"{'store budget':>22} {'answered':>9} {'refused':>8} {'p50 s':>6} {'p99 s':>6} {'at best s':>10} {'ratio':>6}"
    )
    return "\n".join([head, *map(_row, floods)])


def _row(one: Flood) -> str:
    budget = f"{one.budget.rate:g}/s, burst {one.budget.burst}"
    return (
        f"{budget:>22} {one.answered:>9} {one.refused:>8} {one.p50:>6.2f} {one.p99:>6.2f} {one.expected_p99:>10.2f} "
        f"{one.ratio:>6.2f}   at most {TARGET:.2f}"
    )


def _turn(number: int, budget: Budget) -> float:
    """Return when the store can have answered that many, be it the budget or the connections that hold them up."""
    by_budget = max(0.0, (number - budget.burst) / budget.rate) + STORE_SECONDS
    return max(by_budget, ceil(number / _CONNECTIONS_TO_STORE) * STORE_SECONDS)


def _summarise(budget: Budget, heard: Sequence[tuple[float, _Answer]]) -> Flood:
    answered = sorted(seconds for seconds, answer in heard if answer.outcome == "not_owned" and answer.cache == "none")
    refused = sum(answer.reason == "overloaded" for _, answer in heard)
    if not answered or len(answered) + refused != QUESTIONS:
        said = Counter(f"{answer.outcome} ({answer.reason}, {answer.cache})" for _, answer in heard)
        raise BenchmarkError(f"of {QUESTIONS} questions not all were answered or refused: {dict(said)}")
    # The 99th percentile by nearest rank: an answer that came, whose turn is known.
    rank = ceil(0.99 * len(answered))
    return Flood(
        budget=budget,
        answered=len(answered),
        refused=refused,
        p50=median(answered),
        p99=answered[rank - 1],
        expected_p99=_turn(rank, budget),
    )


def _typical(measured: Sequence[Flood]) -> Flood:
    """Return the round in the middle, by its ratio."""
    return sorted(measured, key=lambda one: one.ratio)[len(measured) // 2]


async def _flood(target: Target, numbers: Iterable[int]) -> list[tuple[float, _Answer]]:
    """Ask about these identities, on a connection each, all of them open before the first question."""
    host, _, port = target.base_url.removeprefix("http://").rpartition(":")
    requests = [_request(number) for number in numbers]
    connections = [await asyncio.open_connection(host, int(port)) for _ in requests]
    begun_at = time.perf_counter()
    for (_, writer), request in zip(connections, requests, strict=True):
        writer.write(request)
    return await asyncio.gather(*(_hear(reader, writer, begun_at) for reader, writer in connections))


def _request(number: int) -> bytes:
    question = {"game": GAME.game_id, "download_key": download_key(number), "deadline_ms": _DEADLINE_MS}
    body = msgspec.json.encode(question)
    return (
        "POST /verify/download-key HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


async def _hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun_at: float) -> tuple[float, _Answer]:
    heard = await reader.read()
    seconds = time.perf_counter() - begun_at
    writer.close()
    return seconds, msgspec.json.decode(heard.partition(b"\r\n\r\n")[2], type=_Answer)
