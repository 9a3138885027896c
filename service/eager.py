"""Coroutines that begin at once: one that ends without waiting costs no task.

`asyncio` has eager tasks from Python 3.12 on; this module goes when 3.11 does. Until it waits for the first time, such
a coroutine has no current task: time limits (`asyncio.timeout`) are set after that.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def start(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T | asyncio.Task[T]:
    """Run until it ends, and return its result, or until it waits, and return the task that goes on from there."""
    try:
        waits_for = work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    return loop.create_task(_task(work, waits_for))


async def _task(work: Coroutine[Any, Any, T], waits_for: object) -> T:
    return await _go_on(work, waits_for)  # from Python 3.12 on tasks take no generator-based coroutine


@coroutine
def _go_on(work: Coroutine[Any, Any, T], waits_for: object) -> Generator[object, Any, T]:
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation, too, is for `work` to handle
                waits_for = work.throw(error)
            else:
                waits_for = work.send(sent)
    except StopIteration as end:
        result: T = end.value
        return result
