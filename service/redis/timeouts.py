"""Time limits for Redis, in which our own slowness is not taken for Redis's."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from service.verification.interfaces import Clock

REPLY_TIMEOUT: Final = timedelta(milliseconds=60)
"""The longest wait for one reply. A connection that takes longer is made nevertheless, for the next read."""

_TURNS: Final = 10
"""A reply in the socket's buffer takes about five turns of the event loop to reach its reader.

A loop that has much to do wakes sleepers late, and before it reads from sockets: with 64 callers 0.1 to 3.4 % of all
replies, with 256 a quarter, were given up although they had long arrived. To an idle loop the turns are nothing.
"""

_LOOK_EVERY: Final = REPLY_TIMEOUT / 4
"""The precision of `SharedTimeout`."""

_INSTANT: Final = timedelta(milliseconds=1)


async def let_replies_in(done: Callable[[], bool]) -> None:
    """Return once every reply that had come by now has been read, or all is `done`."""
    for _ in range(_TURNS):
        if done():
            return
        await asyncio.sleep(0)


@asynccontextmanager
async def io_timeout(duration: timedelta) -> AsyncIterator[None]:
    """Cancel the body and raise `TimeoutError` when replies could come in for `duration`, and the one it needs did not.

    The time is the machine's own, as the driver's is.
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


class SharedTimeout:
    """One time limit, and one timer, for many replies.

    A reply that takes longer than `REPLY_TIMEOUT`, or up to a quarter less, gets `TimeoutError` as its result.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[tuple[float, asyncio.Future[object]]] = deque()
        self._watch: asyncio.Task[None] | None = None

    def start(self, reply: asyncio.Future[object]) -> None:
        """Begin to measure the time of a reply."""
        self._waiting.append((self._clock.monotonic(), reply))
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._give_up_in_time())

    async def close(self) -> None:
        """Measure no time any more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait((self._watch,))

    async def _give_up_in_time(self) -> None:
        while self._waiting:
            await self._clock.sleep(_LOOK_EVERY)
            # By the clock, and not by the number of looks: each of them is late on a busy machine, and late looks that
            # add up would make the limit longer than a caller is told.
            latest = self._clock.monotonic() - (REPLY_TIMEOUT - _LOOK_EVERY + _INSTANT).total_seconds()
            late = []
            while self._waiting and self._waiting[0][0] <= latest:
                late.append(self._waiting.popleft()[1])
            await let_replies_in(lambda: all(reply.done() for reply in late))  # noqa: B023 - called at once
            fail_all(late, TimeoutError("Redis does not reply in time"))
        self._watch = None


def fail_all(replies: Iterable[asyncio.Future[object]], error: Exception) -> None:
    """Give the error as their result to all that have none yet."""
    for reply in replies:
        if not reply.done():
            reply.set_result(error)
