"""How cost grows: with connections, with how many players are asked about, with processes that share one Redis."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from benchmarks.laboratory import Laboratory, Target
from benchmarks.load import Questions, Sample, measure, measure_together, warm_up
from benchmarks.modes import BATCH, MANY_PLAYERS, SMALL_TIER, measure_once, open_floor, open_memory_hit, open_redis_hit
from benchmarks.plot import lines
from benchmarks.processes import CORES, BenchmarkError
from service.settings import CacheSettings

Tell: TypeAlias = Callable[[str], None]

_CONNECTIONS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_IDENTITIES: Final = (1_000, 10_000, 100_000, 1_000_000)
_PROCESSES: Final = (1, 2, 3, 4)
_LONGEST_FILL_SECONDS: Final = 300.0
_FILLING_CONNECTIONS: Final = 8
"""Each asks about many at once; with more of them a busy gateway takes longer for one than wrk waits."""


class Point(Struct, frozen=True):
    """One measurement."""

    series: str
    at: int
    sample: Sample
    memory: float | None = None
    """Share of the answers that came from memory, where that is what changes."""


class Growth(Struct, frozen=True):
    """How figures changed with `across`."""

    across: str
    points: tuple[Point, ...]


def by_connections(seconds: float, tell: Tell) -> Growth:
    """Measure with ever more connections."""
    points = []
    with Laboratory() as laboratory:
        floor = [mode for mode in open_floor(laboratory) if mode.name == "litestar"]
        modes = [*floor, open_memory_hit(laboratory), open_redis_hit(laboratory)]
        for connections in _CONNECTIONS:
            tell(f"{connections} connections")
            for mode in list(modes):
                try:
                    sample = measure_once(mode, seconds=seconds, connections=connections)
                except BenchmarkError as error:
                    # Where a series ends is a finding, too.
                    tell(f"no more of it: {error}")
                    modes.remove(mode)
                else:
                    points.append(Point(mode.title, connections, sample))
    return Growth("connections", tuple(points))


def by_identities(seconds: float, tell: Tell) -> Growth:
    """Measure with ever more players, asked about at random: with the default bounds, and with room for all."""
    points = []
    with Laboratory() as laboratory:
        for identities in _IDENTITIES:
            tell(f"{identities:,} players")
            laboratory.warm(range(identities))
            default, room = CacheSettings().max_entries, 2 * identities
            for title, target, fits in (
                ("gateway, default cache", laboratory.gateway(), min(identities, default)),
                ("gateway, room for all", laboratory.gateway(max_entries=room, max_mebibytes=8192), identities),
            ):
                try:
                    _fill(target, fits, tell)
                    before = target.decisions()
                    questions = Questions("random", identities)
                    sample = measure(target.server, target.base_url, questions, seconds=seconds)
                except BenchmarkError as error:
                    tell(f"{title}: {error}")
                    continue
                made = {key: count - before.get(key, 0) for key, count in target.decisions().items()}
                points.append(Point(title, identities, sample, made.get(("owned", "memory"), 0) / sum(made.values())))
    return Growth("players asked about", tuple(points))


def by_processes(seconds: float, tell: Tell) -> Growth:
    """Measure with ever more gateways on one Redis, which has all the answers; everything shares all cores."""
    points = []
    with Laboratory() as laboratory:
        laboratory.warm(range(len(_PROCESSES) * MANY_PLAYERS))
        targets = [laboratory.gateway(max_entries=SMALL_TIER, cores=CORES) for _ in _PROCESSES]
        servers = [(target.server, target.base_url) for target in targets]
        for processes in _PROCESSES:
            tell(f"{processes} processes")
            sample = measure_together(
                servers[:processes], Questions("cycle", MANY_PLAYERS), seconds=seconds, cores=CORES
            )
            points.append(Point("gateways, Redis hits", processes, sample))
    return Growth("processes", tuple(points))


def _fill(target: Target, identities: int, tell: Tell) -> None:
    """Ask about everybody once, many in one question, as far as time allows."""
    give_up_at = time.monotonic() + _LONGEST_FILL_SECONDS
    while target.asked < identities and time.monotonic() < give_up_at:
        questions = Questions("batch", identities, start=target.asked // BATCH)
        seconds = 1 if identities < MANY_PLAYERS else 10
        asked = warm_up(target.base_url, questions, seconds=seconds, connections=_FILLING_CONNECTIONS)
        target.asked += BATCH * asked
    if target.asked < identities:
        tell(f"only {target.asked:,} of {identities:,} were asked about before")


EXPERIMENTS: Final[Mapping[str, Callable[[float, Tell], Growth]]] = {
    "connections": by_connections,
    "identities": by_identities,
    "processes": by_processes,
}


def table(growth: Growth) -> str:
    """Return the figures as lines of text."""
    head = f"{growth.across:>20} {'':<26} {'requests/s':>10} {'CPU µs':>7} {'p50 ms':>7} {'p99 ms':>8} {'RSS MiB':>7}"
    return "\n".join([head, *map(_row, growth.points)])


def plot(growth: Growth) -> str:
    """Return the CPU time of a request as a plot: it holds where others use the machine, too."""
    names: Sequence[str] = list(dict.fromkeys(point.series for point in growth.points))
    drawn = [
        (name, [(point.at, point.sample.cpu_us) for point in growth.points if point.series == name]) for name in names
    ]
    return lines(f"CPU time of a request, by {growth.across}", growth.across, "µs", drawn)


def _row(point: Point) -> str:
    sample = point.sample
    return (
        f"{point.at:>20,} {point.series:<26} {sample.requests_per_second:>10,.0f} {sample.cpu_us:>7.0f} "
        f"{sample.p50_us / 1000:>7.2f} {sample.p99_us / 1000:>8.2f} {sample.resident_mebibytes:>7.0f}"
        + (f"   {point.memory:.0%} from memory" if point.memory is not None else "")
    )
