"""The file of a secret, read again when it changes."""

from collections.abc import Callable
from pathlib import Path

from service.file_stamp import READ_ONCE, Stamp, stamp_of
from service.secret_text import UnusableText
from service.used_up import used_up


class SecretFile:
    """A file whose text is read again when it has changed, by `read`, which raises `UnusableText`.

    The first look reads it, too: it may have changed since the settings were loaded.
    """

    def __init__(self, path: Path, *, read: Callable[[Path], str]) -> None:
        self._path = path
        self._read = read
        self._seen: Stamp = READ_ONCE

    def reread(self) -> str | None:
        """Return its text if the file has changed since the last look. Raises `UnusableText`, once for each change."""
        before, self._seen = self._seen, stamp_of(self._path)
        if self._seen in (before, READ_ONCE):
            return None
        try:
            return self._read(self._path)
        except UnusableText as unusable:
            if not used_up(unusable):
                raise
            self._seen = before  # nothing is wrong with the file: the next look reads it
            return None
