"""JWTs, and the limits of what they say: the second step of a question."""

import pytest

from service.errors import (
    SourceUnavailable,
)
from service.ownership import (
    CacheTier,
    GameId,
    Method,
    Outcome,
    Player,
    Reason,
)
from tests.clock import START
from tests.core.rig import (
    AMOS,
    GAME,
    GRANTED,
    HOUR,
    INSTANT,
    JWT,
    KEY_PROOF,
    MINUTE,
    SECOND,
    SELLER,
    USER,
    Rig,
    foreground,
)


async def test_a_jwt_is_turned_into_its_player_and_then_looked_up(rig: Rig) -> None:
    """The player is looked up by id, and answered as the JWT named them."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=Player(AMOS.id, "renamed"))

    decision = (await rig.ask(JWT)).decision

    assert (decision.reason, decision.method, decision.player) == (Reason.DOWNLOAD_KEY, Method.JWT, AMOS)
    assert rig.calls == [foreground(JWT), foreground(USER)]


@pytest.mark.parametrize("reason", [Reason.REFUSED_JWT, Reason.EXPIRED_JWT])
async def test_a_jwt_that_the_store_refuses_is_rejected(rig: Rig, reason: Reason) -> None:
    """For a minute, without asking about ownership."""
    rig.source.refuses(JWT, reason)

    decision = (await rig.ask(JWT)).decision

    assert (decision.outcome, decision.reason, decision.player) == (Outcome.REJECTED, reason, None)
    assert (decision.observed_at, decision.fresh_until) == (START, START + MINUTE)
    assert rig.calls == [foreground(JWT)]


async def test_a_jwt_for_another_game_is_refused(rig: Rig) -> None:
    """The player's ownership is not even looked up."""
    rig.source.belongs(JWT, AMOS, only_game=GameId(4))
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    decision = (await rig.ask(JWT)).decision

    assert (decision.reason, decision.player, rig.calls) == (Reason.REFUSED_JWT, None, [foreground(JWT)])


async def test_a_jwt_for_another_game_grants_nothing_to_those_who_are_granted(rig: Rig) -> None:
    """The sender of a replayed JWT is not that player."""
    rig.source.belongs(JWT, AMOS, only_game=GameId(4))

    assert (await rig.ask(JWT, GRANTED)).decision.reason is Reason.REFUSED_JWT


async def test_a_jwt_for_this_game_is_accepted(rig: Rig) -> None:
    """The game it names is the one asked about."""
    rig.source.belongs(JWT, AMOS, only_game=GAME)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)

    assert (await rig.ask(JWT)).decision.outcome is Outcome.OWNED


async def test_a_decision_by_jwt_rests_on_both_observations(rig: Rig) -> None:
    """The decision is as old as the older, and usable as long as both."""
    rig.source.belongs(JWT, AMOS, expires_at=START + HOUR)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    rig.source.takes = SECOND

    decision = (await rig.ask_through(2 * SECOND, JWT)).decision

    assert (decision.observed_at, decision.fresh_until) == (START, START + 10 * MINUTE)
    assert decision.usable_until == START + HOUR


async def test_a_decision_by_jwt_comes_from_the_slower_tier(rig: Rig) -> None:
    """The player was known, the JWT was not."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(USER)

    first, second = await rig.ask(JWT), await rig.ask(JWT)

    assert (first.cache, second.cache) == (CacheTier.NONE, CacheTier.MEMORY)


async def test_a_jwt_that_expires_while_ownership_is_looked_up_is_rejected(rig: Rig) -> None:
    """At its very last instant the player is let in no more, even if the store says that they own the game."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 4 * SECOND)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    rig.source.takes = 2 * SECOND

    decision = (await rig.ask_through(4 * SECOND, JWT)).decision

    assert (decision.outcome, decision.reason, decision.player) == (Outcome.REJECTED, Reason.EXPIRED_JWT, None)


async def test_a_jwt_that_is_still_good_when_ownership_is_known_is_accepted(rig: Rig) -> None:
    """One instant is enough."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 4 * SECOND + INSTANT)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    rig.source.takes = 2 * SECOND

    assert (await rig.ask_through(4 * SECOND, JWT)).decision.allowed


async def test_a_jwt_that_expires_while_the_seller_is_looked_up_is_rejected(rig: Rig) -> None:
    """The seller is not let in with it either."""
    rig.source.seller = None
    rig.source.seller_takes = 2 * SECOND
    rig.source.belongs(JWT, Player(SELLER), expires_at=START + 2 * SECOND)

    assert (await rig.ask_through(2 * SECOND, JWT)).decision.reason is Reason.EXPIRED_JWT


async def test_a_jwt_that_expires_while_it_is_identified_grants_nothing(rig: Rig) -> None:
    """The operator's word is about a player, and an expired JWT stands for none."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 2 * SECOND)
    rig.source.takes = 2 * SECOND

    assert (await rig.ask_through(2 * SECOND, JWT, GRANTED)).decision.reason is Reason.EXPIRED_JWT


@pytest.mark.parametrize("failing", [False, True])
async def test_a_remembered_jwt_is_rejected_from_its_expiry_on(rig: Rig, *, failing: bool) -> None:
    """Neither fresh proof of ownership nor an answer of the store makes a difference."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 5 * MINUTE)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    await rig.clock.advance(5 * MINUTE)
    rig.source.refuses(JWT, Reason.EXPIRED_JWT)
    rig.source.failing = SourceUnavailable() if failing else None

    decision = (await rig.ask(JWT)).decision

    assert decision.reason is (Reason.SOURCE_UNAVAILABLE if failing else Reason.EXPIRED_JWT)


async def test_a_jwt_is_shown_to_the_store_again_half_a_minute_before_it_expires(rig: Rig) -> None:
    """Clocks differ."""
    rig.source.belongs(JWT, AMOS, expires_at=START + 5 * MINUTE)
    rig.source.owns(GAME, USER, KEY_PROOF, owner=AMOS)
    await rig.ask(JWT)
    rig.calls.clear()
    await rig.clock.advance(4.5 * MINUTE - INSTANT)
    await rig.ask(JWT)
    before = list(rig.calls)

    await rig.clock.advance(INSTANT)
    await rig.ask(JWT)

    assert (before, rig.calls) == ([], [foreground(JWT)])
