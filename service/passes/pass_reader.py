"""From a pass that is shown to its claims, or to the reason for which it is no good."""

import secrets
from collections import OrderedDict
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import jwt
import msgspec

from service.credentials import PASS_TYPE, can_be_pass
from service.ownership import GameId, Reason
from service.passes.pass_claims import ALGORITHM, PassClaims, audience_of
from service.passes.signing_keys import KeySet, SigningKeys

MOST_REMEMBERED: Final = 10_000
"""Passes whose signature is not checked again: some 15 MB, and a fifth of the time that checking takes."""

_HEADERS: Final = 64
"""Headers that are not read again: those of passes differ by their key only."""

_AHEAD_SECONDS: Final = 60
"""A pass from further ahead was signed by a machine whose clock is wrong."""

_HEADER: Final = {"alg": ALGORITHM, "typ": PASS_TYPE}


class RejectedPass(msgspec.Struct, frozen=True):
    """A pass that is no good, and the claims of one that was signed here; they say nothing but whose it was."""

    reason: Reason
    claims: PassClaims | None = None


class PassReader:
    """Reads passes that a gateway of this issuer has signed with one of the keys that are published now."""

    def __init__(self, *, keys: SigningKeys, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._digest_key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, PassClaims] = OrderedDict()
        self._read_with: KeySet | None = None

    def read(self, text: str, *, game_id: GameId, player_ref: str | None, now: datetime) -> PassClaims | RejectedPass:
        """Return the claims of a pass for that game which has not ended, or why it is rejected.

        A pass that names a player is good only for who names the same.
        """
        claims = self._signed(text)
        if isinstance(claims, Reason):
            return RejectedPass(claims)
        seconds = now.timestamp()
        if claims.game != game_id or claims.iat > seconds + _AHEAD_SECONDS:
            return RejectedPass(Reason.REFUSED_PASS, claims)
        if isinstance(claims.player_ref, str) and claims.player_ref != player_ref:
            return RejectedPass(Reason.REFUSED_PASS, claims)
        return RejectedPass(Reason.EXPIRED_PASS, claims) if claims.exp <= seconds else claims

    def _signed(self, text: str) -> PassClaims | Reason:
        if not can_be_pass(text):
            return Reason.MALFORMED_PASS
        keys = self._keys.current()
        if keys is not self._read_with:
            # A key that was taken away must not go on letting in those who showed a pass of it before.
            self._remembered.clear()
            self._read_with = keys
        digest = blake2b(text.encode(), key=self._digest_key, digest_size=16).digest()
        if (known := self._remembered.get(digest)) is not None:
            self._remembered.move_to_end(digest)
            return known
        claims = self._check(text, keys)
        if isinstance(claims, PassClaims):
            self._remembered[digest] = claims
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return claims

    def _check(self, text: str, keys: KeySet) -> PassClaims | Reason:
        kid = _kid_in(text.partition(".")[0])
        if kid is None:
            return Reason.MALFORMED_PASS
        key = keys.find(kid)
        if key is None:
            return Reason.REFUSED_PASS
        try:
            # Its times are compared with the cluster's clock, in `read`, and not with the machine's.
            claims = jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            return _made_here(msgspec.convert(claims, PassClaims))
        except (jwt.InvalidSignatureError, msgspec.ValidationError):
            return Reason.REFUSED_PASS
        except jwt.DecodeError:  # also another spelling, in base64, of the same bytes
            return Reason.MALFORMED_PASS
        except jwt.InvalidTokenError:
            return Reason.REFUSED_PASS


@lru_cache(maxsize=_HEADERS)
def _kid_in(header: str) -> str | None:
    """Return the name of the key in a header, None if there is more or less in it than in ours."""
    try:
        read = jwt.get_unverified_header(f"{header}..")  # the rest has to be in order, but not of any token
    except jwt.InvalidTokenError:
        return None
    kid = read.pop("kid", None)
    return kid if read == _HEADER and isinstance(kid, str) else None


def _made_here(claims: PassClaims) -> PassClaims | Reason:
    """Return the claims if they go together as ours do: the same key may have signed another kind of token."""
    about_all = audience_of(claims.game, None)
    for_us = claims.aud == about_all or claims.aud.startswith(f"{about_all}/")
    lets_in = claims.outcome.allowed and claims.reason.outcome is claims.outcome
    return claims if for_us and lets_in and claims.handles else Reason.REFUSED_PASS
