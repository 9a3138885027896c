"""Tasks that go on when their caller has gone; a closing gateway lets them end."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Final, TypeVar

T = TypeVar("T")

CLOSING: Final = timedelta(seconds=1)


class BackgroundTasks:
    """Tasks under way. `close` lets them end, for a second at most."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, body: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task, which must not raise; return it for a caller that waits for it after all."""
        task = asyncio.get_running_loop().create_task(body)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Let the tasks end; cancel those that take longer than `CLOSING`."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=CLOSING.total_seconds())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
