"""Concurrent equal questions are one look-up, and a caller that leaves harms no other."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from service.errors import SourceUnavailable
from service.ownership import Fingerprint
from service.verification.singleflight import SingleFlight
from tests.clock import START

NAME = Fingerprint(b"a question")
OTHER = Fingerprint(b"another question")
SECOND = timedelta(seconds=1)


class Scene:
    """A single-flight, and look-ups that end when the test says so."""

    def __init__(self) -> None:
        self.joined = 0
        self.crashes: list[BaseException] = []
        self.flights: SingleFlight[str] = SingleFlight(joined=self._count, crashed=self.crashes.append)
        self.answers: list[asyncio.Future[str]] = []

    async def look_up(self) -> str:
        """Wait for the test to set the answer."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer

    def fly(self, name: Fingerprint = NAME, *, now: int = 0, not_before: int | None = None) -> asyncio.Task[str]:
        """Begin to ask, so many seconds after the start."""
        oldest = None if not_before is None else START + not_before * SECOND
        return asyncio.ensure_future(self.flights.fly(name, self.look_up, now=START + now * SECOND, not_before=oldest))

    def start(self) -> asyncio.Task[str]:
        """Begin a look-up without a caller."""
        return self.flights.start(NAME, self.look_up, now=START)

    def _count(self) -> None:
        self.joined += 1


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A scene in which asyncio has nothing to complain about, not even once all is collected."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    scene = Scene()
    yield scene
    await scene.flights.close()
    scene.answers.clear()
    await turn()
    gc.collect()
    assert complaints == []


async def turn() -> None:
    """Let every task run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_thousand_callers_are_one_look_up(scene: Scene) -> None:
    """All get its answer, and all but the first are counted as having joined."""
    tasks = [scene.fly() for _ in range(1000)]
    await turn()

    scene.answers[0].set_result("owned")

    assert await asyncio.gather(*tasks) == ["owned"] * 1000
    assert (len(scene.answers), scene.joined) == (1, 999)


@pytest.mark.parametrize("leaving", [0, 1, 99])
async def test_a_caller_who_is_cancelled_harms_nobody(scene: Scene, leaving: int) -> None:
    """The cancelled caller may be the first, who began the look-up, or any other."""
    tasks = [scene.fly() for _ in range(100)]
    await turn()
    tasks[leaving].cancel()
    await turn()

    scene.answers[0].set_result("owned")
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert tasks[leaving].cancelled()
    assert [answer for answer in answers if answer == "owned"] == ["owned"] * 99


async def test_when_all_callers_have_gone_the_look_up_goes_on(scene: Scene) -> None:
    """The next caller joins it."""
    early = scene.fly()
    await turn()
    early.cancel()
    await turn()
    late = scene.fly()
    await turn()

    scene.answers[0].set_result("owned")

    assert (await late, len(scene.answers)) == ("owned", 1)


async def test_a_time_out_of_one_caller_harms_nobody(scene: Scene) -> None:
    """A time-out is a cancellation too."""
    patient = scene.fly()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await scene.flights.fly(NAME, scene.look_up, now=START)
    await turn()

    scene.answers[0].set_result("owned")

    assert await patient == "owned"


async def test_names_do_not_share(scene: Scene) -> None:
    """Each has its own look-up."""
    tasks = [scene.fly(NAME), scene.fly(OTHER)]
    await turn()
    scene.answers[0].set_result("owned")
    scene.answers[1].set_result("not owned")

    assert await asyncio.gather(*tasks) == ["owned", "not owned"]


async def test_once_it_has_landed_the_next_one_asks_anew(scene: Scene) -> None:
    """An answer is no memory."""
    first = scene.fly()
    await turn()
    scene.answers[0].set_result("owned")
    await first
    await turn()
    under_way = scene.flights.under_way(NAME)
    second = scene.fly()
    await turn()
    scene.answers[1].set_result("not owned")

    assert (under_way, await second, scene.joined) == (False, "not owned", 0)


@pytest.mark.parametrize(("not_before", "expected"), [(None, True), (-1, True), (0, True), (1, False)])
async def test_a_look_up_is_under_way_for_those_who_accept_its_age(
    scene: Scene, not_before: int | None, *, expected: bool
) -> None:
    """The look-up began at zero."""
    scene.start()

    oldest = None if not_before is None else START + not_before * SECOND
    assert scene.flights.under_way(NAME, not_before=oldest) is expected


async def test_a_caller_who_wants_newer_evidence_does_not_join(scene: Scene) -> None:
    """Each gets the answer of a look-up that began late enough."""
    early = scene.fly(now=0)
    await turn()
    strict = scene.fly(now=2, not_before=1)
    await turn()
    scene.answers[0].set_result("owned")
    scene.answers[1].set_result("not owned")

    assert (await early, await strict, scene.joined) == ("owned", "not owned", 0)


async def test_the_newest_look_up_is_the_one_to_join(scene: Scene) -> None:
    """The older one landing does not take it off the list."""
    early = scene.fly(now=0)
    await turn()
    strict = scene.fly(now=2, not_before=1)
    await turn()
    scene.answers[0].set_result("owned")
    await early
    await turn()
    late = scene.fly(now=3)
    await turn()
    scene.answers[1].set_result("not owned")

    assert (await strict, await late, len(scene.answers)) == ("not owned", "not owned", 2)


async def test_no_answer_fails_all_who_wait_and_is_no_bug(scene: Scene) -> None:
    """Each learns why."""
    tasks = [scene.fly() for _ in range(100)]
    await turn()

    scene.answers[0].set_exception(SourceUnavailable())
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(result) for result in results} == {SourceUnavailable}
    assert scene.crashes == []


async def test_no_answer_that_nobody_waits_for_is_not_logged(scene: Scene) -> None:
    """A refresh in the background may fail."""
    scene.start()
    await turn()

    scene.answers[0].set_exception(SourceUnavailable())
    await turn()

    assert (scene.crashes, scene.flights.under_way(NAME)) == ([], False)


async def test_no_answer_after_a_caller_has_gone_is_not_logged(scene: Scene) -> None:
    """A failure after a caller's deadline is not logged as unhandled."""
    gone, waiting = scene.fly(), scene.fly()
    await turn()
    gone.cancel()
    await turn()

    scene.answers[0].set_exception(SourceUnavailable())

    with pytest.raises(SourceUnavailable):
        await waiting


