"""Redeem tokens as itch.io makes them, and as others do."""

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from tests.clock import START

SECRET: Final = "the-redeem-secret-of-x-moon"
NEXT_SECRET: Final = "the-next-redeem-secret-of-x-moon"
HEADER: Final = {"alg": "HS256", "typ": "JWT"}
NOW: Final = int(START.timestamp())
CLAIMS: Final[dict[str, Any]] = {"purchase_id": 100, "sub_product_id": 101, "iat": NOW, "exp": NOW + 610}


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: object, claims: object, *, secret: str = SECRET, digest: str = "sha256") -> str:
    """Return a token; text is taken as the JSON that it is."""
    parts = [b64((one if isinstance(one, str) else json.dumps(one)).encode()) for one in (header, claims)]
    text = ".".join(parts)
    return f"{text}.{b64(hmac.digest(secret.encode(), text.encode(), digest))}"


def token(secret: str = SECRET, *, without: str = "", header: Mapping[str, Any] = HEADER, **claims: Any) -> str:
    """Return a token as itch.io makes it, with other claims."""
    all_claims = CLAIMS | claims
    all_claims.pop(without, None)
    return signed(header, all_claims, secret=secret)
