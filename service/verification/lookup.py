"""How one thing is found out: recalled, or looked up once for all who ask.

1. What is remembered is used while it is fresh, and a little longer while it is looked up again in the background:
   what this process remembers or, where it remembers nothing, what other replicas have shared.
2. Else the store is asked: by whoever asks first, within the budget, and not again at once after it said nothing.
3. While the store says nothing, older proof may do. What has been invalidated never does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service.errors import DeadlineExceeded, NoAnswer, NotCached, Overloaded
from service.ownership import CacheTier, Fingerprint, Observation
from service.verification import policy
from service.verification.grounds import Ground
from service.verification.interfaces import (
    Clock,
    Invalidations,
    LookUpLease,
    ObservationCache,
    Priority,
    Remembered,
    StoreBudget,
    Unread,
)
from service.verification.negative_cache import NegativeCache
from service.verification.policy import Freshness, Lifetime
from service.verification.singleflight import SingleFlight

_RETRY_SOON: Final = timedelta(seconds=1)


class Limits(Struct, frozen=True):
    """What the caller will accept: no evidence from before `oldest`, no waiting past `give_up_at` (monotonic)."""

    oldest: datetime | None
    give_up_at: float
    only_if_cached: bool

    def accept(self, observation: Observation) -> bool:
        """Whether the observation is recent enough."""
        return self.oldest is None or observation.observed_at >= self.oldest


class Inquiry(Struct, frozen=True):
    """One thing to find out about: its name, how to ask the store, how long an answer may be used.

    What is not `shared` is neither remembered nor taken from another replica.
    """

    name: Fingerprint
    look_up: Callable[[Priority], Awaitable[Observation]]
    lifetime: Callable[[Observation], Lifetime]
    shared: bool = True
    also: tuple[Fingerprint, ...] = ()
    """Under which other names it may have been invalidated."""


class Found(Struct, frozen=True):
    """What was found out, from which tier, and how it stands now; `ground` is what of it will do for the next, too."""

    observation: Observation
    tier: CacheTier
    freshness: Freshness
    ground: Ground | None = None


class _GaveWay(Overloaded):
    """A refresh in the background left the budget to callers who wait; one who has joined it is such a caller."""


class Inquiries:
    """Finds things out. Whoever asks for the same thing at the same time shares one look-up."""

    def __init__(
        self,
        *,
        observations: ObservationCache,
        budget: StoreBudget,
        flights: SingleFlight[Observation],
        clock: Clock,
        lease: LookUpLease,
        invalidations: Invalidations,
    ) -> None:
        self._observations = observations
        self._budget = budget
        self._flights = flights
        self._clock = clock
        self._lease = lease
        self._invalidations = invalidations
        self._memo = NegativeCache(clock=clock)
        self._postponed = NegativeCache(clock=clock)

    async def recall(self, inquiry: Inquiry) -> Remembered | None:
        """Return what any tier remembers, without asking the store."""
        return await self._observations.get(inquiry.name)

    def peek(self, inquiry: Inquiry, *, again: bool = False) -> Remembered | None:
        """Return what this process remembers; whoever has looked before looks `again`."""
        return self._observations.peek(inquiry.name, again=again) if inquiry.shared else None

    def read_shared(self, inquiry: Inquiry) -> asyncio.Future[Unread] | None:
        """Begin to read what other replicas have shared; None where there is nothing to read."""
        return self._observations.read_shared(inquiry.name) if inquiry.shared else None

    def take_over(self, inquiry: Inquiry, unread: Unread) -> Remembered | None:
        """Return what was read, or what this process knows to be newer."""
        return self._observations.take_over(inquiry.name, unread)

    def use(self, inquiry: Inquiry, remembered: Remembered, limits: Limits) -> Found | None:
        """Return what is remembered if that will do, and see to it that it is looked up again when that is due."""
        if not self._above_floor(inquiry, limits).accept(remembered.observation):
            return None
        lifetime = inquiry.lifetime(remembered.observation)
        now = self._clock.now()
        if now >= lifetime.revalidate_until:
            return None
        if not limits.only_if_cached and lifetime.due_for_refresh(now):
            self._refresh(inquiry, now)
        return _recalled(inquiry, remembered, lifetime, now)

    async def find_out(self, inquiry: Inquiry, remembered: Remembered | None, limits: Limits) -> Found:
        """Return what the store says or, while it says nothing, what is `remembered`, if that is proof.

        Raises `NoAnswer` when there is neither.
        """
        if remembered is None and (remembered := self.peek(inquiry)) is not None:
            # It came while something else was waited for.
            found = self.use(inquiry, remembered, limits)
            if found is not None:
                return found
        limits = self._above_floor(inquiry, limits)
        try:
            observation = await self._ask(inquiry, limits)  # step 2
        except NotCached:
            raise
        except NoAnswer:  # step 3
            # Grace: what was proven stays proven for a while. A no is never repeated past its short life.
            remembered = self.peek(inquiry, again=remembered is not None) or remembered
            # It may have been invalidated while the store was asked.
            if remembered is None or not self._above_floor(inquiry, limits).accept(remembered.observation):
                raise
            lifetime, now = inquiry.lifetime(remembered.observation), self._clock.now()
            if now >= lifetime.usable_until:
                raise
            return _recalled(inquiry, remembered, lifetime, now)
        lifetime = inquiry.lifetime(observation)
        return Found(observation, CacheTier.NONE, policy.freshness_of(observation, lifetime, stale=False))

    async def _ask(self, inquiry: Inquiry, limits: Limits) -> Observation:
        """Return what the store says, asked once for all who want to know. Raises `NoAnswer` when it says nothing."""
        # Also of those who may not ask: it says more than that, and lets older proof do for them too.
        if (silence := self._memo.recall(inquiry.name)) is not None:
            raise silence
        if limits.only_if_cached:
            raise NotCached
        left = timedelta(seconds=limits.give_up_at - self._clock.monotonic())
        if left <= timedelta():
            raise DeadlineExceeded(retry_after=_RETRY_SOON)
        if not self._flights.under_way(inquiry.name, not_before=limits.oldest):
            self._budget.admit(Priority.FOREGROUND, within=left)
        try:
            async with self._clock.timeout(left):
                observation = await self._fly(inquiry, limits)
                while not limits.accept(observation):
                    # It was somebody's who accepts more, and who was content with what another replica had found.
                    # What we look up ourselves is always accepted.
                    observation = await self._fly(inquiry, limits)
                return observation
        except TimeoutError:
            raise DeadlineExceeded(retry_after=_RETRY_SOON) from None

    async def close(self) -> None:
        """Give up what is still being looked up."""
        await self._flights.close()

    async def _fly(self, inquiry: Inquiry, limits: Limits) -> Observation:
        while True:
            try:
                return await self._flights.fly(
                    inquiry.name,
                    partial(self._look_up, inquiry, Priority.FOREGROUND, limits.oldest),
                    now=_later(self._clock.now(), limits.oldest),
                    not_before=limits.oldest,
                )
            except _GaveWay:
                continue  # now in the foreground

    def _refresh(self, inquiry: Inquiry, now: datetime) -> None:
        if self._flights.under_way(inquiry.name) or self._memo.recall(inquiry.name) is not None:
            return
        if self._postponed.recall(inquiry.name) is not None:
            return
        try:
            self._budget.admit(Priority.BACKGROUND, within=timedelta())
        except NoAnswer:
            return  # callers who wait come first; the next question tries again
        # What is due for it was observed above any floor, and before now: so what comes of it is above the floor too.
        self._flights.start(inquiry.name, partial(self._look_up, inquiry, Priority.BACKGROUND, None), now=now)

    async def _look_up(self, inquiry: Inquiry, priority: Priority, not_before: datetime | None) -> Observation:
        def good_enough(observation: Observation) -> bool:
            now, lifetime = self._clock.now(), inquiry.lifetime(observation)
            recent = not_before is None or observation.observed_at >= not_before
            return recent and now < lifetime.fresh_until and not lifetime.due_for_refresh(now)

        async def look_up() -> Observation:
            observation = await inquiry.look_up(priority)
            # It began after that, whatever the clocks say: ours was set back, or that of who invalidated is ahead.
            return replace(observation, observed_at=_later(observation.observed_at, not_before))

        async def look_up_and_remember() -> Observation:
            observation = await look_up()
            keep_until = inquiry.lifetime(observation).usable_until
            return self._observations.put(inquiry.name, observation, keep_until=keep_until)

        try:
            if inquiry.shared:
                observation = await self._lease.look_up_once(
                    inquiry.name, look_up_and_remember, good_enough=good_enough
                )
            else:
                observation = await look_up()
        except NoAnswer as silence:
            if priority is Priority.BACKGROUND and isinstance(silence, Overloaded):
                # That says nothing about the store, and must not keep a caller from asking it.
                self._postponed.remember(inquiry.name, silence)
                raise _GaveWay(silence.detail, retry_after=silence.retry_after) from None
            self._memo.remember(inquiry.name, silence)
            raise
        self._memo.forget(inquiry.name)
        self._postponed.forget(inquiry.name)
        return observation

    def _above_floor(self, inquiry: Inquiry, limits: Limits) -> Limits:
        """What has been invalidated is to this caller as if it were older than they accept."""
        floor = self._invalidations.invalidated_before(inquiry.name, *inquiry.also)
        if floor is None or (limits.oldest is not None and limits.oldest >= floor):
            return limits
        return replace(limits, oldest=floor)


def _recalled(inquiry: Inquiry, remembered: Remembered, lifetime: Lifetime, now: datetime) -> Found:
    observation, ground = remembered.observation, None
    freshness = policy.freshness_of(observation, lifetime, stale=now >= lifetime.fresh_until)
    if remembered.imprint is not None:
        until = min(lifetime.fresh_until, lifetime.refresh_from or lifetime.fresh_until)
        if now < until:
            ground = Ground(inquiry.name, remembered.imprint, also=inquiry.also, until=until)
    return Found(observation, remembered.tier, freshness, ground)


def _later(one: datetime, other: datetime | None) -> datetime:
    return one if other is None else max(one, other)
