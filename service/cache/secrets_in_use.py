"""The secrets that must be the same on all replicas, compared through Redis, which learns none of them.

Replicas with different sealing secrets share nothing and see neither the entries nor the invalidations nor the store
budget of each other, and no answer shows it. So each tells Redis every five seconds a digest of the secrets that it
uses, with the time of Redis. Digests are keyed hashes under a key derived from the sealing secret: to try a guess one
has to guess that first, as with everything else that is in Redis.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NoReturn, Self

import msgspec
from msgspec import Struct

from service.cache.keys import ComparingKey, secrets_key
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.script import Script
from service.secret import SellerKey
from service.verification.interfaces import Clock

TELL_EVERY: Final = timedelta(seconds=5)

COUNTS_FOR: Final = timedelta(seconds=15)
"""The time after which a replica that tells nothing any more is no longer compared with."""

_COMPARE: Final = Script("service.cache", "compare_secrets.lua")
_HALF: Final = re.compile(r"[0-9a-f]{32}")
_DIGEST: Final = re.compile(r"(?:[0-9a-f]{32}){2,3}")
_DIGEST_BYTES: Final = 16
_MOST_BYTES: Final = 2_048
"""Room for 18 digests. More than one is too many already; while a seller's key is changed there may be three."""


class SharedSecret(StrEnum):
    """A secret that all replicas must have, by the name of its setting."""

    SEALING = "secret"
    SELLER_KEY = "itch.api_key"


class SecretsDigest(Struct, frozen=True):
    """The digests that may be known of one replica's secrets: two replicas with the same ones have equal digests."""

    sealing: str
    seller_keys: frozenset[str]
    """Of one key, or of two while one replaces the other."""

    @classmethod
    def of(cls, key: ComparingKey, seller_keys: Iterable[SellerKey]) -> Self:
        """Return the digest of these secrets; `key` is derived from the sealing secret."""

        def hashed(text: str) -> str:
            return blake2b(
                text.encode(), key=bytes.fromhex(key.reveal()), person=b"og compared", digest_size=_DIGEST_BYTES
            ).hexdigest()

        return cls(hashed(""), frozenset(hashed(seller_key.reveal()) for seller_key in seller_keys))

    @classmethod
    def read(cls, told: bytes) -> Self | None:
        """Return the digest that a replica has told, None for anything else."""
        text = told.decode("ascii", "replace")
        if _DIGEST.fullmatch(text) is None:
            return None
        sealing, *seller_keys = _HALF.findall(text)
        return cls(sealing, frozenset(seller_keys))

    def tell(self) -> str:
        """Return the text that `read` takes."""
        return self.sealing + "".join(sorted(self.seller_keys))

    def differs(self, other: Self) -> SharedSecret | None:
        """Return the secret that is not the same; seller's keys are while there is one that both have."""
        if self.sealing != other.sealing:
            return SharedSecret.SEALING
        return None if self.seller_keys & other.seller_keys else SharedSecret.SELLER_KEY


async def secrets_in_use(client: RedisClient, *, ours: SecretsDigest | None = None) -> list[SecretsDigest] | None:
    """Return the digests that the replicas at this Redis have told lately, and tell `ours`; None if Redis fails."""
    try:
        reply = await _COMPARE.run(
            client,
            secrets_key(),
            "" if ours is None else ours.tell(),
            COUNTS_FOR // timedelta(milliseconds=1),
            _MOST_BYTES,
        )
        told = msgspec.convert(reply, list[bytes])
    except (*REDIS_FAILURES, msgspec.ValidationError):
        return None
    return [digest for digest in map(SecretsDigest.read, told) if digest is not None]


class SecretComparison:
    """Compares this replica's secrets with those of the others, for as long as it runs.

    `compared` is called each time that Redis has answered, with the secrets that another replica has otherwise. What
    was told is true for 15 seconds: by then a difference is known to all, or forgotten.
    """

    def __init__(
        self,
        *,
        client: RedisClient,
        comparing_key: ComparingKey,
        seller_keys: Callable[[], Iterable[SellerKey]],
        clock: Clock,
        compared: Callable[[frozenset[SharedSecret]], None],
    ) -> None:
        self._client = client
        self._comparing_key = comparing_key
        self._seller_keys = seller_keys
        self._clock = clock
        self._compared = compared

    async def run(self) -> NoReturn:
        """Compare every five seconds until cancelled."""
        while True:
            ours = SecretsDigest.of(self._comparing_key, self._seller_keys())
            in_use = await secrets_in_use(self._client, ours=ours)
            if in_use is not None:
                differing = (ours.differs(theirs) for theirs in in_use)
                self._compared(frozenset(secret for secret in differing if secret is not None))
            await self._clock.sleep(TELL_EVERY)
