"""The tries of a caller at new credentials: held by its look-ups, spent by a no of the store, and by nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import pytest

from service.errors import SourceUnavailable, TooManyQuestions
from service.limits.caller_limits import KeyTries
from service.ownership import CacheTier, Credential, DownloadKey, Evidence, Fingerprint, Observation, Outcome, Reason
from tests.core.rig import AMOS, EMAIL, GAME, HOUR, INSTANT, JWT, KEY, KEY_PROOF, MINUTE, NO_TIME, SECOND, USER, Rig

GUESSES: Final = [DownloadKey(f"a-guess-of-somebody-{number}") for number in range(10)]


@pytest.fixture
def tries(rig: Rig) -> KeyTries:
    """Two a minute."""
    return KeyTries(per_minute=2, clock=rig.clock)


async def left(tries: KeyTries) -> int:
    """Return how many noes it still takes until all are spent, and spend them."""
    for number in range(100):
        try:
            held = await tries.hold()
        except TooManyQuestions:
            return number
        held.spend()
        held.let_go()
    raise AssertionError("there is no end to them")


@pytest.mark.parametrize("credential", [KEY, JWT])
async def test_a_no_spends_one(rig: Rig, tries: KeyTries, credential: Credential) -> None:
    """Whether of a key or of a JWT."""
    rig.source.refuses(JWT, Reason.REFUSED_JWT)

    verdict = await rig.ask(credential, tries=tries)

    assert (verdict.decision.allowed, await left(tries)) == (False, 1)


@pytest.mark.parametrize("credential", [KEY, JWT])
async def test_a_yes_spends_none(rig: Rig, tries: KeyTries, credential: Credential) -> None:
    """The owner of a JWT who owns nothing has presented a good JWT, too."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, KEY, KEY_PROOF)

    await rig.ask(credential, tries=tries)

    assert await left(tries) == 2


@pytest.mark.parametrize("credential", [USER, EMAIL])
async def test_names_of_players_need_none(rig: Rig, tries: KeyTries, credential: Credential) -> None:
    """They are the caller's own word, and prove nothing."""
    assert await left(tries) == 2

    assert (await rig.ask(credential, tries=tries)).decision.outcome is Outcome.NOT_OWNED


async def test_without_an_answer_none_is_spent(rig: Rig, tries: KeyTries) -> None:
    """A store that says nothing has not said no."""
    rig.source.failing = SourceUnavailable()
    for guess in GUESSES:
        await rig.ask(guess, tries=tries)

    assert await left(tries) == 2


async def test_a_crowd_that_asks_the_same_spends_one(rig: Rig, tries: KeyTries) -> None:
    """Three hundred of one caller, and the store says no: one look-up has failed."""
    rig.source.takes = SECOND
    tasks = [rig.asking(KEY, tries=tries) for _ in range(300)]
    await rig.clock.advance(SECOND)

    assert {task.result().decision.reason for task in tasks} == {Reason.INVALID_DOWNLOAD_KEY}
    assert (len(rig.calls), await left(tries)) == (1, 1)


async def test_good_credentials_wait_for_a_try_and_are_let_in(rig: Rig, tries: KeyTries) -> None:
    """Ten at once with two tries: two at a time are looked up, all within their deadline."""
    rig.source.takes = SECOND / 4
    for guess in GUESSES:
        rig.source.owns(GAME, guess, KEY_PROOF)
    tasks = [rig.asking(guess, tries=tries) for guess in GUESSES]
    await rig.settle()
    at_once = len(rig.calls)
    await rig.clock.advance(2 * SECOND)

    assert (at_once, [task.result().decision.allowed for task in tasks]) == (2, [True] * 10)


async def test_who_waits_for_a_try_until_its_deadline_is_told_that(rig: Rig, tries: KeyTries) -> None:
    """No try is spent yet, so it is no fault of the caller; and the store was not asked."""
    rig.source.takes = MINUTE
    tasks = [rig.asking(guess, tries=tries) for guess in GUESSES[:3]]
    await rig.clock.advance(3 * SECOND)

    assert {task.result().decision.reason for task in tasks} == {Reason.DEADLINE_EXCEEDED}
    await rig.clock.advance(2 * MINUTE)
    assert len(rig.calls) == 2


