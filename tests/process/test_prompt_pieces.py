"""Questions whose head and body arrive apart, as many clients send them, are answered as if they had come whole."""

import asyncio
from functools import partial
from typing import Any, Final

import pytest

from service.api.problems import Reply
from service.api.response_bytes import Response, response_bytes
from service.http_protocol import Bounds
from service.prompt_protocol import prompt_protocol
from tests.gateways import until
from tests.process.serving import Application, get, protocol, served
from tests.process.test_prompt_protocol import BODY, QUESTION, Oracle, prompt

HEAD: Final = QUESTION[: -len(BODY)]
A_MOMENT: Final = 0.05
"""Seconds in which a server has surely read what was sent to it."""

PATIENT: Final = Bounds(arrival_seconds=600, body_seconds=600)
IMPATIENT: Final = Bounds(arrival_seconds=0.5, body_seconds=0.05)


@pytest.fixture
def oracle() -> Oracle:
    """The answers, and the beginning of a question."""
    oracle = Oracle()
    oracle.begins = HEAD
    return oracle


@pytest.mark.parametrize("pieces", [(HEAD, BODY), (HEAD, BODY[:4], BODY[4:]), (HEAD + BODY[:4], BODY[4:])])
async def test_pieces_are_answered_as_the_whole(
    application: Application, oracle: Oracle, pieces: tuple[bytes, ...]
) -> None:
    """Questions in pieces are answered on the same connection, one after the other."""
    async with served(application, prompt(oracle, bounds=PATIENT)) as server:
        wire = await server.connect()
        answers = []
        for _ in range(3):
            await wire.send(*pieces, pause=A_MOMENT)
            answers.append(await wire.answer())

    assert answers == [(200, b"at once")] * 3
    assert application.asked == []


@pytest.mark.parametrize("rest", [b"something", BODY + get("/livez"), b"x" * 5000])
async def test_other_ends_than_expected_go_to_the_application(
    application: Application, oracle: Oracle, rest: bytes
) -> None:
    """With all that was kept."""
    async with served(application, prompt(oracle, bounds=PATIENT)) as server:
        wire = await server.connect()
        await wire.send(HEAD, pause=A_MOMENT)
        await wire.send(rest + b"x" * len(BODY))
        status, path = await wire.answer()

    assert (status, path) == (200, b"/verify/jwt")
    assert application.asked[0] == ("/verify/jwt", (rest + b"x" * len(BODY))[: len(BODY)])


@pytest.mark.parametrize("before", [(), (QUESTION,)])
async def test_beginning_without_an_end_is_hung_up_on(
    application: Application, oracle: Oracle, before: tuple[bytes, ...]
) -> None:
    """The first on a connection, and a later one: the parser has it by then."""
    async with served(application, prompt(oracle, bounds=IMPATIENT)) as server:
        wire = await server.connect()
        for question in before:
            await wire.send(question)
            await wire.answer()
        await wire.send(HEAD)

        assert await wire.is_closed_within(6 * IMPATIENT.arrival_seconds)


async def test_late_rest_is_the_parsers(application: Application, oracle: Oracle) -> None:
    """A body that comes late is read by the application, within the application's own time."""
    async with served(application, prompt(oracle, bounds=Bounds(arrival_seconds=600, body_seconds=0.05))) as server:
        wire = await server.connect()
        await wire.send(HEAD)
        await until(lambda: application.begun)
        await wire.send(BODY)

        assert await wire.answer() == (200, b"/verify/jwt")


async def test_trickle_is_kept_no_longer(application: Application, oracle: Oracle) -> None:
    """The moment is counted from the first piece, not from the latest."""
    async with served(application, prompt(oracle, bounds=Bounds(arrival_seconds=600, body_seconds=0.2))) as server:
        wire = await server.connect()
        await wire.send(HEAD, *(bytes([byte]) for byte in BODY[:-1]), pause=0.05)
        await until(lambda: application.begun)
        await wire.send(BODY[-1:])

        assert await wire.answer() == (200, b"/verify/jwt")


async def test_clock_of_what_came_before_is_not_that_of_the_question(application: Application, oracle: Oracle) -> None:
    """A line break after an answer starts one, which ends with the head."""
    async with served(application, prompt(oracle, bounds=Bounds(arrival_seconds=1.0, body_seconds=600))) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await wire.answer()
        await wire.send(b"\r\n", pause=0.4)
        await wire.send(HEAD, pause=0.8)
        await wire.send(BODY)

        assert await wire.answer() == (200, b"at once")


async def test_rest_ends_the_time_for_its_arrival(application: Application, oracle: Oracle) -> None:
    """The connection is kept for the next question."""
    async with served(application, prompt(oracle, bounds=Bounds(arrival_seconds=0.5, body_seconds=600))) as server:
        wire = await server.connect()
        await wire.send(HEAD, BODY, pause=A_MOMENT)
        await wire.answer()

        assert not await wire.is_closed_within(0.8)


async def test_connection_that_says_something_is_not_idle(application: Application, oracle: Oracle) -> None:
    """Between head and body no idle connection is closed; what may take how long to arrive is another clock's."""
    async with served(application, prompt(oracle, bounds=PATIENT)) as server:
        wire = await server.connect()
        await wire.send(QUESTION)
        await wire.answer()
        await wire.send(HEAD)
        (connection,) = server.server.server_state.connections
        await until(lambda: connection.timeout_keep_alive_task is None)  # type: ignore[union-attr]
        await wire.send(BODY)

        assert await wire.answer() == (200, b"at once")


async def test_stopping_server_answers_a_question_that_has_begun(application: Application, oracle: Oracle) -> None:
    """Then the connection is closed."""
    async with served(application, prompt(oracle, bounds=PATIENT)) as server:
        wire = await server.connect()
        await wire.send(HEAD)
        await until(lambda: oracle.shown)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(A_MOMENT)
        await wire.send(BODY)
        answer = await wire.answer()
        await stopping

    assert answer == (200, b"/verify/jwt")
    assert wire.closing


async def test_caller_who_leaves_between_the_two_leaves_nothing_behind(
    application: Application, oracle: Oracle
) -> None:
    """A caller that leaves between head and body gets no answer, and no timer stays behind."""
    async with served(application, prompt(oracle, bounds=PATIENT)) as server:
        wire = await server.connect()
        await wire.send(HEAD)
        await until(lambda: oracle.shown)
        wire.cut()
        await until(lambda: server.connections == 0)

    assert application.asked == []
    assert oracle.shown == [HEAD]


async def test_question_behind_one_that_is_waited_for_waits(application: Application, oracle: Oracle) -> None:
    """Pieces that come too early are held like anything else."""
    answers: list[asyncio.Future[Response]] = []

    def soon(request: bytes, _server: Any) -> asyncio.Future[Response] | None:
        if b"/email" not in request:
            return None
        answers.append(asyncio.get_running_loop().create_future())
        return answers[-1]

    bounded: Any = protocol(bounds=PATIENT)
    both = prompt_protocol(
        bounded,
        beginning=b"POST /verify/",
        answer_at_once=oracle,
        answer_soon=soon,
        is_beginning=oracle.is_beginning,
    )
    async with served(application, both) as server:
        wire = await server.connect()
        await wire.send(QUESTION.replace(b"/jwt", b"/email"))
        await until(lambda: answers)
        await wire.send(HEAD, BODY, pause=A_MOMENT)
        answers[0].set_result(Response(partial(response_bytes, Reply(200, b"soon"))))

        assert await wire.answer() == (200, b"soon")
        assert await wire.answer() == (200, b"/verify/jwt")
