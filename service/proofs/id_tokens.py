"""OIDC id tokens (OpenID Connect Core 1.0, section 3.1.3.7) as proofs of an address.

Nothing in a token is believed before its signature, but which issuer and which key are to check it. Every fault has the
same reason, so that no answer says more about a token than that it proves nothing.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import jwt
from jwt.types import Options
from msgspec import Struct

from service.credentials import read_email
from service.errors import BadQuestion
from service.ownership import Malformed, Method, Reason, VerifiedEmail
from service.proofs.issuer_keys import IssuerKeys
from service.signed_token import has_form, unverified_object
from service.verification.interfaces import Clock

LONGEST: Final = 8 * 1024
"""Characters of a token."""

NOT_PROVEN: Final = Malformed(Method.EMAIL, Reason.EMAIL_NOT_VERIFIED)

_AHEAD_SECONDS: Final = 60
"""The lead of an issuer's clock that is put up with."""

_GOOGLE: Final = "https://accounts.google.com"
_ALIASES: Final = {_GOOGLE.removeprefix("https://"): _GOOGLE}
"""Google says that its `iss` may lack its scheme (Google Identity, "Verify the Google ID token"); no other may."""

_TYPES: Final = (None, "JWT")
_HEADER: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
"""The fields that a header may have: none that brings a key along, or changes how a token is read (RFC 8725 3.10)."""

_SIGNATURE_ALONE: Final[Options] = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_aud": False,
}


class Issuer(Struct, frozen=True):
    """An issuer of id tokens, and what its tokens have to be."""

    name: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    keys: IssuerKeys
    require_nonce: bool
    longest_age: timedelta


class IdTokens:
    """Reads id tokens of these issuers."""

    def __init__(self, issuers: Iterable[Issuer], *, clock: Clock) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._clock = clock

    async def read(
        self, text: str, *, nonce: str | None, address: VerifiedEmail | None, within: timedelta
    ) -> VerifiedEmail | Malformed:
        """Return the address that a token proves, or that it proves none; `address` is the one that it has to prove.

        Raises `IssuerUnavailable` if there are no keys to check it with, `within` that time.
        """
        header = unverified_object(text.partition(".")[0], largest=LONGEST) if has_form(text, longest=LONGEST) else None
        claims = None if header is None else unverified_object(text.split(".")[1], largest=LONGEST)
        if header is None or claims is None or not header.keys() <= _HEADER or header.get("typ") not in _TYPES:
            return NOT_PROVEN
        issuer = self._issuer_of(claims)
        kid, algorithm = header.get("kid"), header.get("alg")
        if issuer is None or not isinstance(kid, str) or not isinstance(algorithm, str):
            return NOT_PROVEN
        if algorithm not in issuer.algorithms or not self._is_right(claims, issuer, nonce):
            return NOT_PROVEN  # before a key is fetched for it
        key = await issuer.keys.find(kid, algorithm, within=within)
        if key is None:
            return NOT_PROVEN
        try:
            jwt.decode(text, key, algorithms=[algorithm], options=_SIGNATURE_ALONE)
        except jwt.PyJWTError:
            return NOT_PROVEN
        proven = _address_in(claims)
        return NOT_PROVEN if proven is None or address not in (None, proven) else proven

    async def close(self) -> None:
        """Give up fetching keys."""
        for issuer in self._issuers.values():
            await issuer.keys.close()

    def _issuer_of(self, claims: dict[str, Any]) -> Issuer | None:
        name = claims.get("iss")
        return self._issuers.get(_ALIASES.get(name, name)) if isinstance(name, str) else None

    def _is_right(self, claims: dict[str, Any], issuer: Issuer, nonce: str | None) -> bool:
        """Whether a token is for us, and of this time, by what it says of itself."""
        now = self._clock.now().timestamp()
        issued_at, ends_at, own = _number(claims.get("iat")), _number(claims.get("exp")), claims.get("nonce")
        if issued_at is None or ends_at is None or not isinstance(claims.get("sub"), str):
            return False
        if not now - issuer.longest_age.total_seconds() <= issued_at <= now + _AHEAD_SECONDS or ends_at <= now:
            return False
        if (own is not None or nonce is not None or issuer.require_nonce) and (own is None or own != nonce):
            return False
        audience = claims.get("aud")
        return isinstance(audience, str) and audience in issuer.audiences


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _address_in(claims: dict[str, Any]) -> VerifiedEmail | None:
    """Return the address of which the issuer says that it is verified; Apple writes `"true"`."""
    email, verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or not (verified is True or verified == "true"):
        return None
    try:
        return read_email(email, pointer="")
    except BadQuestion:
        return None
