"""Answers that skip the parser and have to be waited for, on a real connection."""

import asyncio
from functools import partial
from typing import Any, Final

import pytest

from service.api.problems import Reply
from service.api.response_bytes import Response, response_bytes
from service.http_protocol import Bounds
from service.prompt_protocol import prompt_protocol
from tests.gateways import until
from tests.process.serving import Application, Served, get, post, protocol, served

QUESTION: Final = post("/verify/jwt", b'{"game": 3}')
SOON: Final = (200, b"soon")
LONG: Final = Bounds(arrival_seconds=600)


class Desk:
    """Answers one question once it `may_answer`; keeps what was begun, and what was cancelled."""

    def __init__(self) -> None:
        self.begun = 0
        self.left = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reply = Reply(200, b"soon", headers={"x-request-id": "1"})
        self.bug: Exception | None = None

    def __call__(self, request: bytes, _server: Any) -> asyncio.Future[Response] | None:
        """Take the question, and nothing else."""
        return asyncio.get_running_loop().create_task(self._answer()) if request == QUESTION else None

    async def _answer(self) -> Response:
        self.begun += 1
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        if self.bug is not None:
            raise self.bug
        return Response(partial(response_bytes, self.reply), self.reply.headers.get("connection") == "close")


@pytest.fixture
async def desk() -> Desk:
    """An application of answers that take time."""
    return Desk()


def waiting(desk: Desk, *, bounds: Bounds = LONG, max_requests: int = 1000) -> Any:
    """Return the protocol under test."""
    bounded: Any = protocol(bounds=bounds, max_requests=max_requests)
    return prompt_protocol(
        bounded,
        beginning=b"POST /verify/",
        answer_at_once=lambda *_: None,
        answer_soon=desk,
        is_beginning=lambda *_: False,
    )


def connections(server: Served) -> list[Any]:
    """Return the server's ends of its connections."""
    return list(server.server.server_state.connections)


def under_way(server: Served) -> int:
    """Return how many requests the server counts as being answered."""
    return len(server.server.server_state.tasks)


async def test_question_is_answered_without_the_application(application: Application, desk: Desk) -> None:
    """Again and again, on the same connection, and each is counted."""
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        answers = []
        for _ in range(3):
            await wire.send(QUESTION)
            answers.append(await wire.answer())
        total = server.server.server_state.total_requests

    assert (answers, application.asked, total) == ([SOON] * 3, [], 3)


async def test_response_has_the_headers_of_the_reply_and_of_the_server(application: Application, desk: Desk) -> None:
    """Each once."""
    desk.reply = Reply(503, b"no", media_type="application/problem+json", headers={"retry-after": "1"})
    async with served(application, waiting(desk)) as server:
        server.server.server_state.default_headers = [(b"date", b"today")]
        wire = await server.connect()
        await wire.send(QUESTION)
        head = await wire.reader.readuntil(b"\r\n\r\n")

    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 503 Service Unavailable"
    assert sorted(line.partition(b": ")[0] for line in lines[1:-2]) == [
        b"content-length", b"content-type", b"date", b"retry-after",
    ]  # fmt: skip


@pytest.mark.parametrize("request_", [get("/livez"), post("/verify/email", b"{}"), QUESTION[:-1]])
async def test_everything_else_goes_to_the_application(application: Application, desk: Desk, request_: bytes) -> None:
    """Before and after questions that are answered without it."""
    rest = QUESTION[-1:] if request_ == QUESTION[:-1] else b""
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        answers = []
        for one in (request_, QUESTION, request_):
            await wire.send(one, pause=0.05)
            if one is request_ and rest:
                await wire.send(rest)
            answers.append(await wire.answer() == SOON)

    assert answers == [False, True, False]
    assert len(application.asked) == 2


async def test_what_comes_meanwhile_is_answered_after_it(application: Application, desk: Desk) -> None:
    """In order, the same question, others, and one in pieces."""
    desk.may_answer.clear()
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await until(lambda: desk.begun)
        await wire.send(get("/a") + QUESTION + QUESTION[:20], pause=0.05)
        begun_meanwhile = list(application.begun)
        desk.may_answer.set()
        answers = [await wire.answer() for _ in range(3)]
        await wire.send(QUESTION[20:])
        answers.append(await wire.answer())
        await wire.send(QUESTION)
        answers.append(await wire.answer())

    other = (200, b"/verify/jwt")
    assert answers == [SOON, (200, b"/a"), other, other, SOON]
    assert begun_meanwhile == []


