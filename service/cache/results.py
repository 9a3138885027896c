"""The reports of the tiers. Those for the metric `cache_operations_total` are closed sets: no input becomes a label."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from service.ownership import CacheTier, Fingerprint, GameId


class CacheOperation(StrEnum):
    """An operation on a tier."""

    GET = "get"
    PUT = "put"


class CacheResult(StrEnum):
    """The result of an operation."""

    HIT = "hit"
    MISS = "miss"
    STORED = "stored"
    SUPERSEDED = "superseded"
    """A newer observation was there already, and stays."""
    REJECTED = "rejected"
    """Something was there that this gateway did not seal: corrupt, planted, or of a foreign type."""
    FAILED = "failed"
    """Redis did not answer, or answered with an error."""
    SKIPPED = "skipped"
    """Redis was not asked, because it has just failed several times in a row."""
    DROPPED = "dropped"
    """Too many writes were waiting, the process was closing, or the entry was longer than any that is read back."""


OnOperation: TypeAlias = Callable[[CacheTier, CacheOperation, CacheResult], None]
"""Called once for every operation on a tier, when its result is known."""

OnOverruled: TypeAlias = Callable[[GameId | None, Fingerprint, datetime, datetime | None], None]
"""Called with the game, the name and the instant of a no that has replaced a yes, and that of the yes if it is known.

The game of an identity is None.
"""


def ignore_overruled(*_: object) -> None:
    """Do nothing, where no other replica is told."""
