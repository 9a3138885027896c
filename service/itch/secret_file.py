"""The file of a secret, read again when it changes."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from service.itch.used_up import used_up
from service.secret_text import UnusableText

_Stamp = tuple[int, ...] | None
"""A value that changes with a file and its permissions; None where there is no file."""

_READ_ONCE: Final[_Stamp] = ()


class SecretFile:
    """A file whose text is read again when it has changed, by `read`, which raises `UnusableText`.

    The first look reads it, too: it may have changed since the settings were loaded.
    """

    def __init__(self, path: Path, *, read: Callable[[Path], str]) -> None:
        self._path = path
        self._read = read
        self._seen: _Stamp = _READ_ONCE

    def reread(self) -> str | None:
        """Return its text if the file has changed since the last look. Raises `UnusableText`, once for each change."""
        before, self._seen = self._seen, _stamp_of(self._path)
        if self._seen in (before, _READ_ONCE):
            return None
        try:
            return self._read(self._path)
        except UnusableText as unusable:
            if not used_up(unusable):
                raise
            self._seen = before  # nothing is wrong with the file: the next look reads it
            return None


def _stamp_of(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return _READ_ONCE  # a pipe or a terminal was emptied at start; to read it again may take until someone writes
    # A mounted secret is replaced whole, through a link: then nothing but the inode need be another.
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
