"""Coroutines that begin without a task, as the gateway begins those of its callers."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from service.eager import start

T = TypeVar("T")


async def begin(work: Coroutine[Any, Any, T]) -> T | asyncio.Task[T]:
    """Run it where there is no task, and return its result, or the task that it becomes when it first waits."""
    loop = asyncio.get_running_loop()
    begun: asyncio.Future[T | asyncio.Task[T]] = loop.create_future()

    def run() -> None:
        assert asyncio.current_task() is None
        begun.set_result(start(work, loop))

    loop.call_soon(run)
    return await begun
