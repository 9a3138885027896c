"""Cold start and memory, beside the empty Litestar app on the same server."""

import time
from collections.abc import Callable
from statistics import median
from typing import Final

from msgspec import Struct

from benchmarks.laboratory import Laboratory, Target
from benchmarks.load import Questions, warm_up
from benchmarks.processes import BenchmarkError, ServerProcess

ENTRIES: Final = 100_000
_ENOUGH: Final = 0.99
_MOST_SECONDS: Final = 120.0
_ROUND_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 2.0
"""After the start the gateway imports what asks the store; that is part of its memory."""


class Footprint(Struct, frozen=True):
    """Seconds from the start of the process to its first good answer, the CPU time of that, and MiB of memory."""

    gateway_start_seconds: float
    litestar_start_seconds: float
    gateway_start_cpu_seconds: float
    litestar_start_cpu_seconds: float
    gateway_empty: float
    litestar_empty: float
    gateway_full: float
    litestar_loaded: float
    """After the same load; it remembers nothing, so this is what serving it costs."""

    @property
    def start_cpu_ratio(self) -> float:
        """The same in CPU time, which says more on a machine that others use, too."""
        return self.gateway_start_cpu_seconds / self.litestar_start_cpu_seconds

    @property
    def start_ratio(self) -> float:
        """Cold start against the empty app's."""
        return self.gateway_start_seconds / self.litestar_start_seconds


def measure_footprint(*, starts: int, tell: Callable[[str], None]) -> Footprint:
    """Start both in turn, then fill one gateway and load one empty app as much."""
    ours: list[ServerProcess] = []
    theirs: list[ServerProcess] = []
    for number in range(1 + starts):
        tell(f"start {number} of {starts}" if number else "a start of each that is not counted: it may compile")
        with Laboratory() as laboratory:
            ours.append(laboratory.gateway().server)
            theirs.append(laboratory.contender("empty_litestar").server)
    del ours[0], theirs[0]
    with Laboratory() as laboratory:
        laboratory.warm(range(ENTRIES))
        gateway = laboratory.gateway()  # the default bounds have room for all of them
        litestar = laboratory.contender("empty_litestar")
        time.sleep(_SETTLE_SECONDS)
        gateway_empty, litestar_empty = _resident(gateway), _resident(litestar)
        tell(f"asking about {ENTRIES} players")
        _ask_about_all(gateway)
        warm_up(litestar.base_url, Questions("cycle", ENTRIES), seconds=_ROUND_SECONDS)
        return Footprint(
            gateway_start_seconds=median(one.start_seconds for one in ours),
            litestar_start_seconds=median(one.start_seconds for one in theirs),
            gateway_start_cpu_seconds=median(one.start_cpu_seconds for one in ours),
            litestar_start_cpu_seconds=median(one.start_cpu_seconds for one in theirs),
            gateway_empty=gateway_empty,
            litestar_empty=litestar_empty,
            gateway_full=_resident(gateway),
            litestar_loaded=_resident(litestar),
        )


def table(result: Footprint) -> str:
    """Return the figures as lines of text."""
    empty = result.gateway_empty - result.litestar_empty
    full = result.gateway_full - result.litestar_loaded
    head = f"{'':<40} {'gateway':>8} {'empty Litestar app':>19}"
    return "\n".join(
        [
            head,
            f"{'cold start, ms':<40} {result.gateway_start_seconds * 1000:>8.0f} "
            f"{result.litestar_start_seconds * 1000:>19.0f}   ratio {result.start_ratio:.2f}, at most 2.00",
            f"{'CPU time of that, ms':<40} {result.gateway_start_cpu_seconds * 1000:>8.0f} "
            f"{result.litestar_start_cpu_seconds * 1000:>19.0f}   ratio {result.start_cpu_ratio:.2f}, at most 2.00",
            f"{'memory when started, MiB':<40} {result.gateway_empty:>8.0f} {result.litestar_empty:>19.0f}   "
            f"{empty:+.0f}, at most +40",
            f"{f'memory with {ENTRIES:,} entries, MiB':<40} {result.gateway_full:>8.0f} "
            f"{result.litestar_loaded:>19.0f}   {full:+.0f}, at most +100",
        ]
    )


def _ask_about_all(gateway: Target) -> None:
    """Ask in turn until all are remembered: whoever was not must come from Redis, once."""
    give_up_at = time.monotonic() + _MOST_SECONDS
    remembered = 0.0
    while remembered < _ENOUGH * ENTRIES:
        if time.monotonic() > give_up_at:
            raise BenchmarkError(f"the gateway still remembers only {remembered:.0f} of {ENTRIES} players")
        questions = Questions("cycle", ENTRIES, start=gateway.asked)
        gateway.asked += warm_up(gateway.base_url, questions, seconds=_ROUND_SECONDS)
        remembered = gateway.decisions().get(("owned", "redis"), 0.0)


def _resident(target: Target) -> float:
    return target.server.resident_mebibytes()
