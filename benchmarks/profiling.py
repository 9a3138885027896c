"""Where the time goes under load: a sampling profile of a real gateway, taken from outside."""

import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.laboratory import Laboratory, peer_python
from benchmarks.modes import measure_once, open_memory_hit, open_redis_hit
from benchmarks.processes import BenchmarkError

_SAMPLES_A_SECOND: Final = 500
_SHOWN: Final = 60
_SLACK_SECONDS: Final = 1.0
_ABOVE: Final = ("(click/", "(asyncio/runners", "(uvloop/__init__", "<module>", "(service/cli/", "(threading.py")
"""Everything runs below these."""


def profile(mode: str, *, seconds: float) -> str:
    """Return a table of functions, those first that cost the most with all that they call.

    Only what runs counts (`--gil`); the CPU time of each thread stands below, waiting for the interpreter included.
    """
    with Laboratory() as laboratory, tempfile.TemporaryDirectory() as directory:
        measured = {"memory": open_memory_hit, "redis": open_redis_hit}[mode](laboratory)
        measure_once(measured, seconds=1)
        before = measured.target.server.cpu_seconds_of_threads()
        stacks = Path(directory) / "stacks"
        py_spy = peer_python().with_name("py-spy")
        command: list[str | Path] = [
            py_spy, "record", "--pid", str(measured.target.server.pid), "--format", "raw", "--output", stacks,
            "--gil", "--rate", str(_SAMPLES_A_SECOND), "--duration", str(round(seconds)),
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as recording:
            measure_once(measured, seconds=seconds + _SLACK_SECONDS)
            said = recording.communicate()[0]
        if recording.returncode or not stacks.exists():
            raise BenchmarkError(f"py-spy failed (it needs to be root, or kernel.yama.ptrace_scope=0): {said}")
        after = measured.target.server.cpu_seconds_of_threads()
        spent = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
        rows = [f"{seconds:>7.2f} s  thread {name}" for name, seconds in spent.items() if seconds > 0]
        return "\n".join([_table(stacks.read_text(encoding="utf-8")), *rows])


def _table(stacks: str) -> str:
    """Read "outer;inner;innermost count" lines."""
    own: Counter[str] = Counter()
    in_all: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        path, _, count = line.rpartition(" ")
        frames = [_function(frame) for frame in path.split(";")]
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            in_all[frame] += int(count)
    shown = [(name, count) for name, count in in_all.most_common() if not any(part in name for part in _ABOVE)]
    rows = [f"{total} samples", f"{'in all':>7} {'itself':>7}"]
    rows += [f"{count / total:>7.1%} {own[name] / total:>7.1%}  {name}" for name, count in shown[:_SHOWN]]
    return "\n".join(rows)


def _function(frame: str) -> str:
    """Return the function and its file, without the line."""
    return frame.rpartition(":")[0] + ")" if ":" in frame else frame
