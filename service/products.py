"""The words for what is sold within a game: products, the token of a player who may have bought them, and the answer.

A question about products has its own words because it is about many things at once, each with an answer of its own.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NewType

from msgspec import Struct

from service.errors import NoAnswer
from service.secret import Secret

Product = NewType("Product", int)
"""Something sold within a game: at mod.io the id of a mod, 1 to 2^53-1."""

ModioGame = NewType("ModioGame", int)
"""The number of a game at mod.io, which has nothing to do with that at itch.io."""

MOST_PRODUCTS: Final = 100
"""The most products of one question: as many as mod.io lists on one page, and only one page can prove absence."""

_LONGEST_TOKEN: Final = 8 * 1024
_PART: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_PARTS: Final = (3, 5)
"""Parts of a JWT (RFC 7515 3.1) and of an encrypted one (RFC 7516 3.1): mod.io gives out both."""


class ModioToken(Secret):
    """A well-formed access token of a mod.io user; it may read and write as that user, and names no game."""

    __slots__ = ()


class TokenRefused(Struct, frozen=True):
    """The store refused the player's token itself."""

    observed_at: datetime
    sandbox: bool = False


class Purchases(Struct, frozen=True):
    """The store's answer about products of one player: each is owned, or not owned, or there is no answer about it.

    `observed_at` is when the look-up started.
    """

    observed_at: datetime
    owned: frozenset[Product] = frozenset()
    not_owned: frozenset[Product] = frozenset()
    no_answer: Mapping[Product, NoAnswer] = {}
    sandbox: bool = False


def read_modio_token(text: str) -> ModioToken | None:
    """Accept what can be a token of mod.io: three or five base64url parts, at most 8 KiB; None for anything else.

    API keys, of mod.io as of itch.io, have no dots: they go no further. Text is taken without white space around it.
    """
    text = text.strip()
    if len(text) > _LONGEST_TOKEN:
        return None
    parts = text.split(".")
    if len(parts) not in _PARTS or not all(_PART.fullmatch(part) for part in parts):
        return None
    return ModioToken(text)
