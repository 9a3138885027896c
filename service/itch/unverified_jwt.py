"""The claims of a JWT. They cannot be verified here: itch.io signs with a secret that only itch.io has.

So nothing is ever granted from them. Once the store has accepted exactly these bytes, they may *restrict* the answer:
an earlier expiry, another user, another game. A claim that would restrict and cannot be read restricts all: `1995.0` or
`[1995]` is meant to restrict, and to ignore it would let any player in.
"""

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from service.ownership import LARGEST_ID, AppJwt

_LATEST: Final = 253402300799
"""The last second of the year 9999, past which `datetime` does not go."""


class UnverifiedClaims(Struct, frozen=True):
    """Unverified claims. `unreadable` when one that may restrict is there and makes no sense."""

    expires_at: datetime | None = None
    user_ids: frozenset[int] = frozenset()
    game_id: int | None = None
    unreadable: bool = False


def peek(token: AppJwt) -> UnverifiedClaims:
    """Return the claims of the token."""
    import jwt  # noqa: PLC0415 - takes as long to import as the API does; it comes with the client, see `client`

    try:
        claims = jwt.decode(token.reveal(), options={"verify_signature": False})
    except jwt.PyJWTError:
        return UnverifiedClaims(unreadable=True)
    try:
        # itch.io documents no claim: these are the registered (RFC 7519 4.1) and the evident names.
        users = (_subject(claims.get("sub")), _id(claims.get("user_id")))
        return UnverifiedClaims(
            expires_at=_instant(claims.get("exp")),
            user_ids=frozenset(user for user in users if user is not None),
            game_id=_id(claims.get("game_id")),
        )
    except _OddClaimError:
        return UnverifiedClaims(unreadable=True)


class _OddClaimError(Exception):
    """A claim is there, and is none of its kind."""


def _instant(claim: object) -> datetime | None:
    if claim is None:
        return None
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim <= _LATEST:
        raise _OddClaimError
    return datetime.fromtimestamp(claim, tz=UTC)


def _subject(claim: object) -> int | None:
    """Return the user id in a `sub`, which may also be a name that only its issuer understands (RFC 7519 4.1.2)."""
    return None if isinstance(claim, str) and not _is_digits(claim) else _id(claim)


def _id(claim: object) -> int | None:
    if isinstance(claim, str) and _is_digits(claim) and len(claim) <= 16:  # noqa: PLR2004 - 2^53
        claim = int(claim)
    if claim is None:
        return None
    if isinstance(claim, bool) or not isinstance(claim, int) or not 1 <= claim <= LARGEST_ID:
        raise _OddClaimError
    return claim


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
