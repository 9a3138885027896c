"""The file of a secret, read again when it changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from service.file_stamp import READ_ONCE, Stamp, stamp_of
from service.secret import Secret
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


AnySecret = TypeVar("AnySecret", bound=Secret)
_LOOK_EVERY: Final = 1.0


class SecretPlace(Generic[AnySecret]):
    """The place of a secret. With a `file`, another one in it is used within a second, without a restart.

    `setting` is what the operator calls the place, `monotonic` returns the seconds of a clock. `reloaded` is called
    with the setting when another secret was read, `unreadable` with that and the reason when the file holds none; the
    one read before stays then.
    """

    def __init__(
        self,
        setting: str,
        secret: AnySecret,
        *,
        file: SecretFile | None,
        monotonic: Callable[[], float],
        reloaded: Callable[[str], None],
        unreadable: Callable[[str, str], None],
    ) -> None:
        self._setting = setting
        self._secret = secret
        self._file = file
        self._monotonic = monotonic
        self._reloaded = reloaded
        self._unreadable = unreadable
        self._looked_at = monotonic()

    def current(self) -> AnySecret:
        """Return the secret to use now."""
        now = self._monotonic()
        if self._file is None or now - self._looked_at < _LOOK_EVERY:
            return self._secret
        self._looked_at = now
        try:
            text = self._file.reread()
        except UnusableText as unusable:
            self._unreadable(self._setting, str(unusable))
            return self._secret
        if text is not None and (secret := type(self._secret)(text)) != self._secret:
            self._secret = secret
            self._reloaded(self._setting)
        return self._secret
