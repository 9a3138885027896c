"""Reading the file again with 100 000 banned ids and 5 000 callers: CPU time, and how long the event loop stands still.

One process, no sockets, as in `calls`, with uvloop and the collector as `serve` has them. Meanwhile a task wakes every
millisecond, notes how long it was kept from waking, and asks a question now and then, to see when the new file holds.
What counts is what this process computed meanwhile: on a busy machine it is also kept waiting by other processes.
"""

import asyncio
import hashlib
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

import uvloop
from msgspec import Struct, json

from benchmarks.calls import Ask, open_in_process
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError
from service.server import spare_the_collector
from service.settings import SettingsReader

IDS: Final = 100_000
CALLERS: Final = 5_000
MOST_CPU_SECONDS: Final = 1.0
MOST_GAP_MS: Final = 50.0
_FIRST_ID: Final = 10_000_000
_STEP: Final = 7
_WAKE_SECONDS: Final = 0.001
_ASK_EVERY: Final = 20
_LONGEST_SECONDS: Final = 60.0


class Reload(Struct, frozen=True):
    """One reload: its CPU time and wall-clock time, and its longest standstill in each; also that without a reload."""

    cpu_seconds: float
    seconds: float
    longest_gap: "Gap"
    control_gap: "Gap"


class Gap(Struct, frozen=True):
    """The longest time between two turns of the event loop, in CPU time of this process and on the clock."""

    cpu_ms: float
    wall_ms: float


def measure_reloads(*, rounds: int) -> tuple[Reload, ...]:
    """Reload so often, each time with other ids and other rates of all callers."""
    return uvloop.run(_measure(rounds))


def table(reloads: tuple[Reload, ...]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'CPU s':>7} {'wall s':>7} {'gap: CPU ms':>12} {'wall ms':>8} {'without: CPU ms':>16} {'wall ms':>8}"]
    lines += [
        f"{one.cpu_seconds:>7.2f} {one.seconds:>7.2f} {one.longest_gap.cpu_ms:>12.1f} {one.longest_gap.wall_ms:>8.1f}"
        f" {one.control_gap.cpu_ms:>16.1f} {one.control_gap.wall_ms:>8.1f}"
        for one in reloads
    ]
    of = {
        "read in, s of CPU": (median(one.cpu_seconds for one in reloads), MOST_CPU_SECONDS),
        "stood still, ms of CPU": (median(one.longest_gap.cpu_ms for one in reloads), MOST_GAP_MS),
        "stood still, ms on the clock": (median(one.longest_gap.wall_ms for one in reloads), MOST_GAP_MS),
    }
    lines.append(f"{IDS:,} ids, {CALLERS:,} callers; medians of {len(reloads)}:")
    lines += [
        f"{what:<29} {value:>6.2f}, at most {most:.0f}: {'met' if value <= most else 'MISSED'}"
        for what, (value, most) in of.items()
    ]
    control = median(one.control_gap.wall_ms for one in reloads)
    lines.append(f"on the clock the same loop stood still for {control:.1f} ms without a reload: that is the machine's")
    return "\n".join(lines)


async def _measure(rounds: int) -> tuple[Reload, ...]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "gateway.toml"
        file.write_text(_file(0), encoding="utf-8")
        reader = SettingsReader({}, config_file=file)
        async with open_in_process(reader.read(), reader=reader) as (gateway, ask):
            spare_the_collector()
            await _banned(ask, 0)
            reloads = []
            for version in range(1, rounds + 1):
                text = _file(version)
                beside = file.with_suffix(".new")
                beside.write_text(text, encoding="utf-8")
                beside.rename(file)
                began, cpu = time.monotonic(), time.process_time()
                gateway.reload()
                gap = await _longest_gap(ask, version)
                seconds, cpu = time.monotonic() - began, time.process_time() - cpu
                control = await _longest_gap(ask, version, seconds=seconds)
                reloads.append(Reload(cpu, seconds, gap, control))
        return tuple(reloads)


async def _longest_gap(ask: Ask, version: int, *, seconds: float = 0.0) -> Gap:
    """Return the longest time between two turns of the event loop until that version holds, and so long at least."""
    began = before = time.monotonic()
    cpu_before = time.process_time()
    cpu_longest, longest, turns = 0.0, 0.0, 0
    while True:
        await asyncio.sleep(_WAKE_SECONDS)
        now, cpu = time.monotonic(), time.process_time()
        longest = max(longest, now - before - _WAKE_SECONDS)
        cpu_longest = max(cpu_longest, cpu - cpu_before)
        before, cpu_before = now, cpu
        turns += 1
        if turns % _ASK_EVERY == 0 and now - began >= seconds and await _banned(ask, version):
            return Gap(cpu_longest * 1000, longest * 1000)
        if now - began > _LONGEST_SECONDS:
            raise BenchmarkError("the new file never held")


async def _banned(ask: Ask, version: int) -> bool:
    """Whether the first user of that version, and of no earlier one, is banned."""
    body = json.encode({"game": "benchmark", "user_id": _FIRST_ID + version})
    head = (
        "POST /verify/user HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return b'"outcome":"banned"' in await ask(head.encode() + body)


def _file(version: int) -> str:
    ids = ", ".join(str(_FIRST_ID + version + number * _STEP) for number in range(IDS))
    game = f"sandbox = true\n\n[games.benchmark]\nid = 3\nban_user_ids = [{ids}]\n"
    return (
        game
        + _caller("benchmark", TOKEN, 0)
        + "".join(_caller(f"caller-{number}", f"ogw_{number}", version) for number in range(CALLERS - 1))
    )


def _caller(name: str, token: str, version: int) -> str:
    return f"""
[[callers]]
name = "{name}"
token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"
games = ["benchmark"]
rights = ["verify", "assert:user"]
rate = {100 + version}
"""
