"""What of a request's body is there already, read without waiting and without taking it away from anybody."""

from collections import deque
from collections.abc import Awaitable, Generator
from typing import Any

from litestar.types import HTTPReceiveMessage, Receive


class EarlyBody:
    """Reads ahead of whoever answers in the end: `receive` gives out the same messages again, then what follows."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: deque[HTTPReceiveMessage] = deque()
        self._begun: _Begun | None = None

    def read(self, *, at_most: int) -> bytes | None:
        """Return the body; None if it is not all there yet, is longer than `at_most`, or its sender has hung up."""
        body: bytes = b""
        while True:
            # As a task would begin to wait for it; where nothing needs to be waited for, it ends at once.
            step = self._receive().__await__()
            try:
                waits_for = next(step)
            except StopIteration as arrived:
                message: Any = arrived.value
            else:
                self._begun = _Begun(step, waits_for)
                return None
            self._read.append(message)
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > at_most:
                return None
            if not message.get("more_body", False):
                return body

    async def receive(self) -> Any:  # noqa: ANN401 - what the server sends
        """Return the next message, waiting for it if need be."""
        if self._read:
            return self._read.popleft()
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return await begun
        return await self._receive()


class _Begun(Awaitable[Any]):
    """What already waits for something; awaiting it goes on from there."""

    def __init__(self, step: Generator[Any, Any, Any], waits_for: object) -> None:
        self._step = step
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            yield self._waits_for
        except BaseException as error:
            # Cancelled, or given up: the server's own waiting ends in the same way.
            self._step.throw(error)
            raise AssertionError("the server waits on after it was told to stop") from error
        return (yield from self._step)
