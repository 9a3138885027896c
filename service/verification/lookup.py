"""One look-up of one caller: answered from a cache, or by joining the one that asks the store for all callers.

1. An observation that is remembered, in memory or in Redis, is used while it is fresh, and a little longer while it is
   looked up again in the background.
2. Else the store is asked: by the first caller who wants to know, within the budget, and not again at once after it
   gave no usable answer.
3. While the store gives none, older proof may do. An observation that has been invalidated never does.
"""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from msgspec import Struct

from service.errors import DeadlineExceeded, NoAnswer, NotCached, SourceUnavailable
from service.ownership import (
    CacheTier,
    Evidence,
    Fingerprint,
    Observation,
    PlayerId,
    PlayerToken,
    Subject,
)
from service.verification import policy
from service.verification.interfaces import (
    Clock,
    Fingerprints,
    Invalidations,
    Lane,
    LookUpLease,
    ObservationCache,
    OwnershipSource,
    Priority,
    Remembered,
    RevocationGuard,
    StoreQueue,
    Tries,
)
from service.verification.policy import Freshness, GameRules, LookUp
from service.verification.revocations import HeldRevocations
from service.verification.shared_lookup import NoRoom, SharedLookUps, later
from service.verification.singleflight import SingleFlight

_RETRY_SOON: Final = timedelta(seconds=1)
_INSTANT: Final = timedelta(microseconds=1)
_SELLER: Final = Fingerprint(b"the seller's own account")
_NEAREST_FIRST: Final = (CacheTier.MEMORY, CacheTier.REDIS, CacheTier.NONE)


class Limits(Struct, frozen=True):
    """The bounds of a question: no evidence from before `oldest`, no waiting past `give_up_at` (monotonic).

    `tries` are those that the `caller` has left at new credentials; None is no bound.
    """

    oldest: datetime | None
    give_up_at: float
    only_if_cached: bool
    caller: str = ""
    tries: Tries | None = None


class LookUpResult(Struct, frozen=True):
    """The observation that a look-up came to, the tier it came from, and how fresh it is now.

    `held` says that it is a proof which the store contradicts, while such noes are held back.
    """

    observation: Observation
    tier: CacheTier
    freshness: Freshness
    held: bool = False

    @property
    def evidence(self) -> Evidence:
        """The observation of a look-up of ownership."""
        if not isinstance(self.observation, Evidence):
            raise AssertionError("a question about ownership was answered with an identity")
        return self.observation

    def bounded_by(self, other: "LookUpResult") -> "LookUpResult":
        """Return this result as far as it can be trusted if it rests on another one too: as old, and from as far."""
        tier = max(self.tier, other.tier, key=_NEAREST_FIRST.index)
        return LookUpResult(self.observation, tier, self.freshness.bounded_by(other.freshness), self.held)


