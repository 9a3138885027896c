"""The public keys of an issuer, as it publishes them (RFC 7517)."""

from typing import Final, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

IssuerKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey
KeySet: TypeAlias = dict[tuple[str, str], IssuerKey]
"""Keys by their `kid` and an algorithm that they are for."""

_RSA: Final = frozenset({"RS256", "PS256"})
_EC: Final = frozenset({"ES256"})
_SHORTEST_RSA: Final = 2048
_LONGEST_RSA: Final = 8192
"""Bits; to check a signature by a longer one takes milliseconds."""

_LONGEST_KID: Final = 256


class UnfitKeys(ValueError):  # noqa: N818 - it names what they are
    """An issuer has sent no key that could check a token."""


def read_key_set(body: bytes, algorithms: frozenset[str]) -> KeySet:
    """Return the keys for these algorithms; those that are unfit are left out. Raises `UnfitKeys` if none is left."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnfitKeys from None
    listed = document.get("keys") if isinstance(document, dict) else None
    keys: KeySet = {}
    for jwk in listed if isinstance(listed, list) else ():
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        if isinstance(kid, str) and 0 < len(kid) <= _LONGEST_KID and jwk.get("use", "sig") == "sig":
            key, fit_for = _read_key(jwk)
            wanted = jwk.get("alg")
            for algorithm in fit_for & algorithms:
                if key is not None and wanted in (None, algorithm):
                    keys.setdefault((kid, algorithm), key)
    if not keys:
        raise UnfitKeys
    return keys


def _read_key(jwk: dict[str, object]) -> tuple[IssuerKey | None, frozenset[str]]:
    """Return a public key and the algorithms that it is fit for; nothing for a secret one, or one of another kind."""
    try:
        match jwk.get("kty"):
            case "RSA":
                rsa = RSAAlgorithm.from_jwk(jwk)
                if isinstance(rsa, RSAPublicKey) and _SHORTEST_RSA <= rsa.key_size <= _LONGEST_RSA:
                    return rsa, _RSA
            case "EC":
                point = ECAlgorithm.from_jwk(jwk)
                if isinstance(point, EllipticCurvePublicKey) and isinstance(point.curve, SECP256R1):
                    return point, _EC
    except (PyJWTError, ValueError, TypeError, AttributeError):
        pass  # PyJWT reads some fields before it looks at their types
    return None, frozenset()
