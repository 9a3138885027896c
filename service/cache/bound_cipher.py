"""Sealing of values that several replicas may write alike: by AES-SIV, each bound to the place it belongs to.

The same value at the same place is the same bytes, and no nonce has to be new (RFC 5297).
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from service.secret import Secret


class BoundCipher:
    """Seals bytes with a key in hexadecimal."""

    def __init__(self, key: Secret) -> None:
        self._cipher = AESSIV(bytes.fromhex(key.reveal()))

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Return the bytes sealed for that place."""
        return self._cipher.encrypt(plain, [place])

    def unseal(self, sealed: object, place: bytes) -> bytes | None:
        """Return what was sealed for that place, None for anything else, be it bytes or not."""
        try:
            return self._cipher.decrypt(sealed if isinstance(sealed, bytes) else b"", [place])
        except InvalidTag:
            return None
