"""The keys that sign passes, read again when their file changes."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_encode
from msgspec import Struct

from service.pass_pem import read_signing_keys
from service.passes.pass_claims import ALGORITHM
from service.secret import PassKeys
from service.secret_text import UnusableText
from service.verification.interfaces import Clock

_LOOK_EVERY: Final = 1.0


class SigningKey(Struct, frozen=True):
    """A key, and the `kid` by which passes name it (RFC 7638)."""

    kid: str
    private: RSAPrivateKey
    public: RSAPublicKey

    def __repr__(self) -> str:
        return f"SigningKey({self.kid})"


class KeySet(Struct, frozen=True):
    """The keys of one version of the file: the first signs. `published` are the public ones (RFC 7517) as JSON."""

    keys: tuple[SigningKey, ...]
    published: bytes

    def find(self, kid: str) -> RSAPublicKey | None:
        """Return the public key of that name, if there is one."""
        return next((key.public for key in self.keys if key.kid == kid), None)


def key_set(pem: PassKeys) -> KeySet:
    """Return the keys in a text. Raises `UnusableText`."""
    keys, published = [], []
    for private in read_signing_keys(pem.reveal()):
        public = private.public_key()
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
        kid = thumbprint(jwk["e"], jwk["n"])
        keys.append(SigningKey(kid, private, public))
        published.append({"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": kid, "n": jwk["n"], "e": jwk["e"]})
    return KeySet(tuple(keys), json.dumps({"keys": published}, separators=(",", ":")).encode())


def thumbprint(exponent: str, modulus: str) -> str:
    """Return the name of a public key (RFC 7638): its required members in order, without spaces, hashed."""
    members = json.dumps({"e": exponent, "kty": "RSA", "n": modulus}, separators=(",", ":"))
    return base64url_encode(sha256(members.encode()).digest()).decode()


class SigningKeys:
    """The keys to use now.

    `first` are those at start; they are read when they are first used, so that a start waits for nothing. `reloaded` is
    called with the names of the keys when others were read, or the same after the file could not be used; `unreadable`
    with the reason when it cannot be used: then those read before stay.
    """

    def __init__(
        self,
        first: Callable[[], PassKeys],
        *,
        clock: Clock,
        reloaded: Callable[[list[str]], None],
        unreadable: Callable[[str], None],
    ) -> None:
        self._first = first
        self._reread: Callable[[], str | None] = _stays
        self._clock = clock
        self._reloaded = reloaded
        self._unreadable = unreadable
        self._text: PassKeys | None = None
        self._set: KeySet | None = None
        self._broken = False
        self._looked_at = clock.monotonic()

    def follow(self, reread: Callable[[], str | None]) -> None:
        """Have the text of their file picked up within a second of use; `reread` returns it when it has changed."""
        self._reread = reread

    def current(self) -> KeySet:
        """Return the keys. Never fails once there have been some."""
        if self._set is None:
            self._text = self._first()
            self._set = key_set(self._text)
        now = self._clock.monotonic()
        if now - self._looked_at >= _LOOK_EVERY:
            self._looked_at = now
            self._look()
        return self._set

    def _look(self) -> None:
        try:
            read = self._reread()
            if read is None or ((text := PassKeys(read)) == self._text and not self._broken):
                return
            self._set = key_set(text)
        except UnusableText as unusable:
            self._broken = True
            self._unreadable(str(unusable))
        else:
            self._text, self._broken = text, False
            self._reloaded([key.kid for key in self._set.keys])


def _stays() -> None:
    """Do nothing: the keys are not in a file."""