async def test_who_waits_is_refused_as_soon_as_all_are_spent(rig: Rig, tries: KeyTries) -> None:
    """Two noes are the answer to two; the others get the time to come back."""
    rig.source.takes = SECOND
    tasks = [rig.asking(guess, tries=tries) for guess in GUESSES]
    await rig.clock.advance(SECOND)

    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends[2:]] == [TooManyQuestions] * 8
    assert len(rig.calls) == 2
    refusal = ends[-1]
    assert isinstance(refusal, TooManyQuestions)
    assert (refusal.limit, refusal.retry_after) == ("failed_keys", 30 * SECOND)


async def test_hanging_up_spends_the_try_all_the_same(rig: Rig, tries: KeyTries) -> None:
    """Else guessing were free."""
    rig.source.takes = SECOND
    tasks = [rig.asking(guess, tries=tries) for guess in GUESSES[:2]]
    await rig.settle()
    for task in tasks:
        task.cancel()
    await rig.clock.advance(SECOND)

    with pytest.raises(TooManyQuestions):
        await rig.ask(KEY, tries=tries)


async def test_who_hangs_up_while_waiting_for_a_try_has_not_asked(rig: Rig, tries: KeyTries) -> None:
    """Its look-up is dropped, and the next one has the try."""
    rig.source.takes = SECOND
    tasks = [rig.asking(guess, tries=tries) for guess in GUESSES[:4]]
    await rig.settle()
    tasks[2].cancel()
    for guess in GUESSES[:4]:
        rig.source.owns(GAME, guess, KEY_PROOF)
    await rig.clock.advance(2 * SECOND)

    assert [call.about for call in rig.calls] == [GUESSES[0], GUESSES[1], GUESSES[3]]
    assert tasks[3].result().decision.allowed


async def test_joining_another_callers_look_up_costs_nothing(rig: Rig, tries: KeyTries) -> None:
    """Even for a caller who has none left; the one who began it pays for its no."""
    await left(tries)
    others = KeyTries(per_minute=2, clock=rig.clock)
    rig.source.takes = SECOND
    first = rig.asking(KEY, caller="other", tries=others)
    await rig.settle()
    joined = rig.asking(KEY, caller="spent", tries=tries)
    await rig.clock.advance(SECOND)

    assert {task.result().decision.reason for task in (first, joined)} == {Reason.INVALID_DOWNLOAD_KEY}
    assert (len(rig.calls), await left(others)) == (1, 1)


async def test_who_joined_a_caller_whose_tries_are_spent_asks_for_itself(rig: Rig, tries: KeyTries) -> None:
    """Another caller's guessing is no reason to refuse it."""
    rig.source.takes = SECOND
    rig.source.owns(GAME, KEY, KEY_PROOF)
    tasks = [rig.asking(guess, caller="guesser", tries=tries) for guess in [*GUESSES[:2], KEY]]
    await rig.settle()
    joined = rig.asking(KEY, caller="honest", tries=KeyTries(per_minute=1, clock=rig.clock))
    await rig.clock.advance(2 * SECOND)

    with pytest.raises(TooManyQuestions):
        await tasks[2]
    assert joined.result().decision.allowed


async def test_who_joined_a_caller_without_room_asks_for_itself(rig: Rig) -> None:
    """Its own lane is empty."""
    rig.source.turn_takes = SECOND
    rig.source.no_turn_for = {"crowd"}
    rig.source.owns(GAME, KEY, KEY_PROOF)
    one = rig.asking(KEY, caller="crowd")
    await rig.settle()
    other = rig.asking(KEY, caller="single")
    await rig.clock.advance(2 * SECOND)

    assert (one.result().decision.reason, one.result().retry_after) == (Reason.OVERLOADED, 7 * SECOND)
    assert other.result().decision.allowed


async def test_that_there_was_no_room_is_not_remembered(rig: Rig) -> None:
    """It says nothing about the store, and less about another caller."""
    rig.source.no_turn_for = {"crowd"}
    await rig.ask(KEY, caller="crowd")

    assert (await rig.ask(KEY, caller="single")).decision.outcome is Outcome.NOT_OWNED


