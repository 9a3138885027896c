"""Names for bytes that hold secrets: the same bytes have the same name, which tells nothing about them."""

import secrets
from hashlib import blake2b
from typing import Final

_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 16


class KeyedDigest:
    """Makes names with a key that nobody but this object has: they are worth nothing outside of it."""

    def __init__(self) -> None:
        self._digest = blake2b(key=secrets.token_bytes(_KEY_BYTES), digest_size=_DIGEST_BYTES)

    def of(self, data: bytes) -> bytes:
        """Return the name of these bytes."""
        digest = self._digest.copy()
        digest.update(data)
        return digest.digest()
