"""Answers given at once on a real connection; all other requests go to the application."""

from datetime import timedelta
from typing import Any, Final

import pytest

from service.http_protocol import Bounds
from service.prompt_protocol import prompt_protocol
from tests.gateways import until
from tests.process.serving import Application, get, post, protocol, served

BODY: Final = b'{"game": 3}'
QUESTION: Final = post("/verify/jwt", BODY)
LONG: Final = Bounds(arrival_seconds=600)


class Oracle:
    """Answers one question at once, and knows the beginning of some; keeps all that it was shown."""

    def __init__(self) -> None:
        self.shown: list[bytes] = []
        self.size = 0
        self.begins: bytes | None = None

    def __call__(self, request: bytes, fields: bytes, _server: Any) -> bytes | None:
        """Answer the question, and nothing else."""
        self.shown.append(request)
        if request != QUESTION:
            return None
        body = b"at once" + b"x" * self.size
        return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (fields, len(body), body)

    def is_beginning(self, request: bytes, _server: Any) -> bool:
        """Know what begins like that and is not whole."""
        return self.begins is not None and request.startswith(self.begins) and len(request) < len(QUESTION)


@pytest.fixture
def oracle() -> Oracle:
    """A stand-in for the remembered answers."""
    return Oracle()


def prompt(oracle: Oracle, *, bounds: Bounds = LONG, max_requests: int = 1000) -> Any:
    """Return the protocol under test."""
    bounded: Any = protocol(bounds=bounds, max_requests=max_requests)
    return prompt_protocol(
        bounded,
        beginning=b"POST /verify/",
        answer_at_once=oracle,
        answer_soon=lambda *_: None,
        is_beginning=oracle.is_beginning,
    )


async def test_question_is_answered_without_the_application(application: Application, oracle: Oracle) -> None:
    """Again and again, on the same connection."""
    async with served(application, prompt(oracle)) as server:
        wire = await server.connect()
        answers = []
        for _ in range(3):
            await wire.send(QUESTION)
            answers.append(await wire.answer())

    assert answers == [(200, b"at once")] * 3
    assert application.asked == []


@pytest.mark.parametrize(
    "request_",
    [get("/livez"), post("/admin/x", BODY), post("/verify/email", BODY), post("/verify/jwt", b"x" * 5000)],
)
async def test_everything_else_goes_to_the_application(
    application: Application, oracle: Oracle, request_: bytes
) -> None:
    """Before, between and after questions that are answered at once."""
    async with served(application, prompt(oracle)) as server:
        wire = await server.connect()
        answers = []
        for one in (request_, QUESTION, request_, request_, QUESTION):
            await wire.send(one)
            answers.append((await wire.answer())[1] == b"at once")

    assert answers == [False, True, False, False, True]
    assert len(application.asked) == 3


async def test_question_in_unknown_pieces_goes_to_the_application(application: Application, oracle: Oracle) -> None:
    """Later bytes are not joined to a question in unknown pieces; known ones are in test_prompt_pieces.py."""
    async with served(application, prompt(oracle)) as server:
        wire = await server.connect()
        await wire.send(QUESTION[:-3], pause=0.05)
        await wire.send(QUESTION[-3:])

        assert await wire.answer() == (200, b"/verify/jwt")
        await wire.send(QUESTION)
        assert await wire.answer() == (200, b"at once")

    assert application.asked == [("/verify/jwt", BODY)]
    assert oracle.shown == [QUESTION[:-3], QUESTION]


async def test_answers_come_in_the_order_of_the_questions(application: Application, oracle: Oracle) -> None:
    """A remembered answer does not overtake one that is still being worked on."""
    application.may_answer.clear()
    async with served(application, prompt(oracle)) as server:
        wire = await server.connect()
        await wire.send(get("/slow"))
        await until(lambda: application.begun)
        await wire.send(QUESTION)
        application.may_answer.set()

        assert [await wire.answer(), await wire.answer()] == [(200, b"/slow"), (200, b"/verify/jwt")]

    assert oracle.shown == []


async def test_busy_server_answers_nothing_at_once(application: Application, oracle: Oracle) -> None:
    """Beyond what is taken on, everything is shed."""
    application.may_answer.clear()
    async with served(application, prompt(oracle, max_requests=1)) as server:
        busy = await server.connect()
        await busy.send(get("/slow"))
        await until(lambda: application.begun)

        assert await server.ask(QUESTION) == (503, b"too much")


async def test_caller_that_reads_nothing_is_hung_up_on(application: Application, oracle: Oracle) -> None:
    """Answers given at once pile up no more than others."""
    oracle.size = 1_000_000
    async with served(application, prompt(oracle, bounds=Bounds(arrival_seconds=600, sending_seconds=0.1))) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport reads, too
        for _ in range(100):
            await wire.send(QUESTION, pause=0.001)
            if server.connections == 0:
                break

        await until(lambda: server.connections == 0)

    assert len(oracle.shown) < 100


async def test_answered_connection_is_kept_for_the_next_question(application: Application, oracle: Oracle) -> None:
    """The time in which a first request must have arrived is over with the first answer."""
    async with served(application, prompt(oracle, bounds=Bounds(arrival_seconds=0.2))) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await wire.answer()

        assert not await wire.is_closed_within(timedelta(seconds=0.5).total_seconds())


async def test_line_breaks_between_questions_do_not_add_up(application: Application, oracle: Oracle) -> None:
    """Some clients send them after a body; a connection that is answered at once takes no fewer of them."""
    async with served(application, prompt(oracle, bounds=Bounds(arrival_seconds=600, header_bytes=100))) as server:
        wire = await server.connect()
        answers = []
        for _ in range(3):
            await wire.send(QUESTION)
            answers.append((await wire.answer())[0])
            await wire.send(b"\r\n" * 30, pause=0.05)

    assert answers == [200] * 3


async def test_stopping_server_answers_nothing_at_once(application: Application, oracle: Oracle) -> None:
    """Its last answers ask their connections to be closed."""
    async with served(application, prompt(oracle)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await wire.answer()
        for connection in list(server.server.server_state.connections):
            connection.shutdown()
        await wire.send(QUESTION)

        assert await wire.answer() == (200, b"/verify/jwt")
        assert wire.closing
