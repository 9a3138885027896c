"""Writing lines without waiting."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest

from service.observability.line_writer import MANY, LineWriter, unbuffered

IMPATIENT = timedelta(milliseconds=20)


def notice(count: int) -> bytes:
    """Say how many lines were dropped."""
    return f"dropped {count}\n".encode()


class Scripted:
    """A stream that does what the script says, one step a write, then takes everything."""

    def __init__(self, *script: Callable[[memoryview], int | None]) -> None:
        self.written = b""
        self._script = list(script)

    def write(self, data: memoryview) -> int | None:
        """Do the next step."""
        if self._script:
            return self._script.pop(0)(data)
        return self.take(data, len(data))

    def take(self, data: memoryview, count: int) -> int:
        """Take so many bytes."""
        self.written += data[:count]
        return count

    def fileno(self) -> int:
        """Fail: there is no descriptor."""
        raise AssertionError("nobody needs to wait")

    def isatty(self) -> bool:
        """Be no terminal."""
        return False


def no_space(_: memoryview) -> int:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_lines_arrive_in_order() -> None:
    """Closing writes what is waiting."""
    stream = Scripted()
    writer = LineWriter(stream, notice=notice)

    for number in range(1_000):
        writer.write(b"%d\n" % number)
    writer.close()

    assert stream.written.split() == [b"%d" % number for number in range(1_000)]


def test_half_written_lines_are_completed() -> None:
    """A pipe may take less than it is offered."""
    stream = Scripted(lambda data: stream.take(data, 3))
    writer = LineWriter(stream, notice=notice)

    writer.write(b"abcdef\n")
    writer.close()

    assert stream.written == b"abcdef\n"


def test_a_full_queue_drops_and_counts() -> None:
    """While the stream is stuck callers go on; the number of dropped lines is written once it moves again."""
    stuck, release = Event(), Event()

    def hold(data: memoryview) -> int:
        stuck.set()
        release.wait()
        return stream.take(data, len(data))

    stream = Scripted(hold)
    writer = LineWriter(stream, notice=notice, capacity=2)

    writer.write(b"first\n")
    stuck.wait()
    for line in [b"second\n", b"third\n", b"lost\n", b"lost\n"]:
        writer.write(line)
    release.set()
    writer.close()

    assert writer.dropped == 2
    assert stream.written.startswith(b"first\n")
    assert stream.written.count(b"dropped 2\n") == 1
    assert b"second\nthird\n" in stream.written
    assert b"lost" not in stream.written


def test_a_pipe_that_nobody_reads_holds_nobody_up() -> None:
    """A full pipe delays neither log calls nor the shutdown."""
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb", buffering=0) as stream:  # noqa: PTH123 - these are descriptors
        writer = LineWriter(stream, notice=notice, timeout=IMPATIENT)

        for _ in range(12_000):
            writer.write(b"x" * 200 + b"\n")
        writer.close()

        assert writer.dropped > 0
        os.set_blocking(reading, False)
        # Lets the stuck thread end with the test.
        while writer._thread.is_alive():
            try:
                os.read(reading, 1 << 20)
            except BlockingIOError:
                writer._thread.join(0.001)


class Hesitant(Scripted):
    """A stream that cannot take anything at first, but says where to wait until it can."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(lambda _data: None)
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return what is ready when the stream is."""
        return self._descriptor


def test_a_stream_that_takes_nothing_yet_is_waited_for() -> None:
    """Every line is written once the stream takes data again."""
    reading, writing = os.pipe()
    try:
        stream = Hesitant(writing)
        writer = LineWriter(stream, notice=notice)
        writer.write(b"a line\n")
        writer.close()
    finally:
        os.close(reading)
        os.close(writing)

    assert stream.written == b"a line\n"


def test_a_non_blocking_pipe_is_waited_for() -> None:
    """A process that shares our stdout may have made it non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received = bytearray()

    with open(reading, "rb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
        with open(writing, "wb", buffering=0) as stream:  # noqa: PTH123 - a descriptor
            writer = LineWriter(stream, notice=notice)
            for _ in range(2_000):
                writer.write(b"x" * 199 + b"\n")
            reader = Thread(target=lambda: received.extend(pipe.readall()))
            reader.start()
            writer.close()
        reader.join()

    assert writer.dropped == 0
    assert len(received) == 2_000 * 200


def test_a_full_disk_is_counted_and_told() -> None:
    """Lines that could not be written are lost, and their number is in the next line."""
    failed = Event()

    def fail(data: memoryview) -> int:
        failed.set()
        return no_space(data)

    stream = Scripted(fail)
    writer = LineWriter(stream, notice=notice)

    writer.write(b"lost\n")
    failed.wait()
    writer.write(b"kept\n")
    writer.close()

    assert writer.dropped == 1
    assert stream.written in {b"kept\ndropped 1\n", b"dropped 1\nkept\n"}


def test_half_a_line_is_not_glued_to_the_next() -> None:
    """After a failure in the middle of a line the next line begins on a line of its own."""
    failed = Event()

    def fail(data: memoryview) -> int:
        failed.set()
        return no_space(data)

    stream = Scripted(lambda data: stream.take(data, 3), fail)
    writer = LineWriter(stream, notice=notice)

    writer.write(b"abcdef\n")
    failed.wait()
    writer.write(b"next\n")
    writer.close()

    assert b"abc\nnext\n" in stream.written


def test_the_notice_is_kept_until_it_can_be_written() -> None:
    """A notice that fails is not a lost line, and comes later."""
    failed = Event()

    def fail(data: memoryview) -> int:
        failed.set()
        return no_space(data)

    stream = Scripted(no_space, lambda data: stream.take(data, len(data)), fail)
    writer = LineWriter(stream, notice=notice)

    writer.write(b"lost\n")
    while not writer.dropped:
        os.sched_yield()
    writer.write(b"kept\n")
    failed.wait()
    writer.close()

    assert writer.dropped == 1
    assert stream.written == b"kept\ndropped 1\n"


def test_many_lines_are_written_at_once() -> None:
    """A burst costs a few system calls, not one a line."""
    stuck, release = Event(), Event()
    sizes = []

    def hold(data: memoryview) -> int:
        stuck.set()
        release.wait()
        return stream.take(data, len(data))

    def measure(data: memoryview) -> int:
        sizes.append(len(data))
        return stream.take(data, len(data))

    stream = Scripted(hold, measure, measure)
    writer = LineWriter(stream, notice=notice)

    writer.write(b"first\n")
    stuck.wait()
    for _ in range(300):
        writer.write(b"0\n")
    release.set()
    writer.close()

    assert sizes == [512, 88]


def test_lines_of_one_moment_are_written_at_once() -> None:
    """The first line waits a little for others, so that a busy gateway does not wake the thread for each."""
    sizes = []

    def measure(data: memoryview) -> int:
        sizes.append(len(data))
        return stream.take(data, len(data))

    stream = Scripted(measure, measure)
    writer = LineWriter(stream, notice=notice, linger=timedelta(days=1))

    for _ in range(100):
        writer.write(b"0\n")
    writer.close()

    assert sizes == [200]


def test_many_lines_do_not_wait_for_more() -> None:
    """Waiting saves nothing any more, and the queue has an end."""
    written = Event()

    def take(data: memoryview) -> int:
        written.set()
        return stream.take(data, len(data))

    stream = Scripted(take)
    writer = LineWriter(stream, notice=notice, linger=timedelta(days=1))

    for _ in range(MANY + 1):
        writer.write(b"0\n")

    assert written.wait(timeout=60)
    writer.close()


def test_a_line_is_written_without_another_one() -> None:
    """A quiet gateway's lines come out, too."""
    written = Event()

    def take(data: memoryview) -> int:
        written.set()
        return stream.take(data, len(data))

    stream = Scripted(take)
    writer = LineWriter(stream, notice=notice)

    writer.write(b"0\n")

    assert written.wait(timeout=60)
    writer.close()


def test_lines_after_closing_are_dropped() -> None:
    """Closing is the end, however often it is asked for."""
    stream = Scripted()
    writer = LineWriter(stream, notice=notice)

    writer.close()
    writer.close()
    writer.write(b"late\n")

    assert writer.dropped == 1
    assert stream.written == b""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)"])