@pytest.mark.parametrize("callers", [0, 1, 100])
async def test_a_bug_is_reported_once(scene: Scene, callers: int) -> None:
    """A bug is reported once without callers and with a hundred, who get it too."""
    bug = ZeroDivisionError()
    scene.start()
    tasks = [scene.fly() for _ in range(callers)]
    await turn()

    scene.answers[0].set_exception(bug)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await turn()

    assert (scene.crashes, results) == ([bug], [bug] * callers)


async def test_a_bug_is_reported_although_every_caller_has_gone(scene: Scene) -> None:
    gone = scene.fly()
    await turn()
    gone.cancel()
    await turn()

    scene.answers[0].set_exception(ZeroDivisionError())
    await turn()

    assert [type(crash) for crash in scene.crashes] == [ZeroDivisionError]


async def test_a_look_up_that_fails_at_once_is_reported_too(scene: Scene) -> None:
    """The look-up never waited for anything."""

    async def crash() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await scene.flights.fly(NAME, crash, now=START)

    assert [type(crash) for crash in scene.crashes] == [ZeroDivisionError]


async def test_close_cancels_what_is_under_way(scene: Scene) -> None:
    """No look-up runs afterwards, with callers or without."""
    scene.start()
    waiting = scene.fly(OTHER)
    await turn()

    await scene.flights.close()
    await turn()

    assert [answer.cancelled() for answer in scene.answers] == [True, True]
    assert (scene.flights.under_way(NAME), scene.flights.under_way(OTHER)) == (False, False)
    assert waiting.cancelled()


async def test_close_also_cancels_a_look_up_that_a_newer_one_has_replaced(scene: Scene) -> None:
    """A look-up that was replaced cannot be joined any more, but still runs."""
    tasks = [scene.fly(now=0), scene.fly(now=2, not_before=1)]
    await turn()

    await scene.flights.close()
    await turn()

    assert [answer.cancelled() for answer in scene.answers] == [True, True]
    assert [task.cancelled() for task in tasks] == [True, True]


async def test_close_waits_for_a_look_up_to_tidy_up(scene: Scene) -> None:
    """The look-up has closed everything when `close` returns."""
    tidied = False

    async def tidy() -> str:
        nonlocal tidied
        try:
            return await scene.look_up()
        finally:
            await turn()
            tidied = True

    scene.flights.start(NAME, tidy, now=START)
    await turn()

    await scene.flights.close()

    assert tidied


async def test_closing_when_nothing_is_under_way_is_fine(scene: Scene) -> None:
    """A second close is fine too."""
    await scene.flights.close()
    await scene.flights.close()

    assert scene.answers == []


async def test_starting_gives_the_task_itself(scene: Scene) -> None:
    """For who wants to wait without being counted."""
    task = scene.start()
    await turn()
    scene.answers[0].set_result("owned")

    assert (await task, scene.joined) == ("owned", 0)
