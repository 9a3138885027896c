"""A thread that writes log lines, so that no caller waits for the reader of the log."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from queue import Empty, SimpleQueue
from select import select
from threading import RLock, Thread
from typing import Final, Protocol, TextIO, TypeAlias

CAPACITY: Final = 10_000
"""Lines that may wait: at 1 000 questions a second, a reader may be away for 10 s."""

LINGER: Final = timedelta(milliseconds=20)
"""The time that a line waits for others: waking the thread for each took half of the time of a cached question."""

MANY: Final = 1_000
"""The number of lines at which they are written without waiting for more."""

TIMEOUT: Final = timedelta(seconds=2)
"""The time that closing waits for a reader that does not read."""

_BATCH: Final = 256
_NEWLINE: Final = ord("\n")


Line: TypeAlias = bytes | Callable[[], bytes]
"""A whole line, or what makes one, which any thread may call; if it raises, the line is lost, and counted."""


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


def unbuffered(stream: TextIO | None) -> ByteStream:
    """Return a way past the buffer of a standard stream; to nowhere where it is closed or was never open."""
    try:
        if stream is not None:
            stream.flush()
            return open(stream.fileno(), "wb", buffering=0, closefd=False)
    except (OSError, ValueError):
        pass
    return open(os.open(os.devnull, os.O_WRONLY), "wb", buffering=0, closefd=False)


class LineWriter:
    """Hands lines to a thread that writes them; a line that finds `capacity` others waiting is dropped and counted.

    A line may also be a function that makes it, which that thread then calls. A line waits for others, `linger` at
    most, so that they are written together. After lines were dropped, `notice` makes a line with their number.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        notice: Callable[[int], bytes],
        capacity: int = CAPACITY,
        timeout: timedelta = TIMEOUT,
        linger: timedelta = LINGER,
    ) -> None:
        self._stream = stream
        self._notice = notice
        self._capacity = capacity
        self._timeout = timeout
        self._linger = linger
        self._waiting: deque[Line] = deque()
        # SimpleQueue: its put never waits and may be called again from a signal handler that interrupted it.
        self._alarm: SimpleQueue[None] = SimpleQueue()
        self._alarmed = False
        self._dropped = 0
        self._reported = 0
        self._lock = RLock()
        self._mid_line = False
        self._closed = False
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """The number of lines dropped so far."""
        return self._dropped

    def write(self, line: Line) -> None:
        """Have the line written, newline included. Never waits, never raises."""
        waiting = len(self._waiting)
        if self._closed or waiting >= self._capacity:
            self._drop(1)
            return
        self._waiting.append(line)
        if not self._alarmed or waiting == MANY:
            self._alarmed = True
            self._alarm.put(None)

    def close(self) -> None:
        """Write the waiting lines, as far as the reader lets us within `timeout`; later lines are dropped."""
        if self._closed:
            return
        self._closed = True
        self._alarm.put(None)
        self._thread.join(self._timeout.total_seconds())

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._await_lines()
            healthy = True
            while self._waiting:
                healthy = self._send(self._next_lines())
            if healthy:
                self._report_dropped()

    def _await_lines(self) -> bool:
        """Wait for a line, and a moment longer for others unless there are many; return whether the end has come."""
        self._alarm.get()
        if not self._closed:
            with suppress(Empty):
                self._alarm.get(timeout=self._linger.total_seconds())
        # Before the lines are taken: adding one after that raises the alarm again.
        self._alarmed = False
        return self._closed

    def _next_lines(self) -> list[bytes]:
        # Many are made one after the other: that takes a third of what each takes between two steps of a question.
        return [self._made(self._waiting.popleft()) for _ in range(min(len(self._waiting), _BATCH))]

    def _made(self, line: Line) -> bytes:
        if isinstance(line, bytes):
            return line
        try:
            return line()
        except Exception:  # noqa: BLE001 - a bug in one line must not be the end of all others
            self._drop(1)
            return b""

    def _report_dropped(self) -> None:
        dropped = self._dropped
        if dropped > self._reported and self._send([self._notice(dropped - self._reported)], count=False):
            self._reported = dropped

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
