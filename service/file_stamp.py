"""The stamp of a file, by which a look at it tells that it has changed."""

import stat
from pathlib import Path
from typing import Final, TypeAlias

Stamp: TypeAlias = tuple[int, ...] | None
"""A value that changes with a file and its permissions; None where there is no file."""

READ_ONCE: Final[Stamp] = ()
"""The stamp of a pipe or a terminal: it was emptied at start, and to read it again may take until someone writes."""


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of what is there now. Never fails."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return READ_ONCE
    # A mounted file is replaced whole, through a link: then nothing but the inode need be another.
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
