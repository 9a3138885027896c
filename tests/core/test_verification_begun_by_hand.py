"""A question begins without a task, and becomes one only when it has to wait."""

import asyncio
from datetime import timedelta

import pytest

from service.ownership import CacheTier, Credential, Reason
from service.verification.question import Question, Verdict
from tests.core.by_hand import begin
from tests.core.rig import AMOS, EMAIL, GAME, JWT, KEY, KEY_PROOF, MINUTE, RULES, SECOND, USER, Rig, foreground


@pytest.fixture
async def known(rig: Rig) -> Rig:
    """The rig, after the store has shown that the owner has the game, by every method."""
    rig.source.belongs(JWT, AMOS)
    for subject in (KEY, EMAIL, USER):
        rig.source.owns(GAME, subject, KEY_PROOF)
        await rig.ask(subject)
    await rig.ask(JWT)
    rig.calls.clear()
    return rig


async def begun(rig: Rig, credential: Credential, deadline: timedelta = 3 * SECOND) -> Verdict | asyncio.Task[Verdict]:
    """Begin to ask, without a task."""
    return await begin(rig.verification.verify(Question(RULES, credential, deadline)))


async def waiting(rig: Rig, credential: Credential, deadline: timedelta = 3 * SECOND) -> asyncio.Task[Verdict]:
    """Begin to ask what needs a task."""
    task = await begun(rig, credential, deadline)
    assert isinstance(task, asyncio.Task)
    return task


@pytest.mark.parametrize("credential", [KEY, EMAIL, USER, JWT])
async def test_an_answer_from_memory_needs_no_task(known: Rig, credential: Credential) -> None:
    verdict = await begun(known, credential)

    assert isinstance(verdict, Verdict)
    assert (verdict.decision.allowed, verdict.cache) == (True, CacheTier.MEMORY)


@pytest.mark.parametrize("credential", [KEY, EMAIL, USER, JWT])
async def test_an_answer_from_redis_becomes_a_task(known: Rig, credential: Credential) -> None:
    """The reply of Redis has to be waited for; the store is not asked."""
    known.observations.forget()

    verdict = await (await waiting(known, credential))

    assert (verdict.decision.allowed, verdict.cache, known.calls) == (True, CacheTier.REDIS, [])


@pytest.mark.parametrize("credential", [KEY, EMAIL, USER])
async def test_a_look_up_becomes_a_task(rig: Rig, credential: Credential) -> None:
    """Time-outs need one."""
    rig.source.takes = SECOND
    task = await waiting(rig, credential)

    await rig.clock.advance(SECOND)

    assert (task.result().cache, rig.calls) == (CacheTier.NONE, [foreground(credential)])


async def test_a_task_that_began_by_hand_has_a_deadline(rig: Rig) -> None:
    """Only this task gets the time-out."""
    rig.source.takes = MINUTE
    task = await waiting(rig, KEY)
    patient = await waiting(rig, KEY, 2 * MINUTE)

    await rig.clock.advance(3 * SECOND)
    assert task.result().decision.reason is Reason.DEADLINE_EXCEEDED
    assert not patient.done()
    await rig.clock.advance(MINUTE)
    assert patient.result().decision.reason is Reason.INVALID_DOWNLOAD_KEY


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_caller_leaves_the_shared_look_up_alone(rig: Rig, *, late: bool) -> None:
    """The caller's task may be cancelled before its first step."""
    rig.source.owns(GAME, KEY, KEY_PROOF)
    rig.source.takes = SECOND
    tasks = [await waiting(rig, KEY) for _ in range(3)]
    if late:
        await rig.settle()

    tasks[0].cancel()
    await rig.clock.advance(SECOND)

    assert tasks[0].cancelled()
    assert [task.result().decision.allowed for task in tasks[1:]] == [True, True]
    assert rig.calls == [foreground(KEY)]
