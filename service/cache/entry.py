"""Cache entries: observations as the tiers store them, and the rule for which of two wins."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from service.ownership import Evidence, Observation, Reason, Refusal
from service.verification.policy import HARD_MAXIMUM, says_no

LONGEST_KEPT: Final = HARD_MAXIMUM
"""The longest time after an observation for which it is stored, even if the operator configured more."""

CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""The most by which what was noted lately may be ahead of the time of the cluster: of more than that, a clock is wrong.

Replicas differ by half an exchange with Redis. Observations from further ahead are not believed.
"""


def ends_another(observation: Observation) -> bool:
    """Whether a yes that it takes the place of must end everywhere; that of a JWT which has expired ends by itself."""
    return says_no(observation) and not (isinstance(observation, Refusal) and observation.reason is Reason.EXPIRED_JWT)


def proven_at(observation: Observation) -> datetime | None:
    """Return the instant of the proof that a no has taken the place of, if it stands beside it."""
    before = observation.overruled if isinstance(observation, Evidence) else None
    return None if before is None else before.evidence.observed_at


class CacheEntry(Struct, frozen=True, array_like=True):
    """An observation and the instant from which it may no longer be used. `ownership` says how it is stored."""

    observation: Observation
    keep_until: datetime

    def believable(self, now: datetime) -> bool:
        """Whether it was not made in the future: clocks are set back, and those of other replicas may be wrong."""
        return self.observation.observed_at <= now + CLOCK_TOLERANCE

    def set_back(self, by: timedelta) -> "CacheEntry":
        """Return it as made so much earlier, by a clock that was ahead; the end of a token is the store's word."""
        made = self.observation
        earlier = replace(made, observed_at=made.observed_at - by)
        if isinstance(earlier, Evidence) and earlier.overruled is not None:
            before = earlier.overruled
            proof = replace(before.evidence, observed_at=before.evidence.observed_at - by)
            earlier = replace(earlier, overruled=replace(before, evidence=proof, since=before.since - by))
        return CacheEntry(earlier, self.keep_until - by)

    def usable(self, now: datetime) -> bool:
        """Whether it may be used now."""
        return now < self.keep_until and self.believable(now)

    def supersedes(self, other: "CacheEntry") -> bool:
        """Whether it was made later than the other, or at the same instant and is not a yes against a no."""
        mine, theirs = self.observation, other.observation
        if mine.observed_at != theirs.observed_at:
            return mine.observed_at > theirs.observed_at
        return says_no(mine) or not says_no(theirs)


def cache_entry(observation: Observation, until: datetime) -> CacheEntry:
    """Return the entry for an observation, which expires after `LONGEST_KEPT` at the latest."""
    return CacheEntry(observation, min(until, observation.observed_at + LONGEST_KEPT))
