"""A caller that sends requests without waiting for answers is read no faster than it is answered."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http_protocol import Bounds
from tests.gateways import until
from tests.process.serving import UNBOUNDED, Application, Served, get, post, protocol, served

BOUNDS: Final = Bounds()

SMALL: Final = b"GET / HTTP/1.1\r\n\r\n"
MOST: Final = 16 + 4096 // len(SMALL) + 1
"""The most requests that may be queued: sixteen, and those of the smallest size in one piece of 4 KiB."""

MANY: Final = 2500


class Queue:
    """An application that notes how many requests are queued behind each one."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.longest = 0
        self.server: Served | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await self._application(scope, receive, send)
        self.measure()

    def measure(self) -> None:
        """Note how many are queued now."""
        if self.server is not None:
            self.longest = max([self.longest, *map(_queued, self.server.server.server_state.connections)])


def _queued(connection: object) -> int:
    assert isinstance(connection, HttpToolsProtocol)
    return len(connection.pipeline)


async def longest_queue(application: Application, http: type[HttpToolsProtocol]) -> int:
    """Send very many requests at once, read the answers only then; return how many were queued at most."""
    queue = Queue(application)
    application.may_answer.clear()
    async with served(queue, http) as server:
        queue.server = server
        wire = await server.connect()
        wire.writer.write(SMALL * MANY)
        await until(lambda: application.asked)
        queue.measure()
        application.may_answer.set()
        answers = [await wire.answer() for _ in range(MANY)]

    assert answers == [(200, b"/")] * MANY
    return queue.longest


async def test_a_flood_of_requests_is_queued_in_its_sender(application: Application) -> None:
    """All are answered in the end, and at no time are more than a few in memory."""
    assert 16 <= await longest_queue(application, protocol(bounds=BOUNDS)) <= MOST


async def test_uvicorn_alone_queues_whatever_was_sent(application: Application) -> None:
    """A control: the test above can fail."""
    assert await longest_queue(application, UNBOUNDED) > 2 * MOST


async def test_no_more_is_read_while_requests_are_queued(application: Application) -> None:
    """The socket fills up, and the sender has to wait."""
    application.may_answer.clear()
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        sending = asyncio.create_task(wire.send(SMALL * (16 * 1024 * 1024 // len(SMALL))))
        await until(lambda: application.asked)
        await asyncio.wait((sending,), timeout=0.2)
        waits = not sending.done()
        [connection] = server.server.server_state.connections
        queued = _queued(connection)
        sending.cancel()
        await asyncio.wait((sending,))

    assert (waits, queued <= MOST) == (True, True)


async def test_each_request_of_many_gets_its_own_answer_in_order(application: Application) -> None:
    """Answers come in order, also for requests with a body, and for those that are split over two reads."""
    requests = [
        (post(f"/{number}", b"x" * (number % 700)), (200, b"/%d" % number)) if number % 3 else (get("/g"), (200, b"/g"))
        for number in range(300)
    ]
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        wire.writer.write(b"".join(request for request, _ in requests))
        answers = [await wire.answer() for _ in requests]
        await wire.send(get("/later"))
        later = await wire.answer()

    assert answers == [answer for _, answer in requests]
    assert later == (200, b"/later")


async def test_what_is_held_back_is_dropped_when_its_sender_hangs_up(application: Application) -> None:
    """Requests that are held back are dropped when their sender hangs up."""
    application.may_answer.clear()
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        wire.writer.write(SMALL * MANY)
        await until(lambda: application.asked)
        [connection] = server.server.server_state.connections
        wire.cut()
        application.may_answer.set()
        await until(lambda: not server.connections)
        begun = len(application.begun)
        await asyncio.sleep(0)

    assert begun < MANY
    assert len(application.begun) == begun
    assert _queued(connection) <= MOST


async def test_what_is_no_http_is_refused_behind_what_is_held_back(application: Application) -> None:
    """Requests before a malformed one are answered, and requests after it are not executed."""
    application.may_answer.clear()
    async with served(application, protocol(bounds=BOUNDS)) as server:
        wire = await server.connect()
        wire.writer.write(SMALL * 600 + b"PING\r\n" + get("/hidden"))
        await until(lambda: application.asked)
        application.may_answer.set()
        received = await wire.rest()

    assert received.count(b"HTTP/1.1 200 ") == 600
    assert "/hidden" not in application.begun