async def test_no_more_is_read_meanwhile(application: Application, desk: Desk) -> None:
    """A caller that sends on without waiting fills its own buffers, not ours."""
    desk.may_answer.clear()
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await until(lambda: desk.begun)
        sending = asyncio.create_task(wire.send(get("/a") * 1_000_000))
        await asyncio.wait((sending,), timeout=0.2)
        waits = not sending.done()
        [connection] = connections(server)
        held = len(connection._held)
        sending.cancel()
        await asyncio.wait((sending,))

    assert waits
    assert held <= 1024 * 1024


async def test_it_is_cancelled_when_the_caller_hangs_up(application: Application, desk: Desk) -> None:
    """A question is cancelled when its caller hangs up, and that is no bug."""
    desk.may_answer.clear()
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await until(lambda: desk.begun)
        wire.cut()
        await until(lambda: not under_way(server))

    assert desk.left == 1


async def test_answer_for_a_caller_who_goes_at_that_moment_is_dropped(application: Application, desk: Desk) -> None:
    """The connection is closing, and knows it before it has been told."""
    desk.may_answer.clear()
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await until(lambda: desk.begun)
        [connection] = connections(server)
        desk.may_answer.set()
        asyncio.get_running_loop().call_soon(connection.transport.close)  # when it is answered, and not yet told
        received = await wire.rest()
        await until(lambda: not under_way(server))

    assert received == b""


async def test_it_counts_towards_what_is_taken_on(application: Application, desk: Desk) -> None:
    """A question counts towards the limit, over which requests of any connection are shed."""
    desk.may_answer.clear()
    async with served(application, waiting(desk, max_requests=1)) as server:
        busy = await server.connect()
        await busy.send(QUESTION)
        await until(lambda: desk.begun)

        assert await server.ask(QUESTION) == (503, b"too much")
        desk.may_answer.set()
        assert await busy.answer() == SOON
        assert await server.ask(QUESTION) == SOON


async def test_connection_waits_for_the_answer_and_for_the_next_question(application: Application, desk: Desk) -> None:
    """The time in which a request must have arrived is over."""
    desk.may_answer.clear()
    async with served(application, waiting(desk, bounds=Bounds(arrival_seconds=0.2))) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        closed_meanwhile = await wire.is_closed_within(0.5)
        desk.may_answer.set()
        answer = await wire.answer()

        assert not closed_meanwhile
        assert answer == SOON
        assert not await wire.is_closed_within(0.5)


async def test_next_request_still_has_to_arrive_in_time(application: Application, desk: Desk) -> None:
    """Also one that began while the answer was waited for."""
    desk.may_answer.clear()
    async with served(application, waiting(desk, bounds=Bounds(arrival_seconds=0.2))) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await until(lambda: desk.begun)
        await wire.send(QUESTION[:20], pause=0.05)
        desk.may_answer.set()
        await wire.answer()

        assert await wire.is_closed_within(10)


@pytest.mark.parametrize("headers", [{}, {"connection": "close"}])
async def test_stopping_server_answers_it_and_closes(
    application: Application, desk: Desk, headers: dict[str, str]
) -> None:
    """And says so, once, whether the reply says so already or not."""
    desk.reply = Reply(200, b"soon", headers=headers)
    desk.may_answer.clear()
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await until(lambda: desk.begun)
        stopping = asyncio.create_task(server.stop())
        await until(lambda: all(connection._stopping for connection in connections(server)))
        desk.may_answer.set()
        received = await wire.rest()
        await stopping

    assert received.endswith(b"\r\n\r\nsoon")
    assert received.count(b"connection: close\r\n") == 1


async def test_connection_is_closed_when_the_reply_says_so(application: Application, desk: Desk) -> None:
    """As while the gateway drains; no second word about it."""
    desk.reply = Reply(200, b"soon", headers={"connection": "close"})
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        received = await wire.rest()

    assert received.count(b"connection: close\r\n") == 1


async def test_server_that_waits_no_longer_hangs_up(application: Application, desk: Desk) -> None:
    """A question that is cancelled at the end of the server gets no answer; its connection closes."""
    desk.may_answer.clear()
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await until(lambda: desk.begun)
        for task in list(server.server.server_state.tasks):
            task.cancel()

        assert await wire.rest() == b""


async def test_bug_is_reported_and_its_victim_is_not_left_waiting(application: Application, desk: Desk) -> None:
    """A bug is reported and closes the connection: no answer is made up."""
    desk.bug = RuntimeError("a bug of a test")
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context.get("exception")))
    async with served(application, waiting(desk)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        received = await wire.rest()

    assert (received, reported) == (b"", [desk.bug])