class Elsewhere:
    """A lease that another replica has, which finds that the key is none."""

    async def look_up_once(
        self,
        name: Fingerprint,  # noqa: ARG002 - there is one question
        look_up: Callable[[], Awaitable[Observation]],  # noqa: ARG002 - the other replica looked it up
        *,
        good_enough: Callable[[Observation], bool],  # noqa: ARG002 - it is
    ) -> Observation:
        """Return what the other replica has found."""
        return self.found

    found: Observation


async def test_another_replicas_look_up_costs_nothing() -> None:
    """It was paid for there."""
    lease = Elsewhere()
    rig = Rig(lease=lease)
    lease.found = Evidence(rig.clock.now(), ())
    tries = KeyTries(per_minute=2, clock=rig.clock)

    verdict = await rig.ask(KEY, tries=tries)

    assert (verdict.decision.reason, rig.calls) == (Reason.INVALID_DOWNLOAD_KEY, [])
    assert await left(tries) == 2


# --- with all tries spent


async def test_the_store_is_not_asked(rig: Rig, tries: KeyTries) -> None:
    """Not even if it gave no answer a moment ago, to another caller: coming back at once would be vain."""
    await left(tries)
    rig.source.failing = SourceUnavailable()
    await rig.ask(KEY)
    rig.calls.clear()

    with pytest.raises(TooManyQuestions):
        await rig.ask(KEY, tries=tries)
    assert rig.calls == []


@pytest.mark.parametrize("tier", [CacheTier.MEMORY, CacheTier.REDIS])
@pytest.mark.parametrize("age", [NO_TIME, 2 * HOUR])
@pytest.mark.parametrize("credential", [KEY, JWT])
async def test_credentials_that_are_known_to_be_good_need_none(
    rig: Rig, credential: Credential, tier: CacheTier, age: timedelta
) -> None:
    """Nor do those that have to be looked up again, or the player of a JWT whose ownership has."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, KEY, KEY_PROOF)
    rig.source.owns(GAME, USER, KEY_PROOF)
    await rig.ask(credential)
    await rig.clock.advance(age if credential == KEY else min(age, 5 * MINUTE))
    tries = KeyTries(per_minute=2, clock=rig.clock)
    await left(tries)
    if tier is CacheTier.REDIS:
        rig.observations.forget()

    assert (await rig.ask(credential, tries=tries)).decision.allowed


async def test_credentials_that_were_good_too_long_ago_are_new(rig: Rig) -> None:
    """Ten minutes for a JWT, a day for the key of an owner."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, KEY, KEY_PROOF)
    for credential in (JWT, KEY):
        await rig.ask(credential)
    for credential, age in ((JWT, 10 * MINUTE), (KEY, 24 * HOUR)):
        await rig.clock.advance(age)
        tries = KeyTries(per_minute=2, clock=rig.clock)
        await left(tries)
        with pytest.raises(TooManyQuestions):
            await rig.ask(credential, tries=tries)


async def test_the_first_no_to_a_credential_that_was_good_is_no_guess(rig: Rig, tries: KeyTries) -> None:
    """A refund is not the caller's fault; to ask again and again about it is."""
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.ask(KEY)
    rig.source.disowns(GAME, KEY)
    for _ in range(3):
        await rig.clock.advance(INSTANT)
        await rig.ask(KEY, max_age=NO_TIME, tries=tries)

    with pytest.raises(TooManyQuestions):
        tries.check()


async def test_a_refresh_needs_none(rig: Rig) -> None:
    """A good key that is remembered is looked up again in the background."""
    rig.source.owns(GAME, KEY, KEY_PROOF)
    await rig.ask(KEY)
    await rig.clock.advance(50 * MINUTE)
    tries = KeyTries(per_minute=2, clock=rig.clock)
    await left(tries)
    rig.calls.clear()

    await rig.ask(KEY, tries=tries)
    await rig.settle()

    assert len(rig.calls) == 1


@pytest.mark.parametrize("credential", [KEY, JWT])
async def test_only_what_is_known_needs_none(rig: Rig, tries: KeyTries, credential: Credential) -> None:
    """The store would not have been asked anyway."""
    await left(tries)

    verdict = await rig.ask(credential, tries=tries, only_if_cached=True)

    assert verdict.decision.reason is Reason.NOT_CACHED
