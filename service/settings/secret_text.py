"""What a secret must look like to be usable at all."""

import re
from typing import Final

from service.secret import RedisUrl, SealingSecret, Secret, SellerKey
from service.settings.addresses import REDIS_SCHEMES, is_redis_url

SHORTEST_SEALING_SECRET: Final = 32
"""128 bits in hexadecimal digits."""

EXPECTED: Final[dict[type[Secret], str]] = {
    SellerKey: "printable ASCII without spaces",
    SealingSecret: f"at least {SHORTEST_SEALING_SECRET} characters of text",
    RedisUrl: f"a URL that begins with {', '.join(f'{scheme}://' for scheme in REDIS_SCHEMES)}",
}
"""Completes the sentence "expected ..."."""

_PRINTABLE: Final = re.compile(r"[!-~]+")


def is_usable(kind: type[Secret], text: str) -> bool:
    """Whether the text can be a secret of that kind."""
    if kind is SellerKey:
        return _PRINTABLE.fullmatch(text) is not None
    if kind is SealingSecret:
        return len(text) >= SHORTEST_SEALING_SECRET and _is_encodable(text)
    return is_redis_url(text)


def _is_encodable(text: str) -> bool:
    # Bytes of the environment that are not UTF-8 arrive as lone surrogates, which no hash takes.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
