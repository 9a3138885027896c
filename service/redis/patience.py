"""How long anybody waits for Redis, and that our own slowness is not taken for Redis's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

PATIENCE: Final = timedelta(milliseconds=60)
"""The most that anybody waits for one reply; a connection that takes longer is made nevertheless, for the next one."""

_TURNS: Final = 10
"""From a reply in the socket's buffer to whoever waits for it take about five turns of the event loop.

A loop that has much to do wakes sleepers late, and before it reads from sockets: with 64 callers 0.1 to 3.4 % of all
replies, with 256 a quarter, were given up although they had long arrived. To an idle loop the turns are nothing.
"""


async def let_replies_in(done: Callable[[], bool]) -> None:
    """Return once every reply that had come by now has been read, or all is `done`."""
    for _ in range(_TURNS):
        if done():
            return
        await asyncio.sleep(0)


@asynccontextmanager
async def patience(duration: timedelta) -> AsyncIterator[None]:
    """Cancel the body and raise `TimeoutError` when replies could come in for `duration`, and the one it needs did not.

    That is the machine's own time, in which the driver lives.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.Handle

    def turn(left: int) -> None:
        nonlocal timer
        if left:
            timer = loop.call_soon(turn, left - 1)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(duration.total_seconds(), turn, _TURNS)
        try:
            yield
        finally:
            timer.cancel()
