"""Reads that are wanted in the same turn of the event loop, or while two round trips are under way, travel together.

A round trip costs the client much more work than one more key in it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, Generic, TypeVar

from service.cache.operations import CacheResult
from service.redis.patience import PATIENCE, let_replies_in

K = TypeVar("K")
R = TypeVar("R")

LARGEST_BATCH: Final = 128
BATCHES_UNDER_WAY: Final = 2
"""Reads that find so many under way wait for the end of one, and then travel together.

Each costs about 45 µs beside what its keys cost: with 64 callers, eight at once had 8 keys each, two have 20.
"""

SLOW: Final = timedelta(milliseconds=5)
"""When one has taken so long, more may be under way: waiting for it would take a second round trip's time."""

MOST_UNDER_WAY: Final = 8

_SLICES: Final = 4
"""Of `PATIENCE`: how closely it is kept."""


class JoinedReads(Generic[K, R]):
    """Turns single reads into few round trips. `read_all` must answer every key, in order.

    A reply is what it answered, or why it could not be asked. What has waited for `PATIENCE` has failed, give or take a
    quarter; one timer does for all.
    """

    def __init__(
        self,
        read_all: Callable[[Sequence[K]], Coroutine[None, None, Sequence[R]]],
        *,
        sleep: Callable[[timedelta], Awaitable[None]],
        slow: timedelta = SLOW,
    ) -> None:
        self._read_all = read_all
        self._sleep = sleep
        self._slow_seconds = slow.total_seconds()
        self._latest: list[asyncio.Future[R | CacheResult]] = []
        self._watch: asyncio.Task[None] | None = None
        self._waiting: deque[tuple[K, asyncio.Future[R | CacheResult]]] = deque()
        self._departs = False
        self._under_way: dict[asyncio.Task[Sequence[R]], float] = {}
        self._departure: asyncio.TimerHandle | None = None
        self._closed = False

    def read(self, key: K) -> asyncio.Future[R | CacheResult]:
        """Return what will be known of the key; whoever stops waiting takes it away from nobody else."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[R | CacheResult] = loop.create_future()
        if self._closed:
            reply.set_result(CacheResult.SKIPPED)
            return reply
        self._waiting.append((key, reply))
        self._latest.append(reply)
        if not self._departs:
            self._departs = True
            loop.call_soon(self._depart)
        return reply

    async def close(self) -> None:
        """Give up: those who still wait are told that Redis was skipped."""
        self._closed = True
        if self._departure is not None:
            self._departure.cancel()
        waiting, self._waiting = self._waiting, deque()
        _end((reply for _, reply in waiting), CacheResult.SKIPPED)
        tasks = [*self._under_way, *([] if self._watch is None else [self._watch])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _depart(self) -> None:
        self._departs = False
        if self._latest and self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._give_up_in_time())
        loop = asyncio.get_running_loop()
        while self._waiting and self._may_depart(loop.time()):
            batch = self._next_batch()
            if batch:
                self._under_way[self._send(batch)] = loop.time()
        if self._waiting and self._departure is None:
            self._departure = loop.call_later(self._slow_seconds, self._depart_late)

    def _send(self, batch: list[tuple[K, asyncio.Future[R | CacheResult]]]) -> asyncio.Task[Sequence[R]]:
        # Its own task: a question that gives up must not break the connection under the others.
        task = asyncio.get_running_loop().create_task(self._read_all([key for key, _ in batch]))
        task.add_done_callback(partial(self._arrived, batch))
        return task

    def _may_depart(self, now: float) -> bool:
        under_way = len(self._under_way)
        if under_way < BATCHES_UNDER_WAY:
            return True
        oldest = next(iter(self._under_way.values()))
        return under_way < MOST_UNDER_WAY and now - oldest >= self._slow_seconds

    def _depart_late(self) -> None:
        self._departure = None
        self._depart()

    async def _give_up_in_time(self) -> None:
        waiting = deque[list[asyncio.Future[R | CacheResult]]]([[]] * (_SLICES - 1))
        while any(waiting) or self._latest:
            await self._sleep(PATIENCE / _SLICES)
            waiting.append(self._latest)
            self._latest = []
            late = [reply for reply in waiting.popleft() if not reply.done()]
            await let_replies_in(lambda: all(reply.done() for reply in late))  # noqa: B023 - called at once
            # How the reading itself ends is for `read_all` to judge.
            _end(late, CacheResult.FAILED)
        self._watch = None

    def _next_batch(self) -> list[tuple[K, asyncio.Future[R | CacheResult]]]:
        count = min(len(self._waiting), LARGEST_BATCH)
        batch = [self._waiting.popleft() for _ in range(count)]
        return [wanted for wanted in batch if not wanted[1].done()]

    def _arrived(self, batch: list[tuple[K, asyncio.Future[R | CacheResult]]], task: asyncio.Task[Sequence[R]]) -> None:
        self._under_way.pop(task)
        if task.cancelled():
            _end((reply for _, reply in batch), CacheResult.SKIPPED)
            return
        self._depart()
        bug = task.exception()
        if bug is None:
            for (_, reply), value in zip(batch, task.result(), strict=True):
                if not reply.done():
                    reply.set_result(value)
            return
        for _, reply in batch:
            if not reply.done():
                reply.set_exception(bug)


def _end(replies: Iterable[asyncio.Future[R | CacheResult]], why: CacheResult) -> None:
    for reply in replies:
        if not reply.done():
            reply.set_result(why)
