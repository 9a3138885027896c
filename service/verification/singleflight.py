"""Concurrent equal questions share one look-up."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar

from service.errors import NoAnswer
from service.ownership import Fingerprint

T = TypeVar("T")


class _Flight(Generic[T]):
    """A look-up under way, and how many `want` it; while it is `queueing` it has cost nothing yet."""

    __slots__ = ("name", "queueing", "started_at", "task", "want")

    def __init__(self, name: Fingerprint, started_at: datetime, task: asyncio.Task[T], *, want: int) -> None:
        self.name = name
        self.started_at = started_at
        self.task = task
        self.want = want
        self.queueing = False


class SingleFlight(Generic[T]):
    """At most one look-up a name is under way.

    Each look-up is a task of its own: a caller that is cancelled or runs out of time leaves it to the others. (With
    "the first caller awaits", cancelling that one fails all who joined it.) Once all have left, it goes on for those
    who will ask next, unless it is only `queueing`.

    `joined` is called for every caller that finds a look-up under way, `crashed` with what a look-up raised that is not
    a `NoAnswer`: a bug, which must be seen even if no caller waits any more.
    """

    def __init__(self, *, joined: Callable[[], None], crashed: Callable[[BaseException], None]) -> None:
        self._flights: dict[Fingerprint, _Flight[T]] = {}
        self._of_task: dict[asyncio.Task[T], _Flight[T]] = {}
        self._joined = joined
        self._crashed = crashed

    def under_way(self, name: Fingerprint, *, not_before: datetime | None = None) -> bool:
        """Whether a look-up is under way that began no earlier than `not_before`."""
        flight = self._flights.get(name)
        return flight is not None and (not_before is None or flight.started_at >= not_before)

    def start(
        self, name: Fingerprint, look_up: Callable[[], Coroutine[None, None, T]], *, now: datetime
    ) -> asyncio.Task[T]:
        """Begin a look-up that callers may join. Its failure is reported to those who do.

        It is wanted even if none joins it.
        """
        return self._begin(name, look_up, now=now, want=1).task

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
            flight = self._flights[name]
        else:
            flight = self._begin(name, look_up, now=now, want=0)
        flight.want += 1
        try:
            # Not `asyncio.shield`: from Python 3.13.4 on that logs a failure as unhandled when a caller has gone.
            await asyncio.wait((flight.task,))
        finally:
            flight.want -= 1
            self._drop_if_unwanted(flight)
        return flight.task.result()

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """While in here, the look-up that calls this is cancelled as soon as no caller wants it any more.

        For anything but a look-up of ours it does nothing.
        """
        flight = self._flight_of(asyncio.current_task())
        if flight is None:
            yield
            return
        flight.queueing = True
        self._drop_if_unwanted(flight)
        try:
            yield
        finally:
            flight.queueing = False

    async def close(self) -> None:
        """Cancel the look-ups under way, and with them the wait of callers who are still there."""
        tasks = list(self._of_task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(
        self, name: Fingerprint, look_up: Callable[[], Coroutine[None, None, T]], *, now: datetime, want: int
    ) -> _Flight[T]:
        task = asyncio.get_running_loop().create_task(look_up())
        flight = _Flight(name, now, task, want=want)
        self._flights[name] = self._of_task[task] = flight
        task.add_done_callback(self._landed)
        return flight

    def _flight_of(self, task: asyncio.Task[Any] | None) -> _Flight[T] | None:
        return None if task is None else self._of_task.get(task)

    def _drop_if_unwanted(self, flight: _Flight[T]) -> None:
        if flight.queueing and not flight.want:
            self._take_off_list(flight)  # the next caller must not join a look-up that is about to end
            flight.task.cancel()

    def _take_off_list(self, flight: _Flight[T]) -> None:
        if self._flights.get(flight.name) is flight:
            del self._flights[flight.name]

    def _landed(self, task: asyncio.Task[T]) -> None:
        self._take_off_list(self._of_task.pop(task))
        if task.cancelled():
            return
        # Reading the exception here also keeps asyncio from complaining about it when every caller has gone.
        error = task.exception()
        if error is not None and not isinstance(error, NoAnswer):
            self._crashed(error)
