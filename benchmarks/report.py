"""What was measured, as a table, as ratios against their targets, as JSON and as a plot."""

import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.modes import Summary, by_name
from benchmarks.plot import bars

MEMORY_TARGET: Final = 1.6
"""A memory hit against the framework's own empty handler, in requests a second."""


class Ratio(Struct, frozen=True):
    """One figure against another from the same run; this is what holds on other machines, too."""

    name: str
    value: float
    target: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    def __str__(self) -> str:
        """Return one line."""
        bound = "at least" if self.at_least else "at most"
        return f"{self.name:<58} {self.value:>6.2f}   {bound} {self.target:.2f}   {'met' if self.met else 'MISSED'}"


class Report(Struct, frozen=True):
    """Everything that a run found out."""

    machine: str
    python: str
    cores: int
    rounds: int
    modes: tuple[Summary, ...]
    ratios: tuple[Ratio, ...]


def make_report(summaries: Sequence[Summary]) -> Report:
    """Return the summaries with what they amount to."""
    return Report(
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
        rounds=len(summaries[0].rounds),
        modes=tuple(summaries),
        ratios=tuple(_ratios(summaries)),
    )


def table(summaries: Sequence[Summary]) -> str:
    """Return the figures as lines of text."""
    head = f"{'':<36} {'requests/s':>11} {'answers/s':>10} {'CPU µs':>7} {'p50 ms':>7} {'p99 ms':>7} {'RSS MiB':>8}"
    return "\n".join([head, *map(_row, summaries)])


def write(report: Report, directory: Path) -> None:
    """Write `results.json` and `throughput.svg`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(report, directory / "results.json")
    rows = [(one.title, one.requests_per_second) for one in report.modes]
    (directory / "throughput.svg").write_text(bars("requests a second, one core", rows), encoding="utf-8")


def write_json(value: object, path: Path) -> None:
    """Write a value for machines, legible to people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _row(one: Summary) -> str:
    return (
        f"{one.title:<36} {one.requests_per_second:>11,.0f} {one.answers_per_second:>10,.0f} {one.cpu_us:>7.0f} "
        f"{one.p50_us / 1000:>7.2f} {one.p99_us / 1000:>7.2f} {one.resident_mebibytes:>8.0f}"
    )


def _ratios(summaries: Sequence[Summary]) -> Iterator[Ratio]:
    of = by_name(summaries)
    floor, memory, redis, peer = of["litestar"], of["memory"], of["redis"], of["peer"]
    yield _speed("memory hit / empty Litestar handler, requests/s", memory, floor, MEMORY_TARGET)
    yield _speed("Redis hit / empty Litestar handler, requests/s", redis, floor, 1.0)
    yield _speed("gateway / peer, both on Redis hits, requests/s", redis, peer, 5.0)
    # On a machine that others use, too, CPU time says more than throughput.
    yield _cost("empty Litestar handler / memory hit, CPU time", floor, memory, MEMORY_TARGET)
    yield _cost("empty Litestar handler / Redis hit, CPU time", floor, redis, 1.0)
    yield _cost("peer / gateway, both on Redis hits, CPU time", peer, redis, 5.0)
    yield Ratio("memory hit / empty Litestar handler, p99", memory.p99_us / floor.p99_us, 1.0, at_least=False)


def _speed(name: str, one: Summary, other: Summary, target: float) -> Ratio:
    return Ratio(name, one.requests_per_second / other.requests_per_second, target, at_least=True)


def _cost(name: str, one: Summary, other: Summary, target: float) -> Ratio:
    return Ratio(name, one.cpu_us / other.cpu_us, target, at_least=True)
