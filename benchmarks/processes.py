"""Processes under test: started on a core of their own, waited for, measured from outside, stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

_READY_SECONDS: Final = 30.0
_LOOK_AGAIN_SECONDS: Final = 0.002
_STOP_SECONDS: Final = 15.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_UTIME: Final = 11
"""The first of the two fields of /proc/<pid>/stat that count CPU time, behind the name in parentheses (proc(5))."""

CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORE: Final = CORES[:1]
LOAD_CORE: Final = CORES[1:2] or CORES[:1]
"""Redis and the stand-in for the store stay on this one too: the server's own core is the server's alone."""


class BenchmarkError(Exception):
    """A measurement did not measure what it says; the text is a whole line for a person."""


def on_cores(cores: Sequence[int], command: Sequence[str | Path]) -> list[str]:
    """Return the command that runs only on these cores."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *map(str, command)]


class ServerProcess:
    """`with ServerProcess(…) as server`: started, and answering `ready_url`, until the block ends.

    What it prints goes nowhere, as its complaints go to `complaints`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        ready_url: str,
        complaints: Path,
        cores: Sequence[int] = SERVER_CORE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = on_cores(cores, command)
        self._ready_url = ready_url
        self._complaints = complaints
        self._environment = clean_environment() | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.start_seconds = 0.0
        self.start_cpu_seconds = 0.0

    def __enter__(self) -> Self:
        started = time.monotonic()
        with self._complaints.open("ab") as complaints:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.DEVNULL, stderr=complaints, env=self._environment
            )
        try:
            self._wait_until_ready(started + _READY_SECONDS)
        except BaseException:
            self._stop()
            raise
        self.start_seconds = time.monotonic() - started
        self.start_cpu_seconds = self.cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            raise AssertionError("not started")
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Return how much CPU time it has used, all threads together."""
        return _cpu_seconds(Path(f"/proc/{self.pid}/stat"))[1]

    def cpu_seconds_of_threads(self) -> dict[str, float]:
        """Return how much CPU time each of its threads has used."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        named = {task.name: _cpu_seconds(task / "stat") for task in tasks}
        return {f"{number} {name}": seconds for number, (name, seconds) in named.items()}

    def resident_mebibytes(self) -> float:
        """Return how much memory it has."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def _wait_until_ready(self, give_up_at: float) -> None:
        while not _answers(self._ready_url):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > give_up_at:
                raise BenchmarkError(f"{self._command[3:]} did not start: {self._complaints.read_text()}")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _cpu_seconds(stat: Path) -> tuple[str, float]:
    """Return the name and the CPU time of a process or thread."""
    name, _, rest = stat.read_text(encoding="utf-8").rpartition(")")
    fields = rest.split()
    return name.partition("(")[2], sum(int(field) for field in fields[_UTIME : _UTIME + 2]) / _TICKS


def clean_environment() -> dict[str, str]:
    """Return the environment without settings that would change what is measured.

    Bytecode may be kept, as it comes with what is deployed: a start that compiles what it imports takes twice as long.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OWNERSHIP_GATEWAY_") and name != "PYTHONDONTWRITEBYTECODE"
    }


def _answers(url: str) -> bool:
    where = urlsplit(url)
    # Not httpx: making its client takes longer than what is timed here.
    connection = HTTPConnection(where.netloc, timeout=1)
    try:
        connection.request("GET", where.path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
