"""Collects what is wrong, so that the operator reads all of it at once."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_TELLING: Final = 3
"""Characters; the beginning of a name says nothing when it is shorter."""


class Mistakes:
    """One readable line a mistake, and which settings are unusable because of it.

    A check that builds on an unusable setting would only find the consequences of a mistake already named.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._unusable: set[str] = set()

    def add(self, line: str, *, unusable: str | None = None) -> None:
        """Take a line, and the key of the setting that has no usable value because of it."""
        self.lines.append(line)
        if unusable is not None:
            self._unusable.add(unusable)

    def leave_usable(self, keys: Iterable[str]) -> bool:
        """Whether all of these settings have the value that the operator meant."""
        return self._unusable.isdisjoint(keys)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant: one that goes on like it, or else resembles it."""
    known = list(known)
    longer = [one for one in known if len(name) >= _TELLING and one.startswith(name)]
    return next(iter(longer or get_close_matches(name, known, n=1)), None)


def unknown(name: str, meant: str | None) -> str:
    """Say that nothing is called so. The value stays out of it: it may be a secret under a misspelt name."""
    return f"{name} is not a setting" + (f"; did you mean {meant}?" if meant else "")
