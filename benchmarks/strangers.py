"""CPU time of refusing a stranger, by how many callers are configured: it must not tell, nor grow with, their number.

One process, no sockets, as in `calls`: each request goes through the gateway, with a token that no caller has.
"""

import asyncio
import hashlib
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from benchmarks.calls import Ask, open_in_process
from benchmarks.processes import BenchmarkError
from service.settings import load_settings

CALLERS: Final = (1, 5_000, 20_000)
MOST_RATIO: Final = 1.5
_ROUNDS: Final = 31
_REFUSALS: Final = 100
_GAME: Final = "sandbox = true\n\n[games.benchmark]\nid = 3\n"


class Stranger(Struct, frozen=True):
    """One gateway: how many callers it has, what refusing a stranger takes, and what reading its settings took."""

    callers: int
    microseconds: float
    settings_seconds: float


def measure_strangers() -> tuple[Stranger, ...]:
    """Refuse strangers at gateways with ever more callers."""
    return tuple(asyncio.run(_measure(callers)) for callers in CALLERS)


def table(strangers: tuple[Stranger, ...]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'callers':>7} {'CPU µs':>8} {'settings s':>11}"]
    lines += [f"{one.callers:>7,} {one.microseconds:>8.1f} {one.settings_seconds:>11.2f}" for one in strangers]
    first, *_, last = strangers
    lines.append(
        f"{last.callers:,} / {first.callers}: {last.microseconds / first.microseconds:.2f}, at most {MOST_RATIO}"
    )
    return "\n".join(lines)


async def _measure(callers: int) -> Stranger:
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "gateway.toml"
        configuration.write_text(_GAME + "".join(map(_caller, range(callers))), encoding="utf-8")
        before = time.thread_time()
        settings = load_settings({}, config_file=configuration)
        settings_seconds = time.thread_time() - before
    async with open_in_process(settings) as (_, ask):
        rounds = [await _refuse(ask) for _ in range(_ROUNDS)]
    return Stranger(
        callers=callers, microseconds=median(rounds) / _REFUSALS * 1_000_000, settings_seconds=settings_seconds
    )


def _caller(number: int) -> str:
    digest = hashlib.sha256(b"%d" % number).hexdigest()
    return (
        f'\n[[callers]]\nname = "caller-{number}"\ntoken_sha256 = "{digest}"\n'
        'games = ["benchmark"]\nrights = ["verify"]\n'
    )


async def _refuse(ask: Ask) -> float:
    before = time.thread_time()
    for number in range(_REFUSALS):
        answer = await ask(_request(number))
        if not answer.startswith(b"HTTP/1.1 401 "):
            raise BenchmarkError(f"no refusal: {answer[:200]!r}")
    return time.thread_time() - before


def _request(number: int) -> bytes:
    return (
        b"POST /verify/user HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer stranger-%d\r\nContent-Length: 23\r\n\r\n" % number
    ) + b'{"game":3,"user_id":42}'
