"""How cost grows: with connections, with how many players are asked about, with processes that share one Redis."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from benchmarks.laboratory import Laboratory
from benchmarks.load import Questions, Sample, measure_together
from benchmarks.modes import MANY_PLAYERS, SMALL_TIER, measure_once, open_floor, open_memory_hit, open_redis_hit
from benchmarks.plot import lines
from benchmarks.processes import CORES

Tell: TypeAlias = Callable[[str], None]

_CONNECTIONS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_IDENTITIES: Final = (1_000, 10_000, 100_000, 1_000_000)
_PROCESSES: Final = (1, 2, 3, 4)
_LONG_WARM_UP: Final = 4
"""Times a round: a hundred thousand players must each have been asked about before they are all remembered."""


class Point(Struct, frozen=True):
    """One measurement."""

    series: str
    at: int
    sample: Sample


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
            points += [
                Point(mode.title, connections, measure_once(mode, seconds=seconds, connections=connections))
                for mode in modes
            ]
    return Growth("connections", tuple(points))


def by_identities(seconds: float, tell: Tell) -> Growth:
    """Measure with ever more players, asked about at random: with the default bounds, and with room for all."""
    points = []
    with Laboratory() as laboratory:
        for identities in _IDENTITIES:
            tell(f"{identities:,} players")
            laboratory.warm(range(identities))
            questions = Questions("random", identities)
            for title, target in (
                ("gateway, default cache", laboratory.gateway()),
                ("gateway, room for all", laboratory.gateway(max_entries=2 * identities, max_mebibytes=8192)),
            ):
                servers = [(target.server, target.base_url)]
                measure_together(servers, questions, seconds=_LONG_WARM_UP * seconds, cores=CORES[1:2] or CORES)
                sample = measure_together(servers, questions, seconds=seconds, cores=CORES[1:2] or CORES)
                points.append(Point(title, identities, sample))
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


EXPERIMENTS: Final[Mapping[str, Callable[[float, Tell], Growth]]] = {
    "connections": by_connections,
    "identities": by_identities,
    "processes": by_processes,
}


def table(growth: Growth) -> str:
    """Return the figures as lines of text."""
    head = f"{growth.across:>20} {'':<26} {'requests/s':>10} {'CPU µs':>7} {'p50 ms':>7} {'p99 ms':>7} {'RSS MiB':>8}"
    return "\n".join([head, *map(_row, growth.points)])


def plot(growth: Growth) -> str:
    """Return requests a second as a plot."""
    names: Sequence[str] = list(dict.fromkeys(point.series for point in growth.points))
    drawn = [
        (name, [(point.at, point.sample.requests_per_second) for point in growth.points if point.series == name])
        for name in names
    ]
    return lines(f"requests a second by {growth.across}", growth.across, "requests/s", drawn)


def _row(point: Point) -> str:
    sample = point.sample
    return (
        f"{point.at:>20,} {point.series:<26} {sample.requests_per_second:>10,.0f} {sample.cpu_us:>7.0f} "
        f"{sample.p50_us / 1000:>7.2f} {sample.p99_us / 1000:>7.2f} {sample.resident_mebibytes:>8.0f}"
    )
