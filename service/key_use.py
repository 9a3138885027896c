"""The words for players who share a download key."""

from enum import StrEnum
from typing import Final

MOST_KEY_PLAYERS: Final = 32
"""The most players that an operator may allow for one download key."""


class KeyUse(StrEnum):
    """The result of counting a player who has shown a download key."""

    KNOWN = "known"
    """The player was counted before."""
    NEW = "new"
    """The player is counted from now on."""
    OVER = "over"
    """As many others as the operator allows are counted."""
    UNKNOWN = "unknown"
    """Redis does not say who is."""
