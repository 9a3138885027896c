"""The permit of a caller: awaited before the store is asked, once for a question."""

from datetime import timedelta

import pytest

from service.errors import SourceUnavailable
from service.ownership import CacheTier, Credential, Reason
from service.verification.question import Question, Verdict
from tests.core.rig import AMOS, GAME, HOUR, JWT, KEY, KEY_PROOF, MINUTE, RULES, SECOND, USER, Rig, foreground


class Caller:
    """Asks with a permit, and counts how often it is awaited."""

    def __init__(self, rig: Rig, *, permitted: bool) -> None:
        self._rig = rig
        self._permitted = permitted
        self.awaited = 0

    async def ask(
        self, credential: Credential, *, only_if_cached: bool = False, max_age: timedelta | None = None
    ) -> Verdict:
        """Ask and wait for the verdict."""
        question = Question(RULES, credential, 3 * SECOND, max_age, only_if_cached)
        return await self._rig.verification.verify(question, permit=self._permit)

    async def _permit(self) -> bool:
        self.awaited += 1
        return self._permitted


@pytest.fixture
def permitted(rig: Rig) -> Caller:
    """A caller for whom the store may be asked."""
    return Caller(rig, permitted=True)


@pytest.fixture
def refused(rig: Rig) -> Caller:
    """A caller for whom the store may not be asked."""
    return Caller(rig, permitted=False)


async def test_a_question_with_two_look_ups_needs_one_permit(rig: Rig, permitted: Caller) -> None:
    """For a JWT and for the ownership of its player."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF)

    verdict = await permitted.ask(JWT)

    assert (verdict.decision.allowed, permitted.awaited) == (True, 1)
    assert rig.calls == [foreground(JWT), foreground(USER)]


@pytest.mark.parametrize("tier", [CacheTier.MEMORY, CacheTier.REDIS])
async def test_an_answer_from_a_cache_needs_no_permit(rig: Rig, refused: Caller, tier: CacheTier) -> None:
    """From either tier."""
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.ask(KEY)
    if tier is CacheTier.REDIS:
        rig.observations.forget()

    verdict = await refused.ask(KEY)

    assert (verdict.decision.allowed, verdict.cache, refused.awaited) == (True, tier, 0)


async def test_a_question_that_does_not_let_the_store_be_asked_needs_no_permit(refused: Caller) -> None:
    """The permit would be of no use."""
    verdict = await refused.ask(KEY, only_if_cached=True)

    assert (verdict.decision.reason, refused.awaited) == (Reason.NOT_CACHED, 0)


async def test_the_store_is_not_asked_without_the_permit(rig: Rig, refused: Caller) -> None:
    """The answer is that of a question to the caches alone."""
    verdict = await refused.ask(KEY)

    assert (verdict.decision.reason, refused.awaited, rig.calls) == (Reason.NOT_CACHED, 1, [])


async def test_a_refused_permit_holds_for_the_whole_question(rig: Rig, refused: Caller) -> None:
    """The JWT's player is known, and has yet to be looked up."""
    rig.source.belongs(JWT, AMOS)
    await rig.ask(JWT)
    await rig.clock.advance(MINUTE)
    rig.calls.clear()

    verdict = await refused.ask(JWT)

    assert (verdict.decision.reason, refused.awaited, rig.calls) == (Reason.NOT_CACHED, 1, [])


async def test_grace_needs_no_permission_of_the_store(rig: Rig, refused: Caller) -> None:
    """Older proof does while the store is known to give no answer."""
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.ask(KEY)
    await rig.clock.advance(2 * HOUR)
    rig.source.failing = SourceUnavailable()
    await rig.ask(KEY)

    verdict = await refused.ask(KEY)

    assert (verdict.decision.allowed, verdict.decision.stale) == (True, True)


async def test_an_answer_that_comes_while_the_permit_is_awaited_is_used(rig: Rig) -> None:
    """Another question has had the store asked meanwhile."""
    rig.source.owns(GAME, KEY, KEY_PROOF)

    async def permit() -> bool:
        await rig.ask(KEY)
        return False

    verdict = await rig.verification.verify(Question(RULES, KEY, 3 * SECOND), permit=permit)

    assert (verdict.decision.allowed, verdict.cache) == (True, CacheTier.MEMORY)
