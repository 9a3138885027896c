"""The turns in which replicas ask about canaries: one look-up in ten seconds, and one in five minutes for each canary.

With Redis these bounds are those of all replicas, by its time, and what one has been answered all get to know. While
Redis is away no replica asks: canaries decide nothing, and replicas that do not see each other would ask too often. A
Redis that has forgotten the last turn gives out none for ten seconds.
"""

from datetime import timedelta
from hashlib import blake2b
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from service.cache.entry import CacheEntry
from service.cache.keys import KeyedFingerprints
from service.cache.sealing import Sealer, Unsealable
from service.canaries.canary import Canary
from service.canaries.rota import PERIOD, SPACING
from service.ownership import Evidence, Fingerprint
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock
from service.verification.policy import counting_proof

_TAKE: Final = Script("service.canaries", "take_canary_turn.lua", own_hash=True)
_TELL: Final = Script("service.canaries", "tell_canary.lua")
_KEPT: Final = timedelta(days=1)
"""The time for which Redis keeps it all after the last turn."""

_LARGEST: Final = 1024
"""Bytes of a sealed answer that are read. Ours have less than 200."""

_NAME_BYTES: Final = 16

_Milliseconds = Annotated[int, Meta(ge=0, le=10**9)]


class CanaryTurn(Struct, frozen=True):
    """The reply to a replica that wants to ask about a canary.

    `wait` is the time until the next turn of all, `canary_wait` that until this canary is to be tried again, and `told`
    the last answer that another replica has told. The turn is the replica's if it need not wait.
    """

    wait: timedelta = timedelta()
    canary_wait: timedelta = timedelta()
    told: Evidence | None = None

    @property
    def granted(self) -> bool:
        """Whether this replica is to ask now."""
        return not self.wait and not self.canary_wait


class CanaryTurns(Protocol):
    """Gives out turns. Never fails: what is not known is not given out."""

    async def take(self, canary: Canary) -> CanaryTurn | None:
        """Return whether this replica is to ask now, or when to try again; None while that cannot be known."""

    async def tell(self, canary: Canary, evidence: Evidence | None) -> None:
        """Tell the other replicas what came of a turn: None if the store gave no usable answer."""


class OwnTurns:
    """The turns of a gateway without Redis: always its own. It does not ask more often than its own rota says."""

    async def take(self, canary: Canary) -> CanaryTurn:  # noqa: ARG002 - no other replica asks
        """Grant it."""
        return CanaryTurn()

    async def tell(self, canary: Canary, evidence: Evidence | None) -> None:
        """Do nothing: no other replica listens."""


class _TurnReply(Struct, frozen=True, array_like=True):
    """The reply of the script, which explains it."""

    wait: _Milliseconds
    canary_wait: _Milliseconds
    told: bytes


class ClusterTurns:
    """The turns of replicas with one Redis, where answers are sealed and bound to their canary.

    Any program with access to Redis can keep replicas from asking, as it can with the store budget, and make none
    believe an answer that the store has not given to a gateway with our secret.
    """

    def __init__(
        self, *, client: RedisClient, key: str, fingerprints: KeyedFingerprints, sealer: Sealer, clock: Clock
    ) -> None:
        self._scripts = ScriptRunner(client, clock=clock)
        self._key = key
        self._fingerprints = fingerprints
        self._sealer = sealer
        self._clock = clock

    async def take(self, canary: Canary) -> CanaryTurn | None:
        """Take the turn, if there is one for this canary; see `CanaryTurns`."""
        name = self._name(canary)
        reply = await self._scripts.run(
            _TAKE, self._key, name.hex(), _milliseconds(SPACING), _milliseconds(PERIOD), _milliseconds(_KEPT), _LARGEST
        )
        try:
            said = msgspec.convert(reply, _TurnReply)
        except msgspec.ValidationError:
            return None
        return CanaryTurn(
            timedelta(milliseconds=said.wait), timedelta(milliseconds=said.canary_wait), self._unsealed(name, said.told)
        )

    async def tell(self, canary: Canary, evidence: Evidence | None) -> None:
        """Tell it, without the names and proofs that no other replica needs."""
        name, sealed = self._name(canary), b""
        if evidence is not None:
            proof = counting_proof(evidence, canary.rules)
            told = Evidence(evidence.observed_at, () if proof is None else (proof,), sandbox=evidence.sandbox)
            sealed = self._sealer.seal(name, CacheEntry(told, told.observed_at + _KEPT))
        await self._scripts.run(_TELL, self._key, name.hex(), sealed, _milliseconds(_KEPT))

    async def close(self) -> None:
        """Let what is being told arrive, for a second at most."""
        await self._scripts.close()

    def _unsealed(self, name: Fingerprint, sealed: bytes) -> Evidence | None:
        try:
            entry = self._sealer.unseal(name, sealed)
        except Unsealable:
            return None
        observation = entry.observation
        return observation if isinstance(observation, Evidence) and entry.usable(self._clock.now()) else None

    def _name(self, canary: Canary) -> Fingerprint:
        """Name it differently from the question of a player: neither is ever taken for the other."""
        question = self._fingerprints.of_question(canary.rules.game_id, canary.subject, canary.rules.accept)
        return Fingerprint(blake2b(question, person=b"og canary", digest_size=_NAME_BYTES).digest())


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
