"""The JWTs of the app manifest, signed with the sandbox's own key, and refused in itch.io's words."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

USUAL_LIFETIME: Final = timedelta(days=7)
"""About what itch.io gives its JWTs."""

_SIGNING_KEY: Final = b"the sandbox signs with this; it opens nothing anywhere else"
_BASE64_URL: Final = re.compile(r"[A-Za-z0-9_-]+")


class JwtRefusedError(Exception):
    """The JWT is no good; the text is the store's answer."""


class _Header(Struct, forbid_unknown_fields=True):
    typ: str | None = None
    alg: str | None = None


class _Claims(Struct):
    sub: str
    iat: int
    exp: int


class AcceptedJwt(Struct, frozen=True):
    """A JWT that the sandbox signed and that has not expired."""

    user_id: int
    expires_at: datetime


class MintedJwt(Struct, frozen=True):
    """A JWT as the itch.io app would hand it to a game, and when it ends."""

    jwt: str
    user_id: int
    expires_at: datetime


def mint(*, user_id: int, issued_at: datetime, lifetime: timedelta = USUAL_LIFETIME) -> MintedJwt:
    """Sign a JWT. A lifetime of zero or less gives one that has expired. Instants are whole seconds."""
    import jwt  # noqa: PLC0415 - every gateway imports this module, and few are a sandbox: it takes a while

    issued_at = issued_at.replace(microsecond=0)
    expires_at = issued_at + lifetime
    claims = {"sub": str(user_id), "iat": int(issued_at.timestamp()), "exp": int(expires_at.timestamp())}
    return MintedJwt(jwt.encode(claims, _SIGNING_KEY, algorithm="HS256"), user_id, expires_at)


def read(text: str, *, now: datetime) -> AcceptedJwt:
    """Return the player of a JWT. Raises `JwtRefusedError` in itch.io's order and words.

    `token expired` is our guess: what itch.io answers to a JWT past its end is not documented.
    """
    header_part, _, rest = text.partition(".")
    claims_part, _, signature_part = rest.partition(".")
    if not (header_part and claims_part and signature_part):
        raise JwtRefusedError("missing data")
    header_json, claims_json, _ = map(_from_base64, (header_part, claims_part, signature_part))
    _check_header(header_json)
    _check_signature(text)
    try:
        claims = msgspec.json.decode(claims_json, type=_Claims)
        accepted = AcceptedJwt(int(claims.sub), datetime.fromtimestamp(claims.exp, UTC))
    except (ValueError, OverflowError, OSError, RecursionError):
        # Signed with our key, and yet no claims of ours: made elsewhere with the published key.
        raise JwtRefusedError("missing data") from None
    if accepted.expires_at <= now:
        raise JwtRefusedError("token expired")
    return accepted


def _from_base64(part: str) -> bytes:
    if not _BASE64_URL.fullmatch(part):
        # The decoder itself would skip what is not in the alphabet.
        raise JwtRefusedError("invalid base64")
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise JwtRefusedError("invalid base64") from None


def _check_header(header_json: bytes) -> None:
    try:
        header = msgspec.json.decode(header_json, type=_Header)
    except ValueError:
        raise JwtRefusedError("header not JWT") from None
    if header.typ != "JWT":
        raise JwtRefusedError("header not JWT")
    if header.alg != "HS256":
        raise JwtRefusedError("header not HS256")


def _check_signature(text: str) -> None:
    import jwt  # noqa: PLC0415 - see `mint`

    # Expiry is compared with the sandbox's clock, PyJWT knows only the machine's.
    try:
        jwt.decode(
            text,
            _SIGNING_KEY,
            algorithms=["HS256"],
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidSignatureError:
        raise JwtRefusedError("invalid signature") from None
    except (jwt.InvalidTokenError, RecursionError):
        raise JwtRefusedError("missing data") from None
