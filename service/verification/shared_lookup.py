"""The shared look-up: the store asked once for all callers who want to know the same, and its answer remembered.

It holds a try of its caller's, then a lease, so that of all replicas one asks. A failure is remembered for a moment.
"""

from datetime import datetime

from msgspec.structs import replace

from service.errors import NoAnswer, Overloaded, TooManyQuestions
from service.ownership import Fingerprint, Observation, PlayerToken
from service.verification.interfaces import (
    Clock,
    Lane,
    LookUpLease,
    ObservationCache,
    OwnershipSource,
    Priority,
    Tries,
    Try,
)
from service.verification.negative_cache import NegativeCache
from service.verification.policy import LookUp, says_no
from service.verification.revocations import HeldRevocations
from service.verification.singleflight import SingleFlight


class NoRoom(NoAnswer):
    """There was no room for a look-up in its lane, or its caller had no tries left; another caller who joined it may.

    A refresh in the background that left the budget to callers who wait is of another lane than these, too.
    """

    reason = Overloaded.reason

    def __init__(self, lane: Lane, why: Overloaded | TooManyQuestions) -> None:
        super().__init__()
        self.lane = lane
        self.why = why


class SharedLookUps:
    """Runs look-ups, each within a flight that callers may join."""

    def __init__(
        self,
        *,
        source: OwnershipSource,
        observations: ObservationCache,
        flights: SingleFlight[Observation],
        clock: Clock,
        lease: LookUpLease,
        revocations: HeldRevocations,
    ) -> None:
        self._source = source
        self._observations = observations
        self._flights = flights
        self._clock = clock
        self._lease = lease
        self._revocations = revocations
        self._failed = NegativeCache(clock=clock)
        self._postponed = NegativeCache(clock=clock)

    def failed(self, name: Fingerprint) -> NoAnswer | None:
        """Return why there was no usable answer a moment ago, None if the store may be asked."""
        return self._failed.get(name)

    def is_postponed(self, name: Fingerprint) -> bool:
        """Whether the background had no room for it a moment ago."""
        return self._postponed.get(name) is not None

    def forget_failures(self) -> None:
        """Let everything be asked at once."""
        self._failed.clear()
        self._postponed.clear()

    async def run(self, look_up: LookUp, lane: Lane, tries: Tries | None, not_before: datetime | None) -> Observation:
        """Ask the store, remember its answer and return it; `not_before` is the earliest instant that will do.

        Raises `NoAnswer`, which is then remembered for a moment, or `NoRoom`.
        """
        try:
            observation = await self._holding_a_try(look_up, lane, tries, not_before)
        except (Overloaded, TooManyQuestions) as why:
            # That says nothing about the store, which may still be asked for others.
            if lane.priority is Priority.BACKGROUND and isinstance(why, Overloaded):
                self._postponed.put(look_up.name, why)
            raise NoRoom(lane, why) from None
        except NoAnswer as no_answer:
            self._failed.put(look_up.name, no_answer)
            raise
        self._failed.remove(look_up.name)
        self._postponed.remove(look_up.name)
        return observation

    async def _holding_a_try(
        self, look_up: LookUp, lane: Lane, tries: Tries | None, not_before: datetime | None
    ) -> Observation:
        """Look up; a try is held from before the queue until there is an answer, and spent by a no of the store."""
        if tries is None:
            return await self._under_lease(look_up, lane, None, not_before)
        with self._flights.queueing():
            held = await tries.hold()
        try:
            return await self._under_lease(look_up, lane, held, not_before)
        finally:
            held.let_go()

    async def _under_lease(
        self, look_up: LookUp, lane: Lane, held: Try | None, not_before: datetime | None
    ) -> Observation:
        def good_enough(observation: Observation) -> bool:
            age, lifetime = self._clock.now() - observation.observed_at, look_up.lifetime(observation)
            recent = not_before is None or observation.observed_at >= not_before
            return recent and age < lifetime.fresh and (lifetime.refresh_from is None or age < lifetime.refresh_from)

        async def ask() -> Observation:
            observation = await self._ask_source(look_up, lane)
            if held is not None and says_no(observation):
                held.spend()
            # The look-up began after that instant, although clocks may say otherwise: ours was set back, or the clock
            # of the replica that invalidated is ahead.
            return replace(observation, observed_at=later(observation.observed_at, not_before))

        async def ask_and_remember() -> Observation:
            answer = await ask()
            known = self._observations.peek(look_up.name)
            observation = await self._revocations.compare(look_up, known, answer)
            return self._observations.put(
                look_up.name, observation, game_id=look_up.game_id, keep_until=look_up.keep_until(observation)
            )

        if look_up.about is None:
            return await ask()
        return await self._lease.look_up_once(look_up.name, ask_and_remember, good_enough=good_enough)

    async def _ask_source(self, look_up: LookUp, lane: Lane) -> Observation:
        rules, about = look_up.rules, look_up.about
        if about is None:
            return await self._source.identify_seller(lane=lane)
        if isinstance(about, PlayerToken):
            return await self._source.identify(about, rules.game_id, lane=lane)
        return await self._source.look_up(rules.game_id, about, accept=rules.accept, lane=lane)


def later(one: datetime, other: datetime | None) -> datetime:
    """Return the later of two instants."""
    return one if other is None else max(one, other)
