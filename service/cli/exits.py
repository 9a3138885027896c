"""How commands end: the exit codes, the same for all of them."""

from enum import IntEnum


class Exit(IntEnum):
    """What a script can tell from how a command ended."""

    OK = 0
    """Done; for `verify`: the player may be let in."""
    NO = 1
    """The answer is no; for `doctor`: something is wrong."""
    USAGE = 2
    """The command line cannot be understood."""
    UNKNOWN = 3
    """There was no usable answer; ask again later."""
    CONFIGURATION = 4
    """The configuration cannot be used."""
