"""The number of calls that something takes: a cost that is the same on every machine."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Count the calls of functions in the block, but for those of the garbage collector."""
    calls = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    gc.disable()
    sys.setprofile(note)
    try:
        yield lambda: calls
    finally:
        sys.setprofile(None)
        gc.enable()
