"""The value of a lease: a token that proves which look-up it is for, since when, and that one of our gateways made it.

Otherwise any program with access to Redis could lease every look-up, and no replica would ask the store any more. Such
a program may also put an old token back: a token says when it was made, and is good only as long as a look-up takes.
"""

import hmac
import secrets
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from service.cache.keys import LeasesKey
from service.cache.sealing import stamp
from service.ownership import Fingerprint
from service.verification.interfaces import Clock

LARGEST_SKEW: Final = timedelta(seconds=5)
"""The most by which the clocks of two replicas may differ. With a larger difference each looks up for itself."""

_DIGITS: Final = 16
_RANDOM_BYTES: Final = 8
_SEAL_BYTES: Final = 16


class LeaseTokens:
    """Makes tokens, and recognises those of look-ups that may still be under way: they take at most `longest`."""

    def __init__(self, leases_key: LeasesKey, *, clock: Clock, longest: timedelta) -> None:
        self._key = bytes.fromhex(leases_key.reveal())
        self._clock = clock
        self._longest = longest

    def make(self, name: Fingerprint) -> str:
        """Return a token for a look-up of that name that begins now; no two are the same."""
        unsealed = f"{stamp(self._clock.now()):0{_DIGITS}d}{secrets.token_hex(_RANDOM_BYTES)}"
        return unsealed + self._seal(name, unsealed.encode())

    def recognise(self, name: Fingerprint, token: bytes) -> bool:
        """Whether the token was made for a look-up of that name which may still be under way."""
        unsealed, seal = token[: _DIGITS + 2 * _RANDOM_BYTES], token[_DIGITS + 2 * _RANDOM_BYTES :]
        if not hmac.compare_digest(self._seal(name, unsealed).encode(), seal):
            return False
        now, began = stamp(self._clock.now()), int(unsealed[:_DIGITS])
        skew = LARGEST_SKEW // timedelta(microseconds=1)
        return now - self._longest // timedelta(microseconds=1) - skew < began < now + skew

    def _seal(self, name: Fingerprint, unsealed: bytes) -> str:
        return blake2b(unsealed + name, key=self._key, person=b"og claim", digest_size=_SEAL_BYTES).hexdigest()
