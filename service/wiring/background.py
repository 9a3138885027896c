"""Work in the background, until the gateway closes, and what the event loop itself meets meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

_CANCEL_AGAIN_SECONDS: Final = 0.1


async def run_in_background(
    stack: AsyncExitStack, work: Coroutine[None, None, None], *, crashed: Callable[[BaseException], None]
) -> None:
    """Do the work until the gateway closes. `crashed` is called at once with what it should never raise."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            crashed(error)

    async def stop() -> None:
        # Again until it ends: before Python 3.12 `asyncio.wait_for` may lose a cancellation (python/cpython#86296), and
        # redis-py sends every command through it. Endless work would then keep the gateway from closing.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    stack.push_async_callback(stop)


def watch_event_loop(stack: AsyncExitStack, *, crashed: Callable[[BaseException], None]) -> None:
    """Have `crashed` called, until the gateway closes, with what callbacks and forgotten tasks raise.

    What the system says about sockets and descriptors is no bug: it goes where it went before.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or isinstance(error, OSError):
            loop.default_exception_handler(context)
        else:
            crashed(error)

    loop.set_exception_handler(handle)
    stack.callback(loop.set_exception_handler, before)
