"""No wrong decision, and no owner left standing, through outages, restarts, wrong clocks, floods, and a lying Redis.

Two whole gateways as they are in production, spoken to as their server does; a real Redis behind a proxy for each;
the sandbox for a store. Time is the tests' own. Their answers are checked against the record of the store's.
"""

import asyncio
import gc
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Final

import pytest
from hypothesis import Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from msgspec import Struct

from service.verification.interfaces import Clock
from tests.cluster.promises import Variant, variants
from tests.redis_server import RedisServer
from tests.reliability import stories
from tests.reliability.machine import BusyMachine, Machine
from tests.reliability.replicas import Parts
from tests.reliability.stories import Story, redis_is_far
from tests.reliability.variants import (
    AheadOfAll,
    Alarmed,
    AllThrottled,
    Credulous,
    Dismissive,
    FewConnections,
    Impatient,
    Loyal,
    OneFloor,
    OneLine,
    Possessive,
    Prepaid,
    Suspicious,
    Timeless,
    as_client,
)
from tests.reliability.world import World
from tests.sizes import DECISIONS, STEPS

OUTCOMES: Final = frozenset(
    {"owned", "not_owned", "granted", "banned", "rejected", "unknown", "refused", "at once", "passed", "shown"}
)
TOO_OLD: Final = "its grace is over|past its time|not fresh|could have been asked|run out|older than the caller accepts"


def of_the_machine(_true: Clock, machine: Clock) -> Clock:
    """Broken: each replica takes its own clock for the one that all share."""
    return machine


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis that is spoilt by every example, and healed by the next."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Have tasks that a broken variant has lost reported to the log of their own test, not to that of a later one."""
    yield
    gc.collect()


@variants(
    Parts(),
    no_answer_is_a_yes=Parts(transport=Credulous, fails="has not said yes"),
    no_answer_is_a_no=Parts(transport=Dismissive, fails="has not said no"),
    nothing_grows_old=Parts(clock=Timeless, redis_clock=of_the_machine, fails=f"has not said|{TOO_OLD}"),
    yes_is_for_ever=Parts(application=Loyal, fails=f"has said no since|something newer|{TOO_OLD}"),
    redis_is_needed=Parts(redis=partial(as_client, Alarmed), fails=r"status\W+500|a bug was logged"),
)
@pytest.mark.no_cover  # it takes longest, and every line that it reaches has a story or a test of its own
def test_no_decision_is_wrong(variant: Variant[Parts], server: RedisServer) -> None:
    """A yes and a no are the store's own, and recent enough; everything else is no answer."""
    told: dict[str, int] = {}
    violations: list[str] = []

    def machine() -> Machine:
        kind = Machine if variant.broken else BusyMachine
        return kind(server, variant.make, told=told, violations=violations)

    how = settings(
        # A variant is done with the first order that shows it.
        max_examples=DECISIONS * (5 if variant.broken else 1),
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
    )

    def run() -> None:
        run_state_machine_as_test(machine, settings=how)  # type: ignore[arg-type]  # by its docstring, any factory will do

    if not variant.broken:
        run()
        assert all(told.get(outcome, 0) for outcome in OUTCOMES), told
        return
    with pytest.raises((AssertionError, Flaky)):
        run()
    assert re.search(variant.make.fails, violations[0]), violations


class Case(Struct, frozen=True):
    """A story, and the parts of a gateway that is broken in just that way."""

    story: Story
    broken: Parts
    frugal: bool = False


def ms(milliseconds: int) -> timedelta:
    """Return so many milliseconds."""
    return timedelta(milliseconds=milliseconds)


LEFT_STANDING: Final = "a proven owner was left standing"
TRIED: Final = "the store found no fault"
NOTHING_STOOD: Final = "nothing stood between"
WAITS: Final = "a question waits for a Redis"
CASES: Final = {
    "strangers are forgotten": Case(stories.strangers_are_forgotten, Parts(application=OneFloor, fails=LEFT_STANDING)),
    "noes overrule": Case(stories.noes_overrule, Parts(application=OneFloor, fails=LEFT_STANDING)),
    "JWTs end": Case(stories.jwts_end, Parts(application=OneFloor, fails=LEFT_STANDING)),
    "one key, many ask": Case(stories.one_key_is_asked_about_by_many, Parts(application=Prepaid, fails=TRIED)),
    "many in a batch": Case(stories.many_come_in_a_batch, Parts(application=Prepaid, fails=TRIED)),
    "a slow store": Case(stories.many_come_to_a_slow_store, Parts(application=Suspicious, fails=TRIED)),
    "Redis 80 ms away": Case(redis_is_far(ms(80)), Parts(application=Impatient, fails=WAITS)),
    "Redis 400 ms away": Case(redis_is_far(ms(400)), Parts(application=Impatient, fails=WAITS)),
    "a replica dies": Case(stories.a_replica_dies, Parts(redis=partial(as_client, Possessive), fails=NOTHING_STOOD)),
    "a clock was ahead": Case(
        stories.a_clock_was_ahead, Parts(application=partial(AheadOfAll, {}), fails=LEFT_STANDING)
    ),
    "a JWT ends too early": Case(
        stories.a_jwt_ends_too_early, Parts(redis_clock=of_the_machine, fails="a good credential was rejected")
    ),
    "a clock is ahead": Case(
        stories.a_clock_is_ahead,
        Parts(redis_clock=of_the_machine, fails="has said no since"),
    ),
    "one caller floods": Case(
        stories.one_caller_asks_too_much, Parts(application=OneLine, fails=NOTHING_STOOD), frugal=True
    ),
    "Redis comes and goes": Case(
        stories.redis_comes_and_goes, Parts(replicas=1, fails="more than its budget allows"), frugal=True
    ),
    "one game hangs": Case(stories.one_game_hangs, Parts(transport=FewConnections, fails=NOTHING_STOOD)),
    "one player is throttled": Case(
        stories.one_player_is_throttled, Parts(transport=AllThrottled, fails=NOTHING_STOOD)
    ),
}


def tell(case: Case, parts: Parts, server: RedisServer) -> None:
    """Let the story happen to gateways of these parts."""

    async def happens() -> None:
        world = World(server, parts, frugal=case.frugal)
        await world.open()
        try:
            await case.story(world)
        finally:
            await world.close()
        assert not world.log.lines("bug")

    asyncio.run(happens())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_promises_hold_together(case: Case, server: RedisServer) -> None:
    """No decision is wrong and no owner is left standing when two things happen at once."""
    tell(case, Parts(), server)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_promises_that_are_broken_together_are_seen(case: Case, server: RedisServer) -> None:
    """Each story fails for the gateway that is broken in its way."""
    with pytest.raises(AssertionError, match=case.broken.fails):
        tell(case, case.broken, server)
