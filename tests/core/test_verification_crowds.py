"""The protection of the store from crowds: negative cache, budget, and one look-up for equal questions."""

import asyncio

import pytest

from service.errors import NoAnswer, Overloaded, SourceRateLimited, SourceUnavailable
from service.ownership import AssertedUser, Outcome, PlayerId, Reason
from service.verification.interfaces import Priority
from tests.clock import START
from tests.core.rig import (
    AMOS,
    EMAIL,
    GAME,
    JWT,
    KEY,
    KEY_PROOF,
    MINUTE,
    NO_TIME,
    SECOND,
    Rig,
)

# The negative cache


async def test_a_question_without_an_answer_is_left_alone_for_longer_each_time(rig: Rig) -> None:
    """One second, two, four, and then always five."""
    rig.source.failing = SourceUnavailable()
    asked_at = []
    for _ in range(20 * 4):
        before = len(rig.calls)
        await rig.ask(KEY)
        if len(rig.calls) > before:
            asked_at.append((rig.clock.now() - START) / SECOND)
        await rig.clock.advance(SECOND / 4)

    assert asked_at == [0, 1, 3, 7, 12, 17]


async def test_in_between_the_answer_is_the_same_with_the_time_left(rig: Rig) -> None:
    """The caller knows when it makes sense to ask again."""
    rig.source.failing = SourceUnavailable()
    await rig.ask(KEY)
    await rig.clock.advance(SECOND / 4)

    verdict = await rig.ask(KEY)

    assert (verdict.decision.reason, verdict.retry_after) == (Reason.SOURCE_UNAVAILABLE, 0.75 * SECOND)


async def test_an_answer_ends_the_row_of_failures(rig: Rig) -> None:
    """The next failure counts as the first."""
    rig.source.failing = SourceUnavailable()
    await rig.ask(KEY)
    await rig.clock.advance(SECOND)
    await rig.ask(KEY)
    rig.source.failing = None
    await rig.clock.advance(2 * SECOND)
    await rig.ask(KEY)
    rig.source.failing = SourceUnavailable()
    await rig.clock.advance(MINUTE)
    await rig.ask(KEY)

    assert (await rig.ask(KEY)).retry_after == SECOND


async def test_other_questions_are_not_held_up(rig: Rig) -> None:
    """Each fails by itself."""
    rig.source.failing = SourceUnavailable()
    await rig.ask(KEY)
    rig.source.failing = None

    assert (await rig.ask(EMAIL)).decision.outcome is Outcome.NOT_OWNED


async def test_even_a_max_age_of_zero_waits_after_a_failure(rig: Rig) -> None:
    """A crowd that insists would hit a broken store all the same."""
    rig.source.failing = SourceUnavailable()
    await rig.ask(KEY)

    await rig.ask(KEY, max_age=NO_TIME)

    assert len(rig.calls) == 1


# The store budget


@pytest.mark.parametrize("refusal", [Overloaded(retry_after=4 * SECOND), SourceRateLimited(retry_after=4 * SECOND)])
async def test_a_question_beyond_the_budget_is_turned_away_at_once(rig: Rig, refusal: NoAnswer) -> None:
    """The caller does not wait for a turn that cannot come, and the next question is judged anew."""
    rig.queue.refusing[Priority.FOREGROUND] = refusal
    turned_away = await rig.ask(KEY)
    rig.queue.refusing.clear()

    asked = await rig.ask(KEY)

    assert (turned_away.decision.reason, turned_away.retry_after) == (refusal.reason, 4 * SECOND)
    assert (asked.decision.outcome, len(rig.calls)) == (Outcome.NOT_OWNED, 1)


async def test_the_budget_is_asked_about_the_callers_time(rig: Rig) -> None:
    """The time that is left counts, not the whole deadline."""
    rig.source.belongs(JWT, AMOS)
    rig.source.takes = SECOND
    task = rig.asking(JWT, deadline=3 * SECOND)
    await rig.clock.advance(2 * SECOND)

    assert task.done()
    assert rig.queue.admitted == [(Priority.FOREGROUND, 3 * SECOND), (Priority.FOREGROUND, 2 * SECOND)]


async def test_joining_a_look_up_needs_no_budget(rig: Rig) -> None:
    """Joining costs the store nothing."""
    rig.source.takes = SECOND
    first = rig.asking(KEY)
    await rig.settle()
    rig.queue.refusing[Priority.FOREGROUND] = Overloaded()
    second = rig.asking(KEY)

    await rig.clock.advance(SECOND)

    assert [task.result().decision.outcome for task in (first, second)] == [Outcome.NOT_OWNED] * 2


# Equal questions


async def test_a_thousand_equal_questions_are_one_look_up(rig: Rig) -> None:
    """All have the same answer."""
    rig.source.takes = SECOND
    rig.source.owns(GAME, KEY, KEY_PROOF)
    tasks = [rig.asking(KEY) for _ in range(1000)]

    await rig.clock.advance(SECOND)
    verdicts = [task.result() for task in tasks]

    assert (len(rig.calls), rig.joined, {verdict.decision.allowed for verdict in verdicts}) == (1, 999, {True})


@pytest.mark.parametrize("turns", range(10))
async def test_a_question_that_comes_while_another_is_answered_is_not_looked_up_again(rig: Rig, turns: int) -> None:
    """The second one may come in any turn of the event loop."""
    first = rig.asking(KEY)
    for _ in range(turns):
        await asyncio.sleep(0)

    await asyncio.gather(first, rig.ask(KEY))

    assert len(rig.calls) == 1


async def test_callers_who_hang_up_leave_the_look_up_to_the_others(rig: Rig) -> None:
    """The first one too, who began it."""
    rig.source.takes = SECOND
    rig.source.owns(GAME, KEY, KEY_PROOF)
    tasks = [rig.asking(KEY) for _ in range(100)]
    await rig.settle()
    for task in tasks[:50]:
        task.cancel()

    await rig.clock.advance(SECOND)

    assert all(task.result().decision.allowed for task in tasks[50:])
    assert (all(task.cancelled() for task in tasks[:50]), len(rig.calls)) == (True, 1)


async def test_a_hundred_who_fail_together_fail_alike(rig: Rig) -> None:
    """There is one look-up and one reason, and no caller may come back earlier than the store said."""
    rig.source.takes = SECOND
    rig.source.failing = SourceRateLimited(retry_after=9 * SECOND)
    tasks = [rig.asking(KEY) for _ in range(100)]

    await rig.clock.advance(SECOND)
    verdicts = [task.result() for task in tasks]

    assert {(verdict.decision.reason, verdict.retry_after) for verdict in verdicts} == {
        (Reason.SOURCE_RATE_LIMITED, 9 * SECOND)
    }


async def test_the_seller_is_found_out_once_for_all_players(rig: Rig) -> None:
    """A hundred who own nothing, at once, right after the start."""
    rig.source.seller = None
    rig.source.seller_takes = SECOND
    tasks = [rig.asking(AssertedUser(PlayerId(number))) for number in range(2, 102)]

    await rig.clock.advance(SECOND)
    assert all(task.done() for task in tasks)
    assert len(rig.calls) == 101


async def test_closing_gives_up_what_is_under_way(rig: Rig) -> None:
    """No look-up runs on, and callers who still wait are cancelled."""
    rig.source.takes = MINUTE
    task = rig.asking(KEY)
    await rig.settle()

    await rig.verification.close()
    await rig.settle()

    assert task.cancelled()
