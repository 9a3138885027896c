"""The configuration file, looked at again and again: told when it has changed, and has stopped changing."""

from service.file_stamp import READ_ONCE, Stamp, stamp_of
from service.settings.sources import FileContent, read_content


class FileWatch:
    """Looks at a file for which the content `told` was read already. One look is to be taken each second.

    A new content is told once two looks in a row have read the same: an editor writes in pieces, and between two files
    there may be none for a moment. That there is no file, or that it cannot be read, is a content, too.
    """

    def __init__(self, told: FileContent) -> None:
        self._told = told
        self._path = told.path
        self._stamp: Stamp = READ_ONCE
        self._candidate: FileContent | None = None

    @property
    def can_be_read_again(self) -> bool:
        """Whether there is more to read than a pipe that was emptied at start."""
        return stamp_of(self._path) != READ_ONCE

    def look(self) -> FileContent | None:
        """Return the content if it is another than was told last, and the same as at the last look; else None."""
        before, self._stamp = self._stamp, stamp_of(self._path)
        if self._stamp == READ_ONCE or (self._stamp == before and self._candidate is None):
            return None
        content = read_content(self._path)
        if content == self._candidate:
            return self._tell(content)
        self._candidate = None if content == self._told else content
        return None

    def read(self) -> FileContent:
        """Return the content as it is now, whether it has changed or not; it counts as told."""
        if stamp_of(self._path) == READ_ONCE:
            return self._told  # a pipe now: to read it would wait for its writer
        return self._tell(read_content(self._path))

    def _tell(self, content: FileContent) -> FileContent:
        self._told, self._candidate = content, None
        return content
