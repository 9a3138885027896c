"""Reads that wait to be sent: those of one turn of the event loop leave together."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from service.redis.timeouts import SharedTimeout, fail_all
from service.verification.interfaces import Clock

Read: TypeAlias = tuple[str, asyncio.Future[object]]
"""A key, and the reply to be."""


class Outbox:
    """The reads that were asked for and not sent yet. `send` is called at the end of a turn that has brought some."""

    def __init__(self, send: Callable[[], None], *, clock: Clock) -> None:
        self._send = send
        self._timeout = SharedTimeout(clock)
        self._reads: list[Read] = []
        self._send_is_due = False
        self._closed: Exception | None = None

    def __bool__(self) -> bool:
        return bool(self._reads)

    def put(self, key: str) -> asyncio.Future[object]:
        """Add a read, whose time begins now. Return its reply to be, see `Reader`."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[object] = loop.create_future()
        if self._closed is not None:
            reply.set_result(self._closed)
            return reply
        self._reads.append((key, reply))
        self._timeout.start(reply)
        if not self._send_is_due:
            self._send_is_due = True
            loop.call_soon(self._send_now)
        return reply

    def put_back(self, reads: Iterable[Read]) -> None:
        """Add reads that were sent and are to be sent again, before all others."""
        self._reads = [*reads, *self._reads]

    def take(self) -> list[Read]:
        """Return the reads whose readers still wait, and leave none."""
        reads, self._reads = [read for read in self._reads if not read[1].done()], []
        return reads

    def fail(self, error: Exception) -> None:
        """Give the error to all reads, and leave none."""
        fail_all((reply for _, reply in self.take()), error)

    def end(self, error: Exception) -> None:
        """Fail all reads, and those that come later."""
        self._closed = error
        self.fail(error)

    async def close(self) -> None:
        """Measure no time any more."""
        await self._timeout.close()

    def _send_now(self) -> None:
        self._send_is_due = False
        self._send()
