"""Challenges and proofs as sealed text: callers keep them, and can neither read them nor make any.

Each is sealed for its purpose and for the store in front of which the gateway stands, so that no challenge passes as a
proof, and nothing of a sandbox anywhere else.
"""

import base64
import binascii
import hmac
import re
import secrets
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from service.cache.bound_cipher import BoundCipher
from service.cache.keys import ProofsKey, encode_fields
from service.ownership import GameId, VerifiedEmail
from service.secret import Secret

_CHALLENGE: Final = b"og challenge"
_PROOF: Final = b"og proof"
_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,2048}", re.ASCII)
_ID_BYTES: Final = 16
_DIGITS: Final = 8

_Sealed = TypeVar("_Sealed", bound="_Hidden")


class MailedCode(Secret):
    """The code that a player reads in the mail."""


def new_code() -> MailedCode:
    """Return eight digits at random."""
    return MailedCode(f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}}")


class _Hidden(Struct, frozen=True, array_like=True):
    """The part that a challenge and a proof have in common; `ends_at` is in seconds since 1970."""

    email: str
    game_id: GameId
    caller: str
    ends_at: float

    @property
    def address(self) -> VerifiedEmail:
        """The address that it is about."""
        return VerifiedEmail(self.email)

    @property
    def ends(self) -> datetime:
        """The instant of its end."""
        return datetime.fromtimestamp(self.ends_at, UTC)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class Challenge(_Hidden, frozen=True, array_like=True):
    """A code that waits to be typed in."""

    id: bytes
    digest: bytes

    def is_met_by(self, code: MailedCode) -> bool:
        """Whether this is the code."""
        return hmac.compare_digest(self.digest, _digest(self.id, code))


class MailedProof(_Hidden, frozen=True, array_like=True):
    """An address that was proven to a caller for a game."""


class SealedTexts:
    """Seals and opens them. `environment` names the store in front of which the gateway stands."""

    def __init__(self, key: ProofsKey, environment: str) -> None:
        self._cipher = BoundCipher(key)
        self._places = {
            Challenge: encode_fields((_CHALLENGE, environment.encode())),
            MailedProof: encode_fields((_PROOF, environment.encode())),
        }

    def challenge(
        self, address: VerifiedEmail, code: MailedCode, *, game_id: GameId, caller: str, ends_at: datetime
    ) -> str:
        """Return the challenge of a code."""
        number = secrets.token_bytes(_ID_BYTES)
        digest = _digest(number, code)
        return self._seal(Challenge(address.reveal(), game_id, caller, ends_at.timestamp(), number, digest))

    def proof(self, challenge: Challenge, *, ends_at: datetime) -> str:
        """Return the proof that the code of a challenge was confirmed."""
        return self._seal(MailedProof(challenge.email, challenge.game_id, challenge.caller, ends_at.timestamp()))

    def open_challenge(self, text: str) -> Challenge | None:
        """Return the challenge in a text, None if it is none of ours."""
        return self._open(text, Challenge)

    def open_proof(self, text: str) -> MailedProof | None:
        """Return the proof in a text, None if it is none of ours."""
        return self._open(text, MailedProof)

    def _seal(self, content: Challenge | MailedProof) -> str:
        sealed = self._cipher.seal(msgspec.msgpack.encode(content), self._places[type(content)])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _open(self, text: str, kind: type[_Sealed]) -> _Sealed | None:
        if _FORM.fullmatch(text) is None:
            return None
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        plain = self._cipher.unseal(sealed, self._places[kind])
        return None if plain is None else msgspec.msgpack.decode(plain, type=kind)


def _digest(number: bytes, code: MailedCode) -> bytes:
    return blake2b(code.reveal().encode(), key=number, person=b"og code", digest_size=_ID_BYTES).digest()
