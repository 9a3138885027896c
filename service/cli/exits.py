"""The exit codes of commands, the same for all of them."""

from collections.abc import Mapping
from enum import IntEnum


class Exit(IntEnum):
    """The end of a command, for scripts."""

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
    INTERRUPTED = 130
    """Stopped by Ctrl-C before it was done; 128 + SIGINT, as shells have it."""


UNUSABLE_CONFIGURATION = "the configuration cannot be used"


def exit_codes(meanings: Mapping[Exit, str]) -> str:
    """Return the end of a command's help: the meanings of its exit codes, without those that every command has."""
    common = {Exit.USAGE: "the command line cannot be understood", Exit.INTERRUPTED: "stopped by Ctrl-C before the end"}
    lines = [f"  {code:>3}  {meaning}" for code, meaning in sorted((common | dict(meanings)).items())]
    # \b keeps click from joining the lines.
    return "\n".join(["\b", "Exit codes:", *lines])