class LookUps:
    """All look-ups of this gateway. Callers who want to know the same at the same time share one look-up."""

    def __init__(
        self,
        *,
        source: OwnershipSource,
        observations: ObservationCache,
        queue: StoreQueue,
        fingerprints: Fingerprints,
        flights: SingleFlight[Observation],
        clock: Clock,
        lease: LookUpLease,
        invalidations: Invalidations,
        guard: RevocationGuard | None = None,
    ) -> None:
        self._source = source
        self._observations = observations
        self._queue = queue
        self._fingerprints = fingerprints
        self._flights = flights
        self._clock = clock
        self._invalidations = invalidations
        self.revocations = HeldRevocations(
            guard=guard, invalidations=invalidations, fingerprints=fingerprints, clock=clock
        )
        self._shared = SharedLookUps(
            source=source,
            observations=observations,
            flights=flights,
            clock=clock,
            lease=lease,
            revocations=self.revocations,
        )

    # --- what can be looked up; each raises `NoAnswer` if it is not known and the store gives no usable answer ---

    async def ownership(self, rules: GameRules, subject: Subject, limits: Limits) -> LookUpResult:
        """Return evidence of ownership."""
        name = self._fingerprints.of_question(rules.game_id, subject, rules.accept)
        return await self._find(LookUp(name, rules, subject), limits)

    async def identity(self, rules: GameRules, token: PlayerToken, limits: Limits) -> LookUpResult:
        """Return whose a token is, or that the store refuses it."""
        return await self._find(LookUp(self._fingerprints.of_token(token, rules.game_id), rules, token), limits)

    async def seller(self, rules: GameRules, limits: Limits) -> PlayerId:
        """Return whose the gateway's own key is."""
        if self._source.known_seller_account() is None:
            await self._find(LookUp(_SELLER, rules), limits)
        seller = self._source.known_seller_account()
        if seller is None:
            # Another key is in use, and the player who asks may be the one whom it belongs to.
            raise SourceUnavailable("the seller's key has changed just now", retry_after=_RETRY_SOON)
        return seller

    def invalidate(self, rules: GameRules, subject: Subject | None) -> datetime:
        """Forget what is known about a subject and a game, or about a whole game.

        Return the instant before which observations are no longer used; nor is the answer of a look-up under way.
        """
        before = self._clock.now() + _INSTANT
        names: list[Fingerprint | None] = [None]
        if subject is not None:
            # The second is for passes from when other proofs counted: the first has another name since.
            question = self._fingerprints.of_question(rules.game_id, subject, rules.accept)
            names = [question, self._fingerprints.of_override(rules.game_id, subject)]
        for name in names:
            self._invalidations.invalidate(rules.game_id, name, before=before)
        return before

    def forget_failures(self) -> None:
        """Let the store be asked at once about what it gave no usable answer to."""
        self._shared.forget_failures()

    async def close(self) -> None:
        """Give up the look-ups under way; callers who still wait are cancelled."""
        await self._flights.close()

    # --- one look-up of one caller: steps 1 to 3 ---

    async def _find(self, look_up: LookUp, limits: Limits) -> LookUpResult:
        known = None if look_up.about is None else await self._observations.get(look_up.name)
        if (result := self._use(look_up, known, limits)) is not None:  # step 1
            return result
        # A coroutine that was run by hand so far has become a task when this returns: time-outs need one.
        await asyncio.sleep(0)
        known = self._peek(look_up) or known
        if (result := self._use(look_up, known, limits)) is not None:
            return result  # an observation came meanwhile
        observed = None if known is None else known.observation
        tries = limits.tries if look_up.is_new_credential(observed, self._clock.now()) else None
        try:
            observation = await self._ask(look_up, limits, tries)  # step 2
        except NotCached:
            raise
        except NoAnswer:  # step 3
            if (result := await self._use_in_grace(look_up, self._peek(look_up) or known, limits)) is None:
                raise
            return result
        return self._result(look_up, observation, CacheTier.NONE, limits)

    async def _use_in_grace(self, look_up: LookUp, known: Remembered | None, limits: Limits) -> LookUpResult | None:
        """Return older proof, if there is any: in Redis, too, where only another replica has heard the store's no."""
        result = self._use(look_up, known, limits, in_grace=True)
        if result is None and known is not None and self._is_overtaken(look_up, known.observation):
            result = self._use(look_up, await self._observations.get_shared(look_up.name), limits, in_grace=True)
        return result

    def _is_overtaken(self, look_up: LookUp, observation: Observation) -> bool:
        before = self._invalidations.invalidated_before(look_up.game_id, look_up.name)
        return before is not None and observation.observed_at < before

    def _peek(self, look_up: LookUp) -> Remembered | None:
        return None if look_up.about is None else self._observations.peek(look_up.name)

    def _use(
        self, look_up: LookUp, known: Remembered | None, limits: Limits, *, in_grace: bool = False
    ) -> LookUpResult | None:
        """Return what is remembered if it is fresh enough for this caller; refresh it in the background when due.

        `in_grace` means that the store gives no usable answer: older proof will do, but never an old no.
        """
        if known is None:
            return None
        observation, now = known.observation, self._clock.now()
        not_before = self._not_before(look_up, limits)  # it may have been invalidated while the store was asked
        if not_before is not None and observation.observed_at < not_before:
            return None
        age, lifetime = now - observation.observed_at, look_up.lifetime(observation)
        may_refresh = not in_grace and not limits.only_if_cached
        if isinstance(observation, Evidence) and (before := observation.overruled) is not None:
            due = may_refresh and age >= lifetime.fresh
            if due and limits.oldest is not None and before.evidence.observed_at < limits.oldest:
                return None  # neither the proof nor this no will do: only a new answer can
            result = self._result(look_up, observation, known.tier, limits, in_grace=in_grace)
            if result.held:
                if due:
                    self._refresh(look_up, now)
                return result
        if age >= (lifetime.usable if in_grace else lifetime.revalidate):
            return None
        if may_refresh and lifetime.refresh_from is not None and age >= lifetime.refresh_from:
            self._refresh(look_up, now)
        return LookUpResult(
            observation, known.tier, policy.freshness_of(observation, lifetime, stale=age >= lifetime.fresh)
        )

    def _result(
        self, look_up: LookUp, observation: Observation, tier: CacheTier, limits: Limits, *, in_grace: bool = False
    ) -> LookUpResult:
        """Return the store's answer, or the proof that it contradicts, if such noes are held back."""
        proof = self.revocations.held(look_up, observation, oldest=limits.oldest, in_grace=in_grace)
        counts = proof or observation
        freshness = policy.freshness_of(counts, look_up.lifetime(counts), stale=proof is not None)
        return LookUpResult(counts, tier, freshness, held=proof is not None)

    # --- step 2: asking, within the limits of this caller ---

    async def _ask(self, look_up: LookUp, limits: Limits, tries: Tries | None) -> Observation:
        """Return the store's answer, asked for once for all callers.

        Raises `NoAnswer` if there is no usable one, `TooManyQuestions` if a look-up needs one of the caller's `tries`,
        and all are spent. To join one needs none.
        """
        not_before = self._not_before(look_up, limits)
        under_way = self._flights.under_way(look_up.name, not_before=not_before)
        if tries is not None and not under_way and not limits.only_if_cached:
            tries.check()
        # Also for callers who do not let the store be asked: the failure says more than `NotCached` and permits grace.
        if (no_answer := self._shared.failed(look_up.name)) is not None:
            raise no_answer
        if limits.only_if_cached:
            raise NotCached
        left = timedelta(seconds=limits.give_up_at - self._clock.monotonic())
        if left <= timedelta():
            raise DeadlineExceeded(retry_after=_RETRY_SOON)
        lane = Lane(limits.caller, look_up.rules.game_id)
        if not under_way:
            self._queue.admit(lane, within=left)
        try:
            async with self._clock.timeout(left):
                observation = await self._join(look_up, lane, tries, not_before)
                while not_before is not None and observation.observed_at < not_before:
                    # The look-up was begun by a caller who accepts more, and to whom another replica's result was
                    # good enough. One that is begun here is always recent enough.
                    observation = await self._join(look_up, lane, tries, not_before)
                return observation
        except TimeoutError:
            raise DeadlineExceeded(retry_after=_RETRY_SOON) from None

    async def _join(self, look_up: LookUp, lane: Lane, tries: Tries | None, not_before: datetime | None) -> Observation:
        while True:
            try:
                return await self._flights.fly(
                    look_up.name,
                    partial(self._shared.run, look_up, lane, tries, not_before),
                    now=later(self._clock.now(), not_before),
                    not_before=not_before,
                )
            except NoRoom as no_room:
                if no_room.lane == lane:
                    raise no_room.why from None
                # Another caller had no room for it, or the background: ask again, now in our own lane.

    def _refresh(self, look_up: LookUp, now: datetime) -> None:
        name = look_up.name
        if self._flights.under_way(name) or self._shared.failed(name) is not None or self._shared.is_postponed(name):
            return
        lane = Lane("", look_up.rules.game_id, Priority.BACKGROUND)
        try:
            self._queue.admit(lane, within=timedelta())
        except NoAnswer:
            return  # callers who wait come first; the next question tries again
        # An observation that is due was made after any invalidation, and before now: so is what comes of this.
        self._flights.start(name, partial(self._shared.run, look_up, lane, None, None), now=now)

    def _not_before(self, look_up: LookUp, limits: Limits) -> datetime | None:
        """Return the instant before which an observation is too old for this caller, or has been invalidated."""
        invalidated_before = self._invalidations.invalidated_before(look_up.game_id, look_up.name)
        return limits.oldest if invalidated_before is None else later(invalidated_before, limits.oldest)
