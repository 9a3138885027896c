"""Redeem tokens: JWTs by which itch.io tells a studio that a sub-product (DLC) was bought. Pure, and nothing is kept.

After the payment itch.io sends the buyer's browser to the studio's redeem URL with `?jwt=`, signed with a secret of the
project (itch.io's page on sub-products). The algorithm is not stated there; HS256 is that of all else they sign. Each
field that decides is required in the type that is documented: what is read wrongly would be granted wrongly.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from service.credentials import unwrapped
from service.ownership import LARGEST_ID
from service.redeem.redeem_reason import RedeemReason
from service.secret import RedeemSecret
from service.signed_token import has_form, unverified_object

_LONGEST: Final = 8 * 1024
"""Characters of a token. One with the largest `metadata` has some 2000."""

_LONGEST_LIFE: Final = timedelta(hours=1)
"""The time from `iat` to `exp`. itch.io's own have some ten minutes."""

_LEEWAY: Final = timedelta(seconds=30)
"""The difference between itch.io's clock and ours that is put up with."""

_LARGEST_METADATA: Final = 1024
"""Bytes of JSON. itch.io takes less than 1024 characters, encoded."""

_LONGEST_EXTERNAL_ID: Final = 1024
_LATEST: Final = 253402300799
"""The last second of the year 9999."""

_CHANGE_THE_READING: Final = frozenset({"crit", "b64", "zip", "cty"})
"""Header fields by which a token means something else than its bytes say (RFC 7515 4.1.11, RFC 7797)."""


_Id: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
_Time: TypeAlias = Annotated[int, Meta(ge=0, le=_LATEST)] | Annotated[float, Meta(ge=0, le=_LATEST)]


class Redeemed(Struct, frozen=True):
    """The claims of a good token. `purchase_id` names the purchase: grant each one once."""

    purchase_id: _Id
    sub_product_id: _Id
    iat: _Time
    exp: _Time
    nbf: _Time | None = None
    external_id: Annotated[str, Meta(max_length=_LONGEST_EXTERNAL_ID)] | None = None
    metadata: dict[str, Any] | None = None


def read_redeem_token(text: str, secrets: Iterable[RedeemSecret], *, now: datetime) -> Redeemed | RedeemReason:
    """Return what a token says that was signed with one of these secrets, or why it counts for nothing."""
    text = unwrapped(text)
    if not has_form(text, longest=_LONGEST):
        return RedeemReason.MALFORMED_REDEEM_JWT
    signed, _, signature = text.rpartition(".")
    first, _, second = signed.partition(".")
    header = unverified_object(first, largest=_LONGEST)
    if header is None or unverified_object(second, largest=_LONGEST) is None:
        return RedeemReason.MALFORMED_REDEEM_JWT
    if not _is_plain(header) or not _is_signed(signed, signature, secrets):
        return RedeemReason.REFUSED_REDEEM_JWT
    redeemed = _read_claims(second)
    return RedeemReason.REFUSED_REDEEM_JWT if redeemed is None else _in_its_time(redeemed, now)


def _is_plain(header: dict[str, object]) -> bool:
    """Whether it is a JWT by HS256, and nothing but that."""
    kind = header.get("typ", "JWT")
    is_jwt = isinstance(kind, str) and kind.upper() == "JWT"
    return header.get("alg") == "HS256" and is_jwt and not header.keys() & _CHANGE_THE_READING


def _is_signed(signed: str, signature: str, secrets: Iterable[RedeemSecret]) -> bool:
    """Whether one of the secrets has signed it. All are tried, so that time does not tell which.

    By hand, for it is three lines: PyJWT refuses some texts as keys, and warns of those below 32 bytes, which are
    itch.io's to choose.
    """
    good = False
    for secret in secrets:
        made = hmac.digest(secret.reveal().encode(), signed.encode("ascii"), "sha256")
        good |= hmac.compare_digest(urlsafe_b64encode(made).rstrip(b"=").decode("ascii"), signature)
    return good


def _read_claims(part: str) -> Redeemed | None:
    """Return the claims, None if one is missing, of another type, or there twice."""
    try:
        # Of two fields with one name, one reader takes the first and another the last.
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)), object_pairs_hook=_each_once)
        redeemed = msgspec.convert(claims, Redeemed)
    except (ValueError, RecursionError):
        return None
    return None if len(msgspec.json.encode(redeemed.metadata)) > _LARGEST_METADATA else redeemed


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _in_its_time(redeemed: Redeemed, now: datetime) -> Redeemed | RedeemReason:
    """Return the token if it is of this time. One that has no end, or begins in the future, is none of itch.io's."""
    at, leeway = now.timestamp(), _LEEWAY.total_seconds()
    begins = max(redeemed.iat, redeemed.nbf or 0)
    if not 0 < redeemed.exp - redeemed.iat <= _LONGEST_LIFE.total_seconds() or begins > at + leeway:
        return RedeemReason.REFUSED_REDEEM_JWT
    return RedeemReason.EXPIRED_REDEEM_JWT if redeemed.exp + leeway <= at else redeemed
