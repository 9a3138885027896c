"""Reading ahead takes nothing away from whoever reads after it."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from service.api.early_body import EarlyBody


class Sender:
    """Sends the messages, and then what is put into `later`."""

    def __init__(self, messages: Iterable[Any]) -> None:
        self._messages = list(messages)
        self.later: asyncio.Queue[Any] = asyncio.Queue()
        self.interrupted = False

    async def receive(self) -> Any:
        """Return the next message."""
        if self._messages:
            return self._messages.pop(0)
        try:
            return await self.later.get()
        except asyncio.CancelledError:
            self.interrupted = True
            raise


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    """Return a message with a part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


LAST = piece(b"c", more=False)


async def test_body_that_is_there_is_read_without_waiting() -> None:
    """However many pieces it comes in."""
    body = EarlyBody(Sender([piece(b"a", more=True), {"type": "http.request", "more_body": True}, LAST]).receive)

    assert body.read(at_most=2) == b"ac"


@pytest.mark.parametrize("first", [piece(b"abc", more=True), {"type": "http.disconnect"}])
async def test_everything_read_is_received_again(first: Any) -> None:
    """And then what comes after it."""
    sender = Sender([first])
    body = EarlyBody(sender.receive)
    sender.later.put_nowait(LAST)

    assert body.read(at_most=2) is None
    assert [await body.receive(), await body.receive()] == [first, LAST]


async def test_what_is_not_there_yet_is_received_when_it_comes() -> None:
    """Waiting was begun by reading ahead, and goes on."""
    sender = Sender([piece(b"a", more=True)])
    body = EarlyBody(sender.receive)
    assert body.read(at_most=2) is None

    received = [await body.receive()]
    waiting = asyncio.create_task(body.receive())
    await asyncio.sleep(0)
    sender.later.put_nowait(LAST)

    assert [*received, await waiting] == [piece(b"a", more=True), LAST]


async def test_waiting_can_be_interrupted() -> None:
    """A time-out reaches the server's own waiting."""
    sender = Sender([])
    body = EarlyBody(sender.receive)
    assert body.read(at_most=2) is None

    waiting = asyncio.create_task(body.receive())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert sender.interrupted
