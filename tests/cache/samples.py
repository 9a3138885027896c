"""Observations, names and a recorder, for tests of the cache."""

from datetime import UTC, datetime, timedelta
from typing import Final

from service.cache.entry import CacheEntry
from service.cache.keys import KeyedFingerprints, derive_keys
from service.cache.results import CacheOperation, CacheResult
from service.cache.sealing import Sealer
from service.causes import Cause
from service.ownership import (
    CacheTier,
    Evidence,
    Fingerprint,
    GameId,
    Identity,
    Player,
    PlayerId,
    Proof,
    ProofKind,
    Reason,
    Refusal,
)
from service.secret import SealingSecret
from tests.clock import START

DAY: Final = timedelta(days=1)
SECOND: Final = timedelta(seconds=1)
KEYS: Final = derive_keys(SealingSecret("a secret of the operator, long enough"))
GAME: Final = GameId(3)
OTHER_GAME: Final = GameId(4)
NAME: Final = Fingerprint(bytes(range(16)))
OTHER_NAME: Final = Fingerprint(bytes(range(1, 17)))


def sealer() -> Sealer:
    """Return a sealer with the key that all gateways of a test share."""
    return Sealer(KEYS.sealing)


def fingerprints() -> KeyedFingerprints:
    """Return names of the real store's questions."""
    return KeyedFingerprints(KEYS.naming, "https://api.itch.io current")


def name_of(number: int) -> Fingerprint:
    """Return one of many names; none is that of a whole game."""
    return Fingerprint((number + 1).to_bytes(16, "big"))


def yes(observed_at: datetime = START, *, id: int = 124) -> Evidence:  # noqa: A002 - the field is called so
    """Return proof of ownership."""
    acquired_at = datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)
    proof = Proof(ProofKind.DOWNLOAD_KEY, id, acquired_at)
    return Evidence(observed_at, (proof,), Player(PlayerId(1994), "amos", "Amos"))


def no(observed_at: datetime = START) -> Evidence:
    """Return the store's no."""
    return Evidence(observed_at)


def refusal(observed_at: datetime = START) -> Refusal:
    """Return that the store refused a JWT."""
    return Refusal(observed_at, Reason.REFUSED_JWT)


def identity(observed_at: datetime = START) -> Identity:
    """Return whose a JWT is."""
    return Identity(observed_at, Player(PlayerId(1994), "amos"), expires_at=observed_at + DAY)


def entry(observation: Evidence | Identity | Refusal, lifetime: timedelta = DAY) -> CacheEntry:
    """Return what a tier keeps of it."""
    return CacheEntry(observation, observation.observed_at + lifetime)


class Recorder:
    """Writes down what a cache reports."""

    def __init__(self) -> None:
        self.operations: list[tuple[CacheTier, CacheOperation, CacheResult]] = []
        self.states: list[bool] = []
        self.causes: list[Cause] = []

    def operation(self, tier: CacheTier, operation: CacheOperation, result: CacheResult) -> None:
        """Take note of an operation."""
        self.operations.append((tier, operation, result))

    def state(self, cause: Cause | None) -> None:
        """Take note of a change of state, and of the cause for which Redis is lost."""
        if cause is not None:
            self.causes.append(cause)
        if self.states[-1:] != [cause is None]:
            self.states.append(cause is None)

    def results(self, operation: CacheOperation, tier: CacheTier = CacheTier.REDIS) -> list[CacheResult]:
        """Return what came of the operations of one kind on one tier, in order."""
        return [result for a_tier, kind, result in self.operations if (a_tier, kind) == (tier, operation)]
