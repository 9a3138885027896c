"""What a JWT says of itself. It cannot be verified here: itch.io signs with a secret that only itch.io has.

So nothing is ever granted from it. Once the store has accepted exactly these bytes, what they say may *restrict* the
answer: an earlier expiry, another user, another game.
"""

from datetime import UTC, datetime
from typing import Final

import jwt
from msgspec import Struct

from service.ownership import LARGEST_ID, AppJwt

_LATEST: Final = 253402300799
"""The last second of the year 9999, past which `datetime` does not go."""


class UnverifiedClaims(Struct, frozen=True):
    """Claims that nobody has verified. `unreadable` when they are there and make no sense."""

    expires_at: datetime | None = None
    user_ids: frozenset[int] = frozenset()
    game_id: int | None = None
    unreadable: bool = False


def peek(token: AppJwt) -> UnverifiedClaims:
    """Return what the token says of itself."""
    try:
        claims = jwt.decode(token.reveal(), options={"verify_signature": False})
    except jwt.PyJWTError:
        return UnverifiedClaims(unreadable=True)
    expires = claims.get("exp")
    if expires is not None and (
        isinstance(expires, bool) or not isinstance(expires, int | float) or not 0 <= expires <= _LATEST
    ):
        return UnverifiedClaims(unreadable=True)
    # itch.io documents no claim: these are the registered (RFC 7519 4.1) and the evident names.
    return UnverifiedClaims(
        expires_at=None if expires is None else datetime.fromtimestamp(expires, tz=UTC),
        user_ids=frozenset(number for name in ("sub", "user_id") if (number := _number(claims.get(name))) is not None),
        game_id=_number(claims.get("game_id")),
    )


def _number(claim: object) -> int | None:
    if isinstance(claim, str) and claim.isascii() and claim.isdigit() and len(claim) <= 16:  # noqa: PLR2004 - 2^53
        claim = int(claim)
    if isinstance(claim, bool) or not isinstance(claim, int) or not 0 <= claim <= LARGEST_ID:
        return None
    return claim
