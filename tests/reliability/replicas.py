"""The things that a world is made of: gateways built from parts, their time, and the questions of callers."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from service.http.application import Application, Listener
from service.http.reply import Reply
from service.redis.connect import connect
from service.secret import RedisUrl
from service.verification.interfaces import Clock
from tests.clock import FakeClock
from tests.reliability.cast import OPERATOR, Asked, GameServer, Presented
from tests.reliability.ledger import Answered, Bounds, Ledger
from tests.reliability.store import StoreLine
from tests.reliability.wrapping import question_to

DEADLINE: Final = timedelta(seconds=10)
"""Longer than a look-up takes, or another replica's lease: so that only the store can leave a question unanswered."""

A_SECOND: Final = timedelta(seconds=1)


def client_of(url: str) -> Redis:
    """Make a client as the gateway does."""
    client = connect(RedisUrl(url))
    assert isinstance(client, Redis)
    return client


class WorldClock(FakeClock):
    """The time of the test for Redis, too: its replies are given up when the test says that so much time has passed."""

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the body and raise `TimeoutError` once the test has advanced by `duration`; later if it is long."""
        return self.timeout(duration) if duration < A_SECOND else super().io_timeout(duration)


class Parts(Struct, frozen=True):
    """The parts that a gateway is built from; a broken variant gets other ones."""

    transport: Callable[[StoreLine, Clock], httpx.AsyncBaseTransport] = lambda line, _: line
    clock: Callable[[Clock], Clock] = lambda clock: clock
    redis_clock: Callable[[Clock, Clock], Clock] = lambda true, _of_the_machine: true
    redis: Callable[[str], Redis] = client_of
    application: Callable[[Application, Clock, str], Application] = lambda application, _clock, _redis_url: application
    replicas: int = 2
    """The number that the operator says there is."""
    fails: str = ""
    """The words of the ledger about it when it is broken."""


class Replica:
    """A gateway and the ledger of what it may answer."""

    def __init__(self, *, application: Application, ledger: Ledger, stack: AsyncExitStack) -> None:
        self._application = application
        self.ledger = ledger
        self._stack = stack

    async def ask(self, path: str, body: object, caller: GameServer) -> tuple[bool, int, Any]:
        """Ask as a connection does. Say whether it was answered at once, the status, and the body."""
        request = question_to(path, msgspec.json.encode(body), token=caller.token)
        answer = self._application.answer(request, Listener.EVERYTHING)
        reply = answer if isinstance(answer, Reply) else await answer
        return reply is answer, reply.status, msgspec.json.decode(reply.body)

    async def close(self) -> None:
        """Close it."""
        await self._stack.aclose()


class Question(Struct, frozen=True):
    """A question to one of the replicas, as a caller means to ask it."""

    index: int
    presented: Presented
    caller: GameServer = OPERATOR
    max_age: int | None = None
    cached: bool = False
    deadline: timedelta = DEADLINE

    @property
    def body(self) -> dict[str, object]:
        """The body that asks it."""
        presented = self.presented
        fields: dict[str, object] = {"game": presented.game, presented.field: presented.credential}
        fields |= {"deadline_ms": self.deadline // timedelta(milliseconds=1), "only_if_cached": self.cached}
        return fields if self.max_age is None else fields | {"max_age": self.max_age}


class Under(Struct, frozen=True):
    """A question under way."""

    task: "asyncio.Task[Answered]"
    asked: Asked
    bounds: Bounds
    ledger: Ledger
    leaps: int
    """The number of leaps of time before it."""
