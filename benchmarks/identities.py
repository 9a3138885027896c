"""Players who do not exist, and what the caches may know of them before anybody asks.

The store allows six look-ups a second, so that a hundred thousand players could never be warmed through it. They are
put into Redis as another replica of the gateway would have put them, sealed with the gateway's own code, and get into
a process's memory the usual way: by being asked about.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from redis import Redis

from service.cache.entry import cache_entry
from service.cache.keys import KeyedFingerprints, derive_keys, redis_key
from service.cache.sealing import Sealer
from service.ownership import DownloadKey, Evidence, GameId, Player, PlayerId, Proof, ProofKind
from service.secret import SealingSecret
from service.verification.policy import GameRules, jitter_of, lifetime_of

GAME: Final = GameRules(GameId(3), "benchmark")
"""The gateways under test are configured with these rules: the defaults."""

_AT_ONCE: Final = 1000
_ACQUIRED_AT: Final = datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


class PeerEntry(msgspec.Struct):
    """What the peer caches."""

    owned: bool
    key_id: int | None
    player_id: int | None


class FarLimitEntry(msgspec.Struct):
    """What the far limit caches: what its answer repeats, as it repeats it."""

    owned: bool
    key_id: int
    player_id: int
    acquired_at: datetime
    observed_at: datetime
    fresh_until: datetime
    usable_until: datetime
    fresh_until_epoch_seconds: int


def download_key(number: int) -> str:
    """Return the key of an identity; questions.lua makes the same."""
    return f"benchmark-key-{number:026d}"


def warm_gateways(redis: Redis, numbers: range, *, secret: SealingSecret, environment: str, owned: bool = True) -> None:
    """Put into Redis what a replica would have put there that has just asked the store about these identities."""
    keys = derive_keys(secret)
    fingerprints, sealer = KeyedFingerprints(keys.naming, environment), Sealer(keys.sealing)
    now = datetime.now(UTC)

    def entries() -> Iterator[tuple[str, bytes, timedelta]]:
        for number in numbers:
            # Each at an instant of its own, as it would be.
            observation = _evidence(number, now - timedelta(microseconds=7 * (number % 100_000)), owned=owned)
            name = fingerprints.of_question(GAME.game_id, DownloadKey(download_key(number)), GAME.accept)
            keep_until = observation.observed_at + lifetime_of(observation, GAME, jitter=jitter_of(name)).usable
            yield redis_key(name), sealer.seal(name, cache_entry(observation, keep_until)), keep_until - now

    _set_all(redis, entries())


def warm_peer(redis: Redis, numbers: range) -> None:
    """Put into Redis what the peer would have put there."""
    _set_all(
        redis,
        (
            (
                f"ownership:{GAME.game_id}:{download_key(number)}",
                msgspec.json.encode(PeerEntry(owned=True, key_id=number + 1, player_id=number + 1)),
                _DAY,
            )
            for number in numbers
        ),
    )


def warm_far_limit(redis: Redis, numbers: range) -> None:
    """Put into Redis what the far limit answers from: the same as the gateways know, with the same lifetimes."""
    now = datetime.now(UTC).replace(microsecond=0)

    def entries() -> Iterator[tuple[str, bytes, timedelta]]:
        for number in numbers:
            name = f"far-limit:{GAME.game_id}:{download_key(number)}"
            lifetime = lifetime_of(_evidence(number, now, owned=True), GAME, jitter=0)
            entry = FarLimitEntry(
                owned=True,
                key_id=number + 1,
                player_id=number + 1,
                acquired_at=_ACQUIRED_AT,
                observed_at=now,
                fresh_until=now + lifetime.fresh,
                usable_until=now + lifetime.usable,
                fresh_until_epoch_seconds=int((now + lifetime.fresh).timestamp()),
            )
            yield name, msgspec.json.encode(entry), lifetime.usable

    _set_all(redis, entries())


def _evidence(number: int, now: datetime, *, owned: bool) -> Evidence:
    if not owned:
        return Evidence(now, sandbox=True)
    proof = Proof(ProofKind.DOWNLOAD_KEY, number + 1, _ACQUIRED_AT)
    return Evidence(now, (proof,), owner=Player(PlayerId(number + 1)), sandbox=True)


def _set_all(redis: Redis, entries: Iterator[tuple[str, bytes, timedelta]]) -> None:
    pipeline = redis.pipeline(transaction=False)
    for count, (key, value, lifetime) in enumerate(entries, 1):
        pipeline.set(key, value, px=lifetime)
        if count % _AT_ONCE == 0:
            pipeline.execute()
    pipeline.execute()
