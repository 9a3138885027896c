"""CPU time of a first question from memory, where overrides are known of other players and where there are none.

One process, no sockets, as in `calls`: each question goes through a gateway of each kind, in turn, so that what else
the machine does meanwhile concerns all alike.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count
from statistics import median
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.calls import Ask, first_question, open_in_process, settings_for, until_remembered
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError
from service.clock import SystemClock
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.seed import GAME_ID
from service.sandbox.state import Sandbox

KNOWN: Final = (0, 1, 1_000)
_QUESTIONS: Final = 300
_FIRST_ID: Final = 40_000_000
_FIRST_NUMBER: Final = 100
_LAST_NUMBER: Final = 60_000


class Known(Struct, frozen=True):
    """One gateway: the overrides that it knows, the median of its rounds, and that of their ratios to none known."""

    overrides: int
    microseconds: float
    ratio: float


def measure_overrides(*, rounds: int) -> tuple[Known, ...]:
    """Ask gateways that know ever more overrides, round for round."""
    return asyncio.run(_measure(rounds))


def table(known: Sequence[Known]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'overrides':>9} {'CPU µs':>8} {'to none':>8}"]
    lines += [f"{one.overrides:>9,} {one.microseconds:>8.1f} {one.ratio:>8.3f}" for one in known]
    last = known[-1]
    lines.append(f"a question where {last.overrides:,} are known / where none is: {last.ratio:.3f}, median of rounds")
    return "\n".join(lines)


async def _measure(rounds: int) -> tuple[Known, ...]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SandboxServer(Sandbox(clock=SystemClock())))
        asks: list[Ask] = []
        for overrides in KNOWN:
            _, ask = await stack.enter_async_context(open_in_process(settings_for(store.base_url)))
            await until_remembered(ask)
            for number in range(overrides):
                await _ban(ask, _FIRST_ID + number)
            asks.append(ask)
        numbers = count(_FIRST_NUMBER)
        spent = [[await _round(ask, numbers) for ask in asks] for _ in range(min(rounds, _most_rounds()))]
    return tuple(
        Known(
            overrides=overrides,
            microseconds=median(one[place] for one in spent) / _QUESTIONS * 1_000_000,
            ratio=median(one[place] / one[0] for one in spent),
        )
        for place, overrides in enumerate(KNOWN)
    )


def _most_rounds() -> int:
    """Return how many rounds there are questions for that differ in their bytes."""
    return (_LAST_NUMBER - _FIRST_NUMBER) // (_QUESTIONS * len(KNOWN))


async def _round(ask: Ask, numbers: "count[int]") -> float:
    requests = [first_question(next(numbers)) for _ in range(_QUESTIONS)]
    before = time.thread_time()
    answers = [await ask(request) for request in requests]
    spent = time.thread_time() - before
    for answer in answers:
        if not answer.startswith(b"HTTP/1.1 200 ") or b'"cache":"memory"' not in answer:
            raise BenchmarkError(f"not an answer from memory: {answer[:200]!r}")
    return spent


async def _ban(ask: Ask, user_id: int) -> None:
    body = msgspec.json.encode({"game": GAME_ID, "user_id": user_id, "word": "ban", "seconds": 3600})
    head = (
        "POST /admin/overrides HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer = await ask(head.encode("ascii") + body)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchmarkError(f"no override: {answer[:200]!r}")
