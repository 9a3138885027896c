"""Coroutines that begin without a task, as the gateway begins those of its callers."""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def begin(work: Coroutine[Any, Any, T]) -> T | asyncio.Task[T]:
    """Run it where there is no task, and return its result, or the task that it becomes when it first waits."""
    loop = asyncio.get_running_loop()
    begun: asyncio.Future[T | asyncio.Task[T]] = loop.create_future()

    def run() -> None:
        assert asyncio.current_task() is None
        try:
            waits_for = work.send(None)
        except StopIteration as end:
            begun.set_result(end.value)
        else:
            begun.set_result(loop.create_task(_task(work, waits_for)))

    loop.call_soon(run)
    return await begun


async def _task(work: Coroutine[Any, Any, T], waits_for: object) -> T:
    return await _go_on(work, waits_for)


@coroutine
def _go_on(work: Coroutine[Any, Any, T], waits_for: object) -> Generator[object, Any, T]:
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation above all: it is for `work` to end
                waits_for = work.throw(error)
            else:
                waits_for = work.send(sent)
    except StopIteration as end:
        result: T = end.value
        return result
