"""Log lines leave the process without anybody waiting for it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from queue import Empty, SimpleQueue
from select import select
from threading import RLock, Thread
from typing import Final, Protocol, TextIO

CAPACITY: Final = 10_000
"""Lines that may wait: at 1 000 questions a second, a reader may be away for 10 s."""

PATIENCE: Final = timedelta(seconds=2)
"""How long closing waits for a reader that does not read."""

_BATCH: Final = 256
_NEWLINE: Final = ord("\n")


class ByteStream(Protocol):
    """An unbuffered stream of bytes.

    Unbuffered, because Python aborts at exit when a thread that is stuck in writing holds the buffer of `sys.stdout`.
    """

    def write(self, data: memoryview, /) -> int | None:
        """Write some of the data and return how much; None if a non-blocking stream has no room now."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""

    def isatty(self) -> bool:
        """Whether a person is looking."""


def unbuffered(stream: TextIO) -> ByteStream:
    """Return a way past the buffer of a standard stream."""
    stream.flush()
    return open(stream.fileno(), "wb", buffering=0, closefd=False)


class LineWriter:
    """Hands lines to a thread that writes them; a line that finds `capacity` others waiting is dropped and counted.

    Once lines pass again, `notice` makes the line that says how many were dropped.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        notice: Callable[[int], bytes],
        capacity: int = CAPACITY,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._stream = stream
        self._notice = notice
        self._capacity = capacity
        self._patience = patience
        # SimpleQueue: its put never waits and may be called again from a signal handler that interrupted it.
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        self._dropped = 0
        self._told = 0
        self._lock = RLock()
        self._mid_line = False
        self._closed = False
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were dropped so far."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Have the line written, newline included. Never waits, never raises."""
        if self._closed or self._waiting.qsize() >= self._capacity:
            self._drop(1)
            return
        self._waiting.put(line)

    def close(self) -> None:
        """Write what is waiting, as far as the reader lets us within `patience`; later lines are dropped."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        self._thread.join(self._patience.total_seconds())

    def _run(self) -> None:
        closing = False
        while not closing:
            lines, closing = self._next_lines()
            if not lines or self._send(lines):
                self._tell_dropped()

    def _next_lines(self) -> tuple[list[bytes], bool]:
        """Wait for a line, and take those behind it along; the second part says that it was the last time."""
        lines: list[bytes] = []
        line = self._waiting.get()
        while line is not None:
            lines.append(line)
            if len(lines) == _BATCH:
                return lines, False
            try:
                line = self._waiting.get_nowait()
            except Empty:
                return lines, False
        return lines, True

    def _tell_dropped(self) -> None:
        dropped = self._dropped
        if dropped > self._told and self._send([self._notice(dropped - self._told)], count=False):
            self._told = dropped

    def _send(self, lines: Sequence[bytes], *, count: bool = True) -> bool:
        """Write the lines; False if the stream would not take them all."""
        # After a disk was full in the middle of a line, the next one must not be glued to its first half.
        data = memoryview((b"\n" if self._mid_line else b"") + b"".join(lines))
        try:
            while data:
                written = self._stream.write(data)
                if written is None:
                    select([], [self._stream], [])
                    continue
                self._mid_line = written > 0 and data[written - 1] != _NEWLINE
                data = data[written:]
        except (OSError, ValueError):
            # A full disk, a reader that is gone, a closed stream: there is nowhere to say so but the count.
            if count:
                self._drop(min(len(lines), bytes(data).count(b"\n")))
            return False
        return True

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._dropped += lines
