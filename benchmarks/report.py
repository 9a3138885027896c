"""What was measured, as a table, as ratios against their targets, as JSON and as a plot."""

import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.modes import Measured, Summary, by_name, cost_ratio, speed_ratio
from benchmarks.plot import bars

MEMORY_TARGET: Final = 1.6
"""A memory hit against the framework's own empty handler, in requests a second."""


_ENOUGH: Final = 0.9
"""Share of its core that a server under full load has when it has it to itself."""


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
    failures: tuple[str, ...]
    """What could not be measured, and why."""


def make_report(measured: Measured, *, rounds: int) -> Report:
    """Return the summaries with what they amount to."""
    return Report(
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
        rounds=rounds,
        modes=measured.summaries,
        ratios=tuple(_ratios(measured.summaries)),
        failures=measured.failures,
    )


def table(summaries: Sequence[Summary]) -> str:
    """Return the figures as lines of text."""
    head = f"{'':<36} {'requests/s':>11} {'answers/s':>10} {'CPU µs':>7} {'core':>5} {'p50 ms':>7} {'p99 ms':>8} "
    head += f"{'RSS MiB':>7} {'failed':>7} {'discarded':>10}"
    return "\n".join([head, *map(_row, summaries)])


def warning(summaries: Sequence[Summary]) -> str | None:
    """Return what to think of the figures when the servers did not have their core to themselves."""
    if min(one.core for one in summaries) >= _ENOUGH:
        return None
    return (
        "Others used this machine meanwhile: requests a second and percentiles say little, not even as ratios; "
        "requests per CPU second still do."
    )


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
        f"{one.core:>5.0%} {one.p50_us / 1000:>7.2f} {one.p99_us / 1000:>8.2f} {one.resident_mebibytes:>7.0f} "
        f"{one.failed:>7.2%} {one.discarded:>10}"
    )


def _ratios(summaries: Sequence[Summary]) -> Iterator[Ratio]:
    of = by_name(summaries)
    for name, one, other, target in (
        ("memory hit / empty Litestar handler", "memory", "litestar", MEMORY_TARGET),
        ("Redis hit / empty Litestar handler", "redis", "litestar", 1.0),
        ("gateway / peer, both on Redis hits", "redis", "peer", 5.0),
    ):
        if one in of and other in of:
            yield Ratio(f"{name}, requests/s", speed_ratio(of[one], of[other]), target, at_least=True)
            yield Ratio(f"{name}, requests per CPU second", cost_ratio(of[one], of[other]), target, at_least=True)
    if "memory" in of and "litestar" in of:
        p99 = of["memory"].p99_us / of["litestar"].p99_us
        yield Ratio("memory hit / empty Litestar handler, p99", p99, 1.0, at_least=False)
