"""Noes about owners who were proven before: what they contradict, and what counts while they are held back.

Noes about players who were never proven, and the operator's word, count as ever.
"""

from datetime import datetime

from msgspec.structs import replace

from service.errors import SourceProtocolError
from service.ownership import Evidence, Fingerprint, Observation, Overruled
from service.verification import policy
from service.verification.interfaces import Clock, Invalidations, Remembered, RevocationGuard
from service.verification.policy import GameRules
from service.verification.rechecks import WINDOW


class HeldRevocations:
    """Compares the store's answers with what it said before. Without a `guard` every no counts."""

    def __init__(self, *, guard: RevocationGuard | None, invalidations: Invalidations, clock: Clock) -> None:
        self._guard = guard
        self._invalidations = invalidations
        self._clock = clock

    async def compare(
        self, rules: GameRules, name: Fingerprint, known: Remembered | None, answer: Observation
    ) -> Observation:
        """Return the store's answer, with the proof that it contradicts if it does, once the guard has heard of it."""
        before = None if known is None else known.observation
        if self._guard is None or not isinstance(before, Evidence) or not isinstance(answer, Evidence):
            return answer
        contradicted = self._proven(self._guard, rules, name, before, answer.observed_at)
        if contradicted is None:
            return answer
        owned = policy.counting_proof(answer, rules) is not None
        await self._guard.rechecked(rules.game_id, name, answer.observed_at, owned=owned)
        return answer if owned else replace(answer, overruled=contradicted)

    def held(
        self, rules: GameRules, name: Fingerprint, observation: Observation, *, oldest: datetime | None
    ) -> Evidence | None:
        """Return the proof that counts although the observation contradicts it, None if the observation counts.

        Raises `SourceProtocolError` if the proof is from before `oldest`: then nothing counts.
        """
        if self._guard is None or not isinstance(observation, Evidence):
            return None
        if (before := observation.overruled) is None:
            return None
        held_since = self._guard.held_since(rules.game_id)
        if held_since is None or before.since < held_since or self._forgotten(rules, name, before.evidence):
            return None
        if oldest is not None and before.evidence.observed_at < oldest:
            raise SourceProtocolError("the store says no to more owners than can be true")
        return before.evidence

    def _proven(
        self, guard: RevocationGuard, rules: GameRules, name: Fingerprint, known: Evidence, now: datetime
    ) -> Overruled | None:
        """Return the proof in what is known, and since when there are noes against it, if it was overruled lately."""
        evidence, since = known, now
        if known.overruled is not None:
            evidence, since = known.overruled.evidence, known.overruled.since
        before = self._invalidations.invalidated_before(rules.game_id, name)
        if before is not None and evidence.observed_at < before:
            since = min(since, before)  # another replica got the first no
        if policy.counting_proof(evidence, rules) is None or self._forgotten(rules, name, evidence):
            return None
        held_since = guard.held_since(rules.game_id)
        if now - since > WINDOW and (held_since is None or since < held_since):
            return None
        return Overruled(evidence, since)

    def _forgotten(self, rules: GameRules, name: Fingerprint, evidence: Evidence) -> bool:
        """Whether a proof has passed its grace, or the operator has invalidated it."""
        lifetime = policy.lifetime_of(evidence, rules, jitter=policy.jitter_of(name))
        before = self._invalidations.invalidated_before(rules.game_id, name, by_operator=True)
        too_old = self._clock.now() - evidence.observed_at >= lifetime.usable
        return too_old or (before is not None and evidence.observed_at < before)
