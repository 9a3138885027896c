"""The age of the answer for questions that join a look-up which accepted another replica's result."""

import asyncio
from collections.abc import Awaitable, Callable

from service.ownership import Fingerprint, Observation
from service.verification.interfaces import Clock
from service.verification.lookup import LookUps
from service.verification.question import Question
from service.verification.singleflight import SingleFlight
from service.verification.verify import Verification
from tests.cache.samples import yes
from tests.clock import FakeClock
from tests.core.fakes import (
    ObedientQueue,
    PlainCache,
    PlainFingerprints,
    PlainInvalidations,
    PlainOverrides,
    ScriptedSource,
)
from tests.core.rig import GAME, KEY, KEY_PROOF, NO_TIME, RULES, SECOND


class OtherReplica:
    """A replica that began a look-up a second ago, and ends it in a second. Implements `LookUpLease`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._found = yes(clock.now() - SECOND)

    async def look_up_once(
        self,
        name: Fingerprint,  # noqa: ARG002 - it is asked about one thing only
        look_up: Callable[[], Awaitable[Observation]],
        *,
        good_enough: Callable[[Observation], bool],
    ) -> Observation:
        """Return the result, if it is good enough."""
        await self._clock.sleep(SECOND)
        return self._found if good_enough(self._found) else await look_up()


async def test_nobody_gets_older_evidence_than_they_accept() -> None:
    """Two equal questions of one moment share a look-up; only one of them accepts an observation from before it."""
    clock = FakeClock()
    source = ScriptedSource(clock)
    source.owns(GAME, KEY, KEY_PROOF)
    look_ups = LookUps(
        source=source,
        observations=PlainCache(clock),
        queue=ObedientQueue(),
        fingerprints=PlainFingerprints(),
        flights=SingleFlight(joined=lambda: None, crashed=lambda _: None),
        clock=clock,
        lease=OtherReplica(clock),
        invalidations=PlainInvalidations(),
    )
    verification = Verification(
        look_ups=look_ups,
        source=source,
        overrides=PlainOverrides(),
        clock=clock,
        local_clock=clock,
        sandbox=lambda: False,
    )
    asked_at = clock.now()
    questions = [Question(RULES, KEY, 10 * SECOND, max_age) for max_age in (None, NO_TIME)]
    tasks = [asyncio.ensure_future(verification.verify(question)) for question in questions]

    await clock.advance(3 * SECOND)

    [relaxed, strict] = [task.result().decision.observed_at for task in tasks]
    assert relaxed == asked_at - SECOND
    assert strict is not None
    assert strict >= asked_at
    assert len(source.calls) == 1
