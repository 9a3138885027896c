"""Values that must never be printed."""

import hmac
from pathlib import Path
from typing import NoReturn, Self, final

from msgspec import Struct


class Secret:
    """Text that no log line, traceback, pickle or f-string can show; only `reveal` gives it out.

    Two secrets are equal when they are of the same type and hold the same text; the comparison takes the same
    time wherever they differ.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @final
    def reveal(self) -> str:
        """Return the text itself: for the wire, or for a keyed hash, and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret) or type(self) is not type(other):
            return NotImplemented
        return hmac.compare_digest(_utf8(self), _utf8(other))

    def __hash__(self) -> int:
        return hash((type(self), self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is a secret and cannot be pickled")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


def _utf8(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")


class SellerKey(Secret):
    """The seller's itch.io API key: full power over the account that sells the games."""


class SealingSecret(Secret):
    """The operator's secret from which the keys that seal and name cache entries are derived."""


class ProxyUrl(Secret):
    """The URL of the proxy on the way to the store, with its password."""


class HubToken(Secret):
    """The token of a relay at its hub: with it anything can be asked that the hub lets the relay ask."""


class PassKeys(Secret):
    """The private keys that sign passes, in PEM: with one of them any player can be made an owner."""


class MailUrl(Secret):
    """The URL of the mail server, with its password."""


class RedisUrl(Secret):
    """The URL of Redis, with its password."""


class RedeemSecret(Secret):
    """The secret by which itch.io signs the redeem tokens of a game: with it any purchase can be made up."""


class RedeemKeys(Struct, frozen=True):
    """The secrets of a game that redeem tokens may be signed with, each with the file that it stands in, if it does."""

    secret: RedeemSecret | None
    file: Path | None
    next_secret: RedeemSecret | None
    next_file: Path | None
