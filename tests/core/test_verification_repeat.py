"""A verdict from memory may be given again exactly as long as it would come out the same."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SourceUnavailable
from service.ownership import CacheTier, Credential, Player, PlayerId, Reason
from tests.core.rig import (
    AMOS,
    EMAIL,
    GAME,
    HOUR,
    JWT,
    KEY,
    KEY_PROOF,
    MINUTE,
    NO_TIME,
    SECOND,
    SELLER,
    USER,
    Rig,
    rules,
)

SUBJECTS: list[Credential] = [KEY, EMAIL, USER, JWT]


def owning(rig: Rig) -> Rig:
    """Let the store show that everybody owns the game."""
    rig.source.belongs(JWT, AMOS, expires_at=rig.clock.now() + 5 * MINUTE)
    for subject in (KEY, EMAIL, USER):
        rig.source.owns(GAME, subject, KEY_PROOF)
    return rig


def refund(rig: Rig) -> None:
    """Let the store say no from now on, and let it be asked."""
    for subject in (KEY, EMAIL, USER):
        rig.source.owns(GAME, subject)


def _become(rig: Rig, player_id: PlayerId | None) -> None:
    rig.source.seller = player_id


def _fall_silent(rig: Rig) -> None:
    rig.source.failing = SourceUnavailable()


CHANGES: dict[str, Callable[[Rig], object]] = {
    "nothing": lambda _: None,
    "the player is found to be the seller": lambda rig: _become(rig, AMOS.id),
    "the seller is forgotten": lambda rig: _become(rig, None),
    "the key is forgotten": lambda rig: rig.invalidate(KEY),
    "the user is forgotten": lambda rig: rig.invalidate(USER),
    "the game is forgotten": lambda rig: rig.invalidate(None),
    "memory is lost": lambda rig: rig.observations.forget(),
    "the money is back": refund,
    "the store falls silent": _fall_silent,
}
LATER = [NO_TIME, SECOND, MINUTE, 4 * MINUTE, 10 * MINUTE, 47 * MINUTE, HOUR, 30 * HOUR]


@given(
    subject=st.sampled_from(SUBJECTS),
    owned=st.booleans(),
    steps=st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.sampled_from(LATER), st.booleans()), max_size=5),
)
def test_verdict_that_may_be_repeated_would_come_out_the_same(
    subject: Credential,
    owned: bool,  # noqa: FBT001 - drawn
    steps: list[tuple[str, timedelta, bool]],
) -> None:
    """Whatever happens: as long as it may be repeated, verification gives it again and asks nobody."""

    async def live() -> None:
        rig = owning(Rig())
        if not owned:
            refund(rig)
        await rig.ask(subject)
        known = await rig.ask(subject)
        assert known.grounds is not None
        assert rig.verification.would_repeat(known.grounds, now=rig.clock.now())
        for change, later, fresh in steps:
            CHANGES[change](rig)
            await rig.clock.advance(later)
            if fresh:
                await rig.ask(subject, max_age=NO_TIME)
            if rig.verification.would_repeat(known.grounds, now=rig.clock.now()):
                calls = len(rig.calls)
                assert await rig.ask(subject) == known
                await rig.settle()
                assert len(rig.calls) == calls

    asyncio.run(live())


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_verdict_may_be_repeated_until_something_is_due(subject: Credential) -> None:
    """An hour's proof for four fifths of it; a JWT as long as it is taken for its player."""
    rig = owning(Rig())
    await rig.ask(subject)
    known = await rig.ask(subject)
    assert known.grounds is not None
    fresh_for = 5 * MINUTE - 30 * SECOND if subject is JWT else 48 * MINUTE

    await rig.clock.advance(fresh_for - SECOND)
    assert rig.verification.would_repeat(known.grounds, now=rig.clock.now())
    await rig.clock.advance(SECOND)
    assert not rig.verification.would_repeat(known.grounds, now=rig.clock.now())


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_verdict_of_the_store_may_not_be_repeated(subject: Credential) -> None:
    """Nor what was kept elsewhere: the next one finds it in memory."""
    rig = owning(Rig())

    first = await rig.ask(subject)
    rig.observations.forget()
    second = await rig.ask(subject)

    assert (first.cache, first.grounds) == (CacheTier.NONE, None)
    assert (second.cache, second.grounds) == (CacheTier.REDIS, None)


async def test_refusal_may_be_repeated_for_its_minute() -> None:
    """The store has said that the JWT is no good; it is not asked again so soon."""
    rig = Rig()
    rig.source.refuses(JWT, Reason.REFUSED_JWT)
    await rig.ask(JWT)

    known = await rig.ask(JWT)

    assert known.grounds is not None
    assert rig.verification.would_repeat(known.grounds, now=rig.clock.now())
    assert not rig.verification.would_repeat(known.grounds, now=rig.clock.now() + MINUTE)


async def test_word_of_the_operator_about_a_jwt_may_be_repeated() -> None:
    """It rests on whose the JWT is."""
    rig = Rig()
    rig.source.belongs(JWT, Player(SELLER))
    await rig.ask(JWT)

    known = await rig.ask(JWT)

    assert known.decision.reason is Reason.SELLER_ACCOUNT
    assert known.grounds is not None


async def test_word_of_the_operator_about_a_user_rests_on_nothing() -> None:
    """There is no observation that could be newer or forgotten, so it is said anew each time."""
    rig = Rig()

    known = await rig.ask(USER, rules(ban_user_ids=frozenset({AMOS.id})))

    assert known.grounds is None


async def test_nothing_may_be_repeated_while_the_seller_is_not_known() -> None:
    """Sellers hold no key of their own game, and the player might be the seller."""
    rig = owning(Rig())
    _become(rig, None)
    await rig.ask(KEY)

    known = await rig.ask(KEY)

    assert (known.cache, known.grounds) == (CacheTier.MEMORY, None)
