"""Load: wrk in a closed loop on a core of its own, asking about identities as questions.lua says."""

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.identities import GAME
from benchmarks.processes import LOAD_CORE, BenchmarkError, ServerProcess, clean_environment, on_cores

TOKEN: Final = "ogw_benchmark-token-of-nobody-00000000000000000000"  # noqa: S105 - known to gateways under test only
CONNECTIONS: Final = 64
ONLY_IF_CACHED: Final = ',"only_if_cached":true'
MOST_FAILED: Final = 0.02
"""Share of the answers: on a busy machine Redis is sometimes later than a gateway waits for it."""
ENOUGH_OF_ITS_CORE: Final = 0.95
"""Share of its core that a server under full load has when the core is the server's alone."""
_SCRIPT: Final = Path(__file__).with_name("questions.lua")


class Questions(Struct, frozen=True):
    """Which identities are asked about, and in what order: a mode of questions.lua."""

    mode: str
    identities: int
    first: int = 0
    start: int = 0
    """How many have been asked about already; the next one is next."""
    only_if_cached: bool = False
    """A gateway then spends none of its store budget."""
    own_heads: bool = False
    """Whether each request has an `X-Request-ID` and a `traceparent` of its own, as callers and meshes send them."""


class _Heard(Struct, frozen=True):
    requests: int
    microseconds: int
    p50: int
    p99: int
    longest: int
    bad_statuses: int
    broken: int


class Sample(Struct, frozen=True):
    """What one round of load came to. Times in microseconds."""

    requests: int
    failed: int
    requests_per_second: float
    cpu_us: float
    core: float
    """Share of a core that the servers had. Well below one under full load: others used the machine, too."""
    p50_us: float
    p99_us: float
    resident_mebibytes: float
    discarded: int = 0
    """How many tries before this one did not measure what they should have: the figures are of those that did."""


def ask(base_url: str, questions: Questions, *, seconds: float, connections: int, cores: Sequence[int]) -> _Heard:
    """Ask for a while. Raises `BenchmarkError` if connections broke or nothing was answered."""
    arguments = [
        TOKEN,
        questions.mode,
        *map(str, (questions.identities, questions.first, questions.start, GAME.game_id)),
        "own" if questions.own_heads else "equal",
        ONLY_IF_CACHED if questions.only_if_cached else "",
    ]
    command = on_cores(
        cores,
        [
            "wrk", "--threads=1", f"--connections={connections}", f"--duration={max(1, round(seconds))}s",
            "--timeout=5s", f"--script={_SCRIPT}", base_url, "--", *arguments,
        ],
    )  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())
    lines = run.stdout.splitlines()
    if run.returncode or not lines:
        raise BenchmarkError(f"wrk failed: {run.stderr or run.stdout}")
    heard = msgspec.json.decode(lines[-1], type=_Heard)
    if heard.broken or not heard.requests:
        raise BenchmarkError(f"{base_url}: {heard.requests} answers, {heard.broken} connections broke")
    return heard


def warm_up(base_url: str, questions: Questions, *, seconds: float, connections: int = CONNECTIONS) -> int:
    """Ask for a while without measuring, and return how often; what is in no cache stays unknown."""
    cached = replace(questions, only_if_cached=True)
    return ask(base_url, cached, seconds=seconds, connections=connections, cores=LOAD_CORE).requests


def measure(
    server: ServerProcess, base_url: str, questions: Questions, *, seconds: float, connections: int = CONNECTIONS
) -> Sample:
    """Ask one server for a while, and return what that came to."""
    before = server.cpu_seconds()
    heard = ask(base_url, questions, seconds=seconds, connections=connections, cores=LOAD_CORE)
    return _sample([server], [heard], server.cpu_seconds() - before)


def measure_together(
    servers: Sequence[tuple[ServerProcess, str]],
    questions: Questions,
    *,
    seconds: float,
    cores: Sequence[int],
    connections: int = CONNECTIONS,
) -> Sample:
    """Ask several servers at the same time, the connections shared among them; percentiles are the worst server's."""
    heard: list[_Heard] = []
    failures: list[BenchmarkError] = []

    def ask_one(base_url: str, number: int) -> None:
        own = replace(questions, first=questions.first + number * questions.identities)
        try:
            heard.append(
                ask(base_url, own, seconds=seconds, connections=max(1, connections // len(servers)), cores=cores)
            )
        except BenchmarkError as error:
            failures.append(error)

    before = sum(server.cpu_seconds() for server, _ in servers)
    threads = [threading.Thread(target=ask_one, args=(url, number)) for number, (_, url) in enumerate(servers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    processes = [server for server, _ in servers]
    return _sample(processes, heard, sum(server.cpu_seconds() for server in processes) - before)


def _sample(servers: Sequence[ServerProcess], heard: Sequence[_Heard], cpu_seconds: float) -> Sample:
    requests = sum(one.requests for one in heard)
    failed = sum(one.bad_statuses for one in heard)
    if failed > MOST_FAILED * requests:
        raise BenchmarkError(f"of {requests} answers {failed} were no 200")
    return Sample(
        requests=requests,
        failed=failed,
        requests_per_second=sum(one.requests * 1e6 / one.microseconds for one in heard),
        cpu_us=cpu_seconds * 1e6 / requests,
        core=cpu_seconds * 1e6 / max(one.microseconds for one in heard),
        p50_us=max(one.p50 for one in heard),
        p99_us=max(one.p99 for one in heard),
        resident_mebibytes=sum(server.resident_mebibytes() for server in servers),
    )