def test_a_process_ends_although_nobody_reads(end: str) -> None:
    """Python does not abort at exit because a thread is stuck in writing to stdout."""
    program = f"""
import sys
from datetime import timedelta
from service.observability.line_writer import LineWriter, unbuffered
writer = LineWriter(unbuffered(sys.stdout), notice=lambda count: b"", timeout=timedelta(milliseconds=20))
for _ in range(2000):
    writer.write(b"x" * 200 + b"\\n")
writer.close()
{end}
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        code = process.wait()

        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert code == (3 if end else 0)


def test_a_standard_stream_is_bypassed_not_closed(tmp_path: Path) -> None:
    """Text that was printed before stays before, and the stream can still be used."""
    path = tmp_path / "out"
    with path.open("w") as printed:
        printed.write("printed\n")
        writer = LineWriter(unbuffered(printed), notice=notice)

        writer.write(b"logged\n")
        writer.close()
        printed.write("printed again\n")

    assert path.read_text() == "printed\nlogged\nprinted again\n"


def test_line_whose_making_fails_is_the_only_one_lost() -> None:
    """The line is counted as dropped; a bug in one line is not the end of all others."""

    def broken() -> bytes:
        raise RuntimeError("a bug of a test")

    stream = Scripted()
    writer = LineWriter(stream, notice=notice)
    for line in (b"a\n", broken, lambda: b"b\n"):
        writer.write(line)
    writer.close()

    assert stream.written == b"a\nb\ndropped 1\n"
    assert writer.dropped == 1


def test_a_standard_stream_that_is_not_there_swallows_what_is_written(tmp_path: Path) -> None:
    """Python has none where the descriptor was closed before the start; a closed one is as good as none."""
    closed = (tmp_path / "closed").open("w", encoding="utf-8")
    closed.close()

    for stream in (None, closed):
        nowhere = unbuffered(stream)
        assert (nowhere.write(memoryview(b"a line\n")), nowhere.isatty()) == (7, False)
