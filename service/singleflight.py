"""Concurrent equal questions share one look-up."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Generic, TypeVar

from service.errors import NoAnswer
from service.ownership import Fingerprint

T = TypeVar("T")


class _Flight(Generic[T]):
    __slots__ = ("started_at", "task")

    def __init__(self, started_at: datetime, task: asyncio.Task[T]) -> None:
        self.started_at = started_at
        self.task = task


class SingleFlight(Generic[T]):
    """At most one look-up a name is under way.

    Each look-up is a task of its own: a caller that is cancelled or runs out of time leaves it to the others. (With
    "the first caller awaits", cancelling that one fails all who joined it.)

    `joined` is called for every caller that finds a look-up under way, `crashed` with what a look-up raised that is not
    a `NoAnswer`: a bug, which must be seen even if nobody waits any more.
    """

    def __init__(self, *, joined: Callable[[], None], crashed: Callable[[BaseException], None]) -> None:
        self._flights: dict[Fingerprint, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()
        self._joined = joined
        self._crashed = crashed

    def under_way(self, name: Fingerprint, *, not_before: datetime | None = None) -> bool:
        """Whether somebody is asking this already, and began no earlier than `not_before`."""
        flight = self._flights.get(name)
        return flight is not None and (not_before is None or flight.started_at >= not_before)

    def start(
        self, name: Fingerprint, look_up: Callable[[], Coroutine[None, None, T]], *, now: datetime
    ) -> asyncio.Task[T]:
        """Begin a look-up for whoever will join it. Its failure is reported to them, or to nobody."""
        task = asyncio.get_running_loop().create_task(look_up())
        flight = _Flight(now, task)
        self._flights[name] = flight
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._landed(name, flight, done))
        return task

    async def fly(
        self,
        name: Fingerprint,
        look_up: Callable[[], Coroutine[None, None, T]],
        *,
        now: datetime,
        not_before: datetime | None = None,
    ) -> T:
        """Join the look-up under way, or start one; being cancelled does no harm to the others.

        A look-up that started before `not_before` is not joined: its answer would be older than the caller accepts.
        """
        if self.under_way(name, not_before=not_before):
            self._joined()
            task = self._flights[name].task
        else:
            task = self.start(name, look_up, now=now)
        # Not `asyncio.shield`: from Python 3.13.4 on that logs a failure as unhandled when one of its callers has gone.
        await asyncio.wait((task,))
        return task.result()

    async def close(self) -> None:
        """Cancel what is still under way, and with it the wait of whoever is still there."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, name: Fingerprint, flight: _Flight[T], task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        if self._flights.get(name) is flight:
            del self._flights[name]
        if task.cancelled():
            return
        # Reading the exception here also keeps asyncio from complaining about it when every caller has gone.
        error = task.exception()
        if error is not None and not isinstance(error, NoAnswer):
            self._crashed(error)
