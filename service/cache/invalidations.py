"""Invalidations, on every replica: observations from before an instant are no longer to be used.

An invalidation is an instant under a name. An observation from before it counts as forgotten, wherever it is cached and
even if it is still being looked up. So nothing has to be found and deleted, and nothing that arrives late can undo it.
The instants only rise: by any route and in any order, all replicas end up with the same.
"""

import asyncio
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Final, NoReturn

import msgspec

from service.cache.entry import CLOCK_TOLERANCE, LONGEST_KEPT
from service.cache.keys import InvalidationsKey
from service.cache.sealing import stamp
from service.ownership import Fingerprint
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.script import Script
from service.verification.interfaces import Clock

LOOK_EVERY: Final = timedelta(milliseconds=500)
"""The time between a replica's looks at what others have invalidated; two seconds are promised."""

MOST_INVALIDATIONS: Final = 10_000
"""The most under single names. Over it, the older half become one instant for everything: slower, never wrong."""

MOST_FIELDS: Final = 3 * MOST_INVALIDATIONS
"""The most that replicas can have in Redis, even those of two secrets; more was put there by other programs."""

MOST_AT_ONCE: Final = 500
"""The most sent to Redis in one step, during which it serves no other client."""

LARGEST_SKEW: Final = timedelta(hours=1)
"""The most by which a replica's clock may be ahead of ours for its invalidations to count as they are.

Until our clock has caught up with such an instant, the store is asked again for every question about that name: a
clock that is years ahead must not cost years.
"""

EVERYTHING: Final = Fingerprint(b"everything")
"""The name under which an invalidation holds for all names."""

