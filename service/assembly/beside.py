"""Work that goes on beside the questions, until the gateway closes."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack


async def run_beside(
    stack: AsyncExitStack, work: Coroutine[None, None, None], *, crashed: Callable[[BaseException], None]
) -> None:
    """Do the work until the gateway closes. `crashed` is called at once with what it should never raise."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            crashed(error)

    async def stop() -> None:
        task.cancel()
        await asyncio.wait([task])

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    stack.push_async_callback(stop)
