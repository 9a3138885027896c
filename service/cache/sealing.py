"""The sealing of observations for Redis, which binds each to the name that it belongs to.

A sealed entry is, in this order:

    1 byte    version of this layout
    1 byte    1 if the store said no, else 0
    8 bytes   when it was observed, in microseconds since 1970, big-endian
    12 bytes  nonce
    the rest  AES-256-GCM over the MessagePack of `CacheEntry`

The first ten bytes are in clear because Redis itself compares them to let the newest observation win; they mean the
same in every version. They and the full Redis key are authenticated with the rest: an entry that was changed, cut, or
copied to another name cannot be unsealed.

Nonces are random: one key may seal 2^32 entries with them (NIST SP 800-38D, 8.3), which takes a store that is asked
eight times a second 17 years. (ChaCha20-Poly1305 took 8 µs more of each answer from Redis, where processors know AES.)
"""

import os
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from struct import Struct as Layout
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.cache.entry import CacheEntry
from service.cache.keys import SealingKey, redis_key
from service.ownership import Fingerprint, Observation
from service.verification.policy import says_no

LAYOUT_VERSION: Final = 1
HEADER: Final = Layout(">BBQ")
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_NONCE_AT: Final = HEADER.size
_BODY_AT: Final = _NONCE_AT + _NONCE_BYTES
LARGEST_SEALED: Final = 16_384
"""The most bytes of a sealed entry: a proof has some 40, a name of a player as many as itch.io allows."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Flaw(StrEnum):
    """The reason why an entry could not be unsealed."""

    SIZE = "size"
    """Too short or too long to be an entry."""
    OTHER_VERSION = "other_version"
    """Written by another version of the gateway, which may still want it."""
    FORGED = "forged"
    """Changed since it was sealed, sealed with another key, or sealed for another name."""
    BODY = "body"
    """Sealed with our key, but not something this version understands."""


class Unsealable(Exception):  # noqa: N818 - it names what happened; it never leaves the cache
    """An entry was not sealed by this gateway for this name; `flaw` says what is wrong with it."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw


def stamp(instant: datetime) -> int:
    """Return the instant in whole microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


class Sealer:
    """Seals observations for Redis and unseals them again."""

    def __init__(self, sealing_key: SealingKey) -> None:
        self._cipher = AESGCM(bytes.fromhex(sealing_key.reveal()))
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(CacheEntry)

    def seal(self, name: Fingerprint, entry: CacheEntry) -> bytes:
        """Return the entry sealed, as Redis may have it under that name."""
        header = _header_of(entry.observation)
        nonce = os.urandom(_NONCE_BYTES)
        body = self._encoder.encode(entry)
        return header + nonce + self._cipher.encrypt(nonce, body, _bound_to(name, header))

    def unseal(self, name: Fingerprint, blob: bytes) -> CacheEntry:
        """Return the entry that was sealed for that name. Raises `Unsealable` for anything else."""
        if not _BODY_AT + _TAG_BYTES < len(blob) <= LARGEST_SEALED:
            raise Unsealable(Flaw.SIZE)
        if blob[0] != LAYOUT_VERSION:
            raise Unsealable(Flaw.OTHER_VERSION)
        header = blob[:_NONCE_AT]
        try:
            body = self._cipher.decrypt(blob[_NONCE_AT:_BODY_AT], blob[_BODY_AT:], _bound_to(name, header))
        except InvalidTag:
            raise Unsealable(Flaw.FORGED) from None
        try:
            entry = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The error would name a part of the body.
            raise Unsealable(Flaw.BODY) from None
        if header != _header_of(entry.observation):
            raise Unsealable(Flaw.BODY)
        return entry


def _header_of(observation: Observation) -> bytes:
    return HEADER.pack(LAYOUT_VERSION, says_no(observation), stamp(observation.observed_at))


def _bound_to(name: Fingerprint, header: bytes) -> bytes:
    return redis_key(name).encode() + header