_EXCHANGE: Final = Script("service.cache", "exchange_invalidations.lua")
_LIFETIME: Final = LONGEST_KEPT // timedelta(milliseconds=1)
_VERSION: Final = Fingerprint(b"version")
_DIGITS: Final = 16
_SEAL_BYTES: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SharedInvalidations:
    """The invalidations that this replica knows; `run` shares them with the others through Redis.

    Without Redis, or while it is away, an invalidation holds on the replica that it was made on, and reaches the others
    once Redis is back. If Redis has lost invalidations, the replicas that know them send them again. Those that no
    gateway with our secret has sealed are ignored: other programs with access to Redis can make no gateway forget.
    """

    def __init__(
        self, *, client: RedisClient | None, key: str, invalidations_key: InvalidationsKey, clock: Clock
    ) -> None:
        self._client = client
        self._key = key
        self._seal_key = bytes.fromhex(invalidations_key.reveal())
        self._clock = clock
        self._known: dict[Fingerprint, datetime] = {}
        self._in_redis: dict[Fingerprint, bytes] = {}
        self._version = b""
        self._unsent: set[Fingerprint] = set()
        self._news = asyncio.Event()

    def invalidated_before(self, *names: Fingerprint) -> datetime | None:
        """Return the instant before which observations under any of these names are not to be used, if there is one."""
        if not self._known:
            return None
        return max((self._known[name] for name in (EVERYTHING, *names) if name in self._known), default=None)

    def invalidate(self, name: Fingerprint, *, before: datetime) -> None:
        """Use nothing any more that was observed under this name before that instant; on other replicas within 2 s."""
        if self._raise(name, before):
            self._send(name)

    def overruled(self, name: Fingerprint, since: datetime) -> None:
        """Invalidate the yes that a no has replaced `since` then: Redis and other replicas may still have it."""
        self.invalidate(name, before=since)

    # --- sharing through Redis ---

    async def run(self) -> NoReturn:
        """Exchange invalidations with the other replicas until cancelled."""
        while True:
            self._news.clear()
            await self._exchange()
            await self._pause()

    async def close(self) -> None:
        """Send the invalidations that the other replicas do not have yet, if Redis takes them at once."""
        if self._unsent:
            await self._exchange()

    async def _pause(self) -> None:
        try:
            async with self._clock.timeout(LOOK_EVERY):
                await self._news.wait()
        except TimeoutError:
            return

    async def _exchange(self) -> None:
        if self._client is None:
            raise AssertionError("there are no other replicas to exchange with")
        sending = {name: self._known[name] for name in islice(self._unsent, MOST_AT_ONCE)}
        sealed = {name: self._seal(name, before) for name, before in sending.items()}
        latest = stamp(self._clock.now() + CLOCK_TOLERANCE)
        arguments = [part for name, field in sealed.items() for part in (name, field, self._in_the_way(name))]
        try:
            # No circuit breaker: no question waits for this, and asking every half second is what finds Redis again.
            reply = await _EXCHANGE.run(
                self._client,
                self._key,
                _LIFETIME,
                self._version,
                secrets.token_hex(8),
                latest,
                MOST_FIELDS,
                *arguments,
            )
            version, listed = msgspec.convert(reply, tuple[bytes, list[bytes] | None])
        except (*REDIS_FAILURES, msgspec.ValidationError):
            return
        if listed is not None and len(listed) % 2:
            return  # our script always lists pairs
        self._version = version
        self._in_redis |= sealed
        # An instant that was raised meanwhile is to be sent again.
        self._unsent -= {name for name, before in sending.items() if self._known.get(name) == before}
        if listed is not None:
            self._adopt({Fingerprint(name): text for name, text in zip(listed[::2], listed[1::2], strict=True)})
        if self._unsent:
            self._news.set()

    def _in_the_way(self, name: Fingerprint) -> bytes:
        """Return the foreign value in the place of an invalidation, which the script replaces; else nothing.

        Never for `EVERYTHING`: gateways with another secret may have one there, and the two would replace each other.
        """
        held = self._in_redis.get(name, b"")
        return b"" if name == EVERYTHING or self._unseal(name, held) is not None else held

    def _adopt(self, fields: dict[Fingerprint, bytes]) -> None:
        fields.pop(_VERSION, None)
        before, self._in_redis = self._in_redis, fields
        now = self._clock.now()
        for name in before.keys() | fields.keys():
            if fields.get(name) == before.get(name):
                continue
            theirs = self._unseal(name, fields.get(name, b""))
            if theirs is not None:
                self._raise(name, min(theirs, now + LARGEST_SKEW))
            ours = self._known.get(name)
            if ours is not None and (theirs is None or theirs < ours) and ours > now - LONGEST_KEPT:
                self._send(name)

    # --- the instants that this replica knows ---

    def _raise(self, name: Fingerprint, before: datetime) -> bool:
        known = self.invalidated_before(name)
        if known is not None and before <= known:
            return False
        self._known[name] = before
        if name == EVERYTHING:
            self._drop_overtaken(before)
        elif len(self._known) > MOST_INVALIDATIONS:
            older_half = sorted(self._known.values())[: len(self._known) // 2]
            self.invalidate(EVERYTHING, before=older_half[-1])
        return True

    def _drop_overtaken(self, everything: datetime) -> None:
        overtaken = {name for name, before in self._known.items() if before <= everything and name != EVERYTHING}
        self._unsent -= overtaken
        for name in overtaken:
            del self._known[name]

    def _send(self, name: Fingerprint) -> None:
        if self._client is not None and name in self._known:
            self._unsent.add(name)
            self._news.set()

    # --- the form in Redis ---

    def _seal(self, name: Fingerprint, before: datetime) -> bytes:
        digits = b"%0*d" % (_DIGITS, stamp(before))
        return digits + blake2b(digits + name, key=self._seal_key, person=b"og floor", digest_size=_SEAL_BYTES).digest()

    def _unseal(self, name: Fingerprint, sealed: bytes) -> datetime | None:
        digits = sealed[:_DIGITS]
        if not digits.isdigit():
            return None
        before = _EPOCH + timedelta(microseconds=int(digits))
        return before if hmac.compare_digest(self._seal(name, before), sealed) else None
