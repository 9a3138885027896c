"""`python -m service` is `ownership-gateway`."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

TERMINATED = 128 + signal.SIGTERM
"""The exit code that shells report for a process that SIGTERM ended."""


def run() -> None:
    """Run the command line, and end at SIGTERM from the very first moment.

    The first process of a container ignores signals that it has no handler for: without one, a stop that comes before
    `serve` is ready would wait out the whole grace period.
    """
    signal.signal(signal.SIGTERM, _leave)
    if "serve" in sys.argv:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can heed it: the file is about to be read anyway
    _open_standard_streams()
    from service.cli import main  # noqa: PLC0415 - what is imported before the handler stands delays it

    try:
        main()
    finally:
        _drop_what_cannot_be_said()


def _open_standard_streams() -> None:
    """Have the three descriptors of standard input, output and error lead nowhere where they were closed.

    The next socket would get the number of one that is closed, and what is written there would go to a caller.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _drop_what_cannot_be_said() -> None:
    """Have standard error lead nowhere if what waits for it cannot be written.

    Python would try once more at its end, and replace the exit code by 120. A command whose answer cannot be written to
    standard output has failed, and may end so.
    """
    if sys.stderr is None:  # it was closed before Python began
        return
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Not `sys.exit`: a signal may come while Python runs a callback, as it does in every import, and drops what is
    # raised there; the process would then serve on. There is nothing to clean up before `serve` has its own handler.
    os._exit(TERMINATED)


if __name__ == "__main__":
    run()
