"""The private keys that sign passes, as they stand in PEM."""

import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from service.secret_text import UnusableText

MOST_KEYS: Final = 4
KEY_BITS: Final = 2048
"""NIST SP 800-131A: the least that may sign. A larger one makes each pass longer, and takes four times as long."""

_LARGEST_BITS: Final = 4096
_PUBLIC_EXPONENT: Final = 65_537
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def read_signing_keys(pem: str) -> list[RSAPrivateKey]:
    """Return the keys in their order. Raises `UnusableText` with a reason that repeats nothing of them."""
    blocks = list(_BLOCK.finditer(pem))
    if not 1 <= len(blocks) <= MOST_KEYS or pem.count("-----BEGIN") != len(blocks):
        raise UnusableText(f"it holds {len(blocks)} whole keys in PEM: expected 1 to {MOST_KEYS}, and nothing cut off")
    return [_read(block[0], place=place) for place, block in enumerate(blocks, start=1)]


def holds_signing_keys(pem: str) -> bool:
    """Whether passes can be signed with what is in it."""
    try:
        read_signing_keys(pem)
    except UnusableText:
        return False
    return True


def new_signing_key() -> str:
    """Return a new private key in PEM (PKCS #8), with a line break at its end."""
    key = generate_private_key(_PUBLIC_EXPONENT, KEY_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _read(block: str, *, place: int) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(block.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # A public key, one that is encrypted, or broken: the library's words may repeat it.
        raise UnusableText(f"key {place} is no private key in PEM that could be read without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise UnusableText(f"key {place} is not of RSA, which all who check passes can check")
    if not KEY_BITS <= key.key_size <= _LARGEST_BITS:
        raise UnusableText(f"key {place} has {key.key_size} bits: expected {KEY_BITS} to {_LARGEST_BITS}")
    return key
