"""Noes about owners who were proven before: what they contradict, and what counts while they are held back.

Noes about players who were never proven, and the operator's word, count as ever.
"""

from datetime import datetime

from msgspec.structs import replace

from service.errors import SourceProtocolError
from service.ownership import AssertedUser, Evidence, Fingerprint, Observation, Overruled, Subject, VerifiedEmail
from service.verification import policy
from service.verification.interfaces import Clock, Fingerprints, Invalidations, Remembered, RevocationGuard
from service.verification.policy import LookUp
from service.verification.rechecks import WINDOW


class HeldRevocations:
    """Compares the store's answers with what it said before. Without a `guard` every no counts."""

    def __init__(
        self, *, guard: RevocationGuard | None, invalidations: Invalidations, fingerprints: Fingerprints, clock: Clock
    ) -> None:
        self._guard = guard
        self._invalidations = invalidations
        self._fingerprints = fingerprints
        self._clock = clock

    async def compare(self, look_up: LookUp, known: Remembered | None, answer: Observation) -> Observation:
        """Return the store's answer, with the proof that it contradicts if it does, once the guard has heard of it."""
        before = None if known is None else known.observation
        if self._guard is None or not isinstance(before, Evidence) or not isinstance(answer, Evidence):
            return answer
        contradicted = self._proven(self._guard, look_up, before, answer.observed_at)
        if contradicted is None:
            return answer
        game_id = look_up.rules.game_id
        owned = policy.counting_proof(answer, look_up.rules) is not None
        await self._guard.rechecked(
            game_id,
            self._owner(look_up, contradicted.evidence),
            answer.observed_at,
            refused_since=None if owned else contradicted.since,
        )
        if owned:
            return answer
        held_since = self._guard.held_since(game_id)
        held = held_since is not None and contradicted.since >= held_since
        return replace(answer, overruled=replace(contradicted, held=held))

    def held(
        self, look_up: LookUp, observation: Observation, *, oldest: datetime | None, in_grace: bool = False
    ) -> Evidence | None:
        """Return the proof that counts although the observation contradicts it, None if the observation counts.

        `in_grace` means that the store gives no usable answer now: a no that was held back when the store gave it does
        not count later because time has passed. Raises `SourceProtocolError` if the proof is from before `oldest`:
        then nothing counts.
        """
        if self._guard is None or not isinstance(observation, Evidence):
            return None
        if (before := observation.overruled) is None or self._forgotten(look_up, before.evidence):
            return None
        held_since = self._guard.held_since(look_up.rules.game_id)
        was_held = _was_held(self._guard, look_up, observation)
        holds = (in_grace and was_held) if held_since is None else (was_held or before.since >= held_since)
        if not holds:
            return None
        if oldest is not None and before.evidence.observed_at < oldest:
            raise SourceProtocolError("the store says no to more owners than can be true")
        return before.evidence

    def _proven(self, guard: RevocationGuard, look_up: LookUp, known: Evidence, now: datetime) -> Overruled | None:
        """Return the proof in what is known, and since when there are noes against it, if it was overruled lately."""
        game_id = look_up.rules.game_id
        if known.overruled is None:
            evidence, since = known, now
            before = self._invalidations.invalidated_before(game_id, look_up.name)
            if before is not None and evidence.observed_at < before:
                since = before  # another replica got the first no
        else:
            evidence = known.overruled.evidence
            # Was it held until now, then this is the first that may count.
            since = now if _was_held(guard, look_up, known, at=now) else known.overruled.since
        if policy.counting_proof(evidence, look_up.rules) is None or self._forgotten(look_up, evidence):
            return None
        held_since = guard.held_since(game_id)
        if now - since > WINDOW and (held_since is None or since < held_since):
            return None
        return Overruled(evidence, since)

    def _forgotten(self, look_up: LookUp, evidence: Evidence) -> bool:
        """Whether a proof has passed its grace, or the operator has invalidated it."""
        before = self._invalidations.invalidated_before(look_up.rules.game_id, look_up.name, by_operator=True)
        too_old = self._clock.now() - evidence.observed_at >= look_up.lifetime(evidence).usable
        return too_old or (before is not None and evidence.observed_at < before)

    def _owner(self, look_up: LookUp, proven: Evidence) -> Fingerprint:
        """Return a name of the owner, the same by all methods if the store says who it is."""
        owner: Subject
        if proven.owner is not None:
            owner = AssertedUser(proven.owner.id)
        elif isinstance(look_up.about, VerifiedEmail):
            owner = VerifiedEmail(look_up.about.mailbox.reveal())
        else:
            return look_up.name
        return self._fingerprints.of_question(look_up.rules.game_id, owner, look_up.rules.accept)


def _was_held(guard: RevocationGuard, look_up: LookUp, no: Evidence, *, at: datetime | None = None) -> bool:
    """Whether a no was held back when the store gave it, and no operator has believed it since.

    `at` an instant at which an operator's word is in force, it is still open whether that was a mistake.
    """
    if no.overruled is None or not no.overruled.held:
        return False
    believed_until = guard.believed_until(look_up.rules.game_id)
    return believed_until is None or no.observed_at >= believed_until or (at is not None and at < believed_until)
