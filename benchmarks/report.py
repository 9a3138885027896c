"""What was measured, as a table, as ratios against their targets, as JSON and as a plot."""

import os
import platform
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.calls import CALLS_AIM, CALLS_TARGET, FILES_TARGET, Count
from benchmarks.load import ENOUGH_OF_ITS_CORE
from benchmarks.modes import BATCH, Measured, Summary, by_name, cost_ratio, speed_ratio
from benchmarks.plot import bars

FIRST_QUESTION_TARGET: Final = 1.2
"""A first question from memory against the framework's own empty handler, on the honest load, in CPU time."""


class Ratio(Struct, frozen=True):
    """One figure against another from the same run; this is what holds on other machines, too."""

    name: str
    value: float
    target: float | None = None
    """None where the figure only stands beside the others."""
    aim: float | None = None
    """What it should be, where the target is what it must be."""
    at_least: bool = True
    digits: int = 2

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target

    def __str__(self) -> str:
        """Return one line."""
        line = f"{self.name:<68} {self.value:>6.{self.digits}f}"
        if self.target is None:
            return line
        bound = "at least" if self.at_least else "at most"
        aim = "" if self.aim is None else f", aim {self.aim:.{self.digits}f}"
        return f"{line}   {f'{bound} {self.target:.{self.digits}f}{aim}':<24} {'met' if self.met else 'MISSED'}"


class Report(Struct, frozen=True):
    """Everything that a run found out."""

    machine: str
    python: str
    python_built_with: str
    cores: int
    rounds: int
    modes: tuple[Summary, ...]
    ratios: tuple[Ratio, ...]
    failures: tuple[str, ...]
    """What could not be measured, and why."""


def make_report(measured: Measured, *, rounds: int, count: Count) -> Report:
    """Return the summaries with what they amount to; `count` is what a first question goes through."""
    return Report(
        machine=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        python_built_with=python_build(),
        cores=len(os.sched_getaffinity(0)),
        rounds=rounds,
        modes=measured.summaries,
        ratios=(*_honest_ratios(measured.summaries), *_count_ratios(count), *_old_ratios(measured.summaries)),
        failures=measured.failures,
    )


def python_build() -> str:
    """Say whether this Python was built to be fast: without, all absolute figures are 15 to 20 % too slow."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised, linked = ("--enable-optimizations" in arguments, "--with-lto" in arguments)
    if optimised and linked:
        return "with profile-guided and link-time optimisation"
    without = " and ".join(name for name, there in (("profile-guided", optimised), ("link-time", linked)) if not there)
    return f"without {without} optimisation: absolute figures are up to a fifth too slow, ratios hold"


def table(summaries: Sequence[Summary]) -> str:
    """Return the figures as lines of text."""
    head = f"{'':<36} {'requests/s':>11} {'answers/s':>10} {'CPU µs':>7} {'core':>5} {'p50 ms':>7} {'p99 ms':>8} "
    head += f"{'RSS MiB':>7} {'failed':>7} {'discarded':>10} {'void':>5}"
    return "\n".join([head, *map(_row, summaries)])


def warning(summaries: Sequence[Summary]) -> str | None:
    """Return what to think of the figures when the servers did not have their core to themselves."""
    void = [f"{one.title} ({one.void} of {len(one.rounds)})" for one in summaries if one.void]
    if not void:
        return None
    return (
        f"Others used this machine meanwhile. Void, because the server never had {ENOUGH_OF_ITS_CORE:.0%} of its core: "
        f"{', '.join(void)}. Of those, requests a second and percentiles say little, not even as ratios, and CPU time "
        "is higher than on a quiet machine: neighbours empty the processor's caches."
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
        f"{one.failed:>7.2%} {one.discarded:>10} {one.void:>5}"
    )


def _honest_ratios(summaries: Sequence[Summary]) -> Iterator[Ratio]:
    """Yield the ratios that have targets: CPU time on the honest load."""
    of = by_name(summaries)
    for name, one, other, target, aim in (
        (
            "first question from memory / empty handler, 64 connections",
            "first-64",
            "litestar-64",
            FIRST_QUESTION_TARGET,
            1.5,
        ),
        ("the same, 8 connections", "first-8", "litestar-8", 1.0, 1.2),
        ("Redis hit / empty handler, 64 connections", "redis-64", "litestar-64", 1.1, 1.3),
        ("the same, 8 connections", "redis-8", "litestar-8", 0.8, 1.0),
        ("repeated question / empty handler, as a first question", "repeated", "litestar-64", 1.2, 1.5),
        ("Redis hit / peer's Redis hit", "redis-64", "peer-honest", 5.0, None),
    ):
        if one in of and other in of:
            yield Ratio(name, cost_ratio(of[one], of[other]), target, aim)
    if "batch-first" in of and "first-64" in of:
        item = 1 / (BATCH * cost_ratio(of["batch-first"], of["first-64"]))
        yield Ratio(f"item of a batch of {BATCH} / first question, CPU time", item, 0.7, at_least=False)
    if "first-64" in of and "litestar-64" in of:
        p99 = of["first-64"].p99_us / of["litestar-64"].p99_us
        yield Ratio("first question from memory / empty handler, p99", p99, 1.0, at_least=False)


def _count_ratios(count: Count) -> Iterator[Ratio]:
    calls, files = "calls of our own functions for it", "files of service/ that it enters"
    yield Ratio(calls, count.calls, CALLS_TARGET, CALLS_AIM, at_least=False, digits=0)
    yield Ratio(files, len(count.files), FILES_TARGET, at_least=False, digits=0)


def _old_ratios(summaries: Sequence[Summary]) -> Iterator[Ratio]:
    """Yield what was compared before there was an honest load: equal heads, and the same thousand players."""
    of = by_name(summaries)
    for name, one, other in (
        ("memory hit / empty Litestar handler", "memory", "litestar"),
        ("Redis hit / empty Litestar handler", "redis", "litestar"),
        ("Redis hit / peer's Redis hit", "redis", "peer"),
    ):
        if one in of and other in of:
            yield Ratio(f"equal heads: {name}, requests/s", speed_ratio(of[one], of[other]))
            yield Ratio(f"equal heads: {name}, CPU time", cost_ratio(of[one], of[other]))
    if "memory" in of and "litestar" in of:
        p99 = of["memory"].p99_us / of["litestar"].p99_us
        yield Ratio("equal heads: memory hit / empty Litestar handler, p99", p99)
