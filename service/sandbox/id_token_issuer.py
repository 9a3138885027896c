"""The sandbox as an issuer of id tokens (OpenID Connect Core 1.0, 2), for those who try out proofs of addresses."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ISSUER: Final = "https://sandbox.invalid"
"""RFC 6761 6.4: a name that no host can have, so that no token of a sandbox can be taken for a real one."""

AUDIENCE: Final = "sandbox"
KEYS_URL: Final = f"{ISSUER}/keys"

_KID: Final = "sandbox"
_BITS: Final = 2048


class IdTokenClaims(Struct, frozen=True):
    """The claims of an id token that a caller may choose; None is left out."""

    email: str
    email_verified: bool | None
    audience: str
    nonce: str | None


class MintedIdToken(Struct, frozen=True):
    """An id token, who issued it for which client, and when it ends."""

    id_token: str
    issuer: str
    audience: str
    expires_at: datetime


class IdTokenIssuer:
    """Signs id tokens with a key of its own, which is made when it is first needed."""

    def mint(self, claims: IdTokenClaims, *, issued_at: datetime, lifetime: timedelta) -> MintedIdToken:
        """Sign an id token. A lifetime of zero or less gives one that has ended. Instants are whole seconds."""
        import jwt  # noqa: PLC0415 - every sandbox imports this module, and few sign: it takes a while

        issued_at = issued_at.replace(microsecond=0)
        expires_at = issued_at + lifetime
        chosen = {"email_verified": claims.email_verified, "nonce": claims.nonce}
        content = {
            "iss": ISSUER,
            "aud": claims.audience,
            "sub": claims.email,
            "iat": int(issued_at.timestamp()),
            "exp": int(expires_at.timestamp()),
            "email": claims.email,
            **{name: value for name, value in chosen.items() if value is not None},
        }
        text = jwt.encode(content, self._key, algorithm="RS256", headers={"kid": _KID})
        return MintedIdToken(text, ISSUER, claims.audience, expires_at)

    async def document(self, _url: str) -> bytes:
        """Return the public key, as an issuer publishes it at `KEYS_URL` (RFC 7517)."""
        from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415 - see `mint`

        jwk = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return msgspec.json.encode({"keys": [{**jwk, "kid": _KID, "use": "sig", "alg": "RS256"}]})

    @cached_property
    def _key(self) -> RSAPrivateKey:
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key  # noqa: PLC0415 - see `mint`

        return generate_private_key(public_exponent=65537, key_size=_BITS)
