"""Proof that is about to be stale is looked up again in the background."""

from datetime import timedelta

import pytest

from service.errors import (
    Overloaded,
    SourceUnavailable,
)
from service.ownership import (
    CacheTier,
    Credential,
    Reason,
)
from service.verification.interfaces import Priority
from tests.clock import START
from tests.core.rig import (
    AMOS,
    EMAIL,
    GAME,
    HOUR,
    INSTANT,
    JWT,
    KEY,
    KEY_PROOF,
    MINUTE,
    NO_TIME,
    SECOND,
    USER,
    Rig,
    background,
    foreground,
)

DUE = 48 * MINUTE
"""From here on, 80 % of an hour, proof is looked up again in the background."""

SERVED = 70 * MINUTE
"""Until here, ten minutes past its freshness, proof is served meanwhile."""


@pytest.mark.parametrize("credential", [KEY, EMAIL, USER])
async def test_proof_is_refreshed_before_it_is_stale(owner: Rig, credential: Credential) -> None:
    """The question that notices is answered at once; the next one has the newer evidence."""
    await owner.clock.advance(DUE)
    first = await owner.ask(credential)
    await owner.settle()

    second = await owner.ask(credential)

    assert owner.calls == [background(credential)]
    assert (first.decision.observed_at, second.decision.observed_at) == (START, START + DUE)


@pytest.mark.parametrize(("age", "stale"), [(HOUR - INSTANT, False), (HOUR, True), (SERVED - INSTANT, True)])
async def test_proof_is_served_while_it_is_refreshed(owner: Rig, age: timedelta, *, stale: bool) -> None:
    """For ten minutes past its freshness, and says that it is stale."""
    await owner.clock.advance(age)
    owner.source.takes = SECOND

    verdict = await owner.ask_through(timedelta(), KEY)

    assert (verdict.decision.allowed, verdict.decision.stale, verdict.cache) == (True, stale, CacheTier.MEMORY)


async def test_past_that_the_caller_waits_for_the_store(owner: Rig) -> None:
    """The evidence is too old to be served while the store may well answer."""
    await owner.clock.advance(SERVED)

    verdict = await owner.ask(KEY)

    assert (verdict.cache, owner.calls) == (CacheTier.NONE, [foreground(KEY)])


async def test_a_hundred_questions_refresh_once(owner: Rig) -> None:
    """A question that comes during a refresh starts no other."""
    await owner.clock.advance(DUE)
    owner.source.takes = SECOND

    tasks = [owner.asking(KEY) for _ in range(100)]
    await owner.settle()

    assert ({task.result().cache for task in tasks}, owner.calls) == ({CacheTier.MEMORY}, [background(KEY)])


async def test_nothing_is_refreshed_without_budget(owner: Rig) -> None:
    """Callers who wait come first; the answer is the same."""
    owner.queue.refusing[Priority.BACKGROUND] = Overloaded()
    await owner.clock.advance(HOUR)

    verdict = await owner.ask(KEY)
    await owner.settle()

    assert (verdict.decision.allowed, owner.calls) == (True, [])


async def test_a_refresh_spends_the_budget_that_there_is_now(owner: Rig) -> None:
    """A refresh does not queue."""
    owner.queue.admitted.clear()
    await owner.clock.advance(DUE)

    await owner.ask(KEY)

    assert owner.queue.admitted == [(Priority.BACKGROUND, timedelta())]


async def test_a_failed_refresh_is_not_tried_again_at_once(owner: Rig) -> None:
    """A second later it is."""
    await owner.clock.advance(DUE)
    owner.source.failing = SourceUnavailable()
    await owner.ask(KEY)
    await owner.settle()
    await owner.ask(KEY)
    await owner.settle()
    at_once = len(owner.calls)

    await owner.clock.advance(SECOND)
    await owner.ask(KEY)
    await owner.settle()

    assert (at_once, len(owner.calls)) == (1, 2)


async def test_a_refresh_that_gave_way_says_nothing_about_the_store(owner: Rig) -> None:
    """The budget had no room for the background: a caller who waits asks at once, and is not sent away."""
    await owner.clock.advance(DUE)
    owner.source.failing = Overloaded()
    await owner.ask(KEY)
    await owner.settle()
    owner.source.failing = None

    verdict = await owner.ask(KEY, max_age=NO_TIME)

    assert (verdict.decision.allowed, owner.calls[-1].priority) == (True, Priority.FOREGROUND)


async def test_a_refresh_that_gave_way_is_not_tried_again_at_once(owner: Rig) -> None:
    """A crowd would spend what there is on look-ups that come to nothing; a second later it is."""
    await owner.clock.advance(DUE)
    owner.source.failing = Overloaded()
    for _ in range(3):
        await owner.ask(KEY)
        await owner.settle()
    at_once = len(owner.calls)

    await owner.clock.advance(SECOND)
    await owner.ask(KEY)
    await owner.settle()

    assert (at_once, len(owner.calls)) == (1, 2)


async def test_who_joined_a_refresh_that_gave_way_asks_in_the_foreground(owner: Rig) -> None:
    """Both for the same thing: the caller has what budget there is for callers."""
    await owner.clock.advance(DUE)
    owner.source.takes, owner.source.failing = SECOND, Overloaded()
    owner.source.failing_only = Priority.BACKGROUND
    await owner.ask(KEY)
    await owner.settle()
    task = owner.asking(KEY, max_age=MINUTE)

    await owner.clock.advance(2 * SECOND)

    assert task.result().decision.allowed
    assert [call.priority for call in owner.calls] == [Priority.BACKGROUND, Priority.FOREGROUND]


async def test_a_refresh_that_says_no_ends_ownership(owner: Rig) -> None:
    """A refund shows at the next question, although the proof would have been usable for a day."""
    await owner.clock.advance(DUE)
    owner.source.disowns(GAME, KEY)
    await owner.ask(KEY)
    await owner.settle()

    assert (await owner.ask(KEY)).decision.reason is Reason.INVALID_DOWNLOAD_KEY


async def test_identities_are_not_refreshed_in_the_background(rig: Rig) -> None:
    """The store is asked about a JWT again when a player presents it."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    rig.calls.clear()
    await rig.clock.advance(10 * MINUTE - INSTANT)

    await rig.ask(JWT)
    await rig.settle()

    assert rig.calls == []
