"""Time of the answer to those who have a code mailed: buyers beside strangers, who must not be told apart by it.

A gateway with its sandbox, which keeps the mails: what differs between two addresses could only be its own doing.
Each address is asked for once, buyers and strangers in random order on one connection; the sandbox's clock moves on
where the caller's mails of a minute are used up.
"""

import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import httpx
from msgspec import Struct

from benchmarks.laboratory import gateway_command
from benchmarks.processes import BenchmarkError, ServerProcess
from service.sandbox.seed import GAME_ID
from tests.redis_server import free_port

TARGET: Final = 0.05
_CONFIGURATION: Final = f"[games.benchmark]\nid = {GAME_ID}\n[mail]\nper_minute = 1000\n"
_A_MINUTE: Final = 900
"""Codes, of the 1000 that a caller may have mailed."""


class AnswerTimes(Struct, frozen=True):
    """Median milliseconds of an answer, and the lengths of all bodies in bytes."""

    addresses: int
    buyer_ms: float
    stranger_ms: float
    lengths: list[int]

    @property
    def difference(self) -> float:
        """The difference of both, as a part of the smaller one."""
        return abs(self.buyer_ms - self.stranger_ms) / min(self.buyer_ms, self.stranger_ms)


def measure(*, addresses: int) -> AnswerTimes:
    """Have codes mailed to so many buyers and as many strangers."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        (directory / "gateway.toml").write_text(_CONFIGURATION, encoding="utf-8")
        url = f"http://127.0.0.1:{free_port()}"
        settings = {"CONFIG": str(directory / "gateway.toml"), "PORT": url.rpartition(":")[2]}
        command: list[str | Path] = [gateway_command(), "serve", "--sandbox"]
        environment = {f"OWNERSHIP_GATEWAY_{name}": value for name, value in settings.items()}
        server = ServerProcess(
            command, ready_url=f"{url}/readyz", complaints=directory / "complaints", environment=environment
        )
        stack.enter_context(server)
        http = stack.enter_context(httpx.Client(base_url=url, trust_env=False))
        return _ask_all(http, addresses)


def _ask_all(http: httpx.Client, addresses: int) -> AnswerTimes:
    order = [(kind, number) for kind in ("buyer", "other") for number in range(addresses)]
    for kind, number in order[:addresses]:
        bought = {"game_id": GAME_ID, "email": _address(kind, number)}
        http.post("/sandbox/purchases", json=bought).raise_for_status()
    random.shuffle(order)
    seconds: dict[str, list[float]] = {"buyer": [], "other": []}
    lengths = set[int]()
    for asked, (kind, number) in enumerate(order):
        if asked % _A_MINUTE == 0:
            http.post("/sandbox/clock", json={"advance_seconds": 60}).raise_for_status()
        started = time.perf_counter()
        answer = http.post("/email-challenges", json={"game": GAME_ID, "email": _address(kind, number)})
        seconds[kind].append(time.perf_counter() - started)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise BenchmarkError(f"no code was mailed: {answer.text[:300]}")
        lengths.add(len(answer.content))
    buyer, stranger = (median(seconds[kind]) * 1000 for kind in ("buyer", "other"))
    return AnswerTimes(addresses, buyer, stranger, sorted(lengths))


def _address(kind: str, number: int) -> str:
    return f"{kind}{number:05}@example.com"


def table(found: AnswerTimes) -> str:
    """Return the figures as lines of text."""
    return (
        f"{found.addresses} buyers {found.buyer_ms:.3f} ms, as many strangers {found.stranger_ms:.3f} ms: "
        f"difference of medians {found.difference:.1%}, at most {TARGET:.0%}; bodies of {found.lengths} bytes"
    )
