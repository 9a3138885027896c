"""The seller's API key, read again when its file changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from service.errors import GatewayCredentialRefused
from service.interfaces import Clock
from service.secret import SellerKey

_LOOK_EVERY: Final = 1.0
_TRY_DEAD_KEY_EVERY: Final = 5.0


class SellerKeyRing:
    """Gives out the key to ask with. With a `file`, a new key is picked up within a second, without a restart.

    A key that the store refused is not tried again for five seconds, so that a dead key does not hammer the store;
    another key ends that at once. `reloaded` is called when another key was read, `unreadable` with the reason when
    the file could not be read and the old key stays in use.
    """

    def __init__(
        self,
        key: SellerKey,
        *,
        file: Path | None,
        clock: Clock,
        reloaded: Callable[[], None],
        unreadable: Callable[[str], None],
    ) -> None:
        self._key = key
        self._file = file
        self._clock = clock
        self._reloaded = reloaded
        self._unreadable = unreadable
        self._looked_at = clock.monotonic()
        # Like no file, although the key came from one: it may have changed between then and now.
        self._seen: tuple[int, ...] | None = ()
        self._refused_until: float | None = None

    def current(self) -> SellerKey:
        """Return the key. Raises `GatewayCredentialRefused` while the store is known to refuse it."""
        self._look()
        if self._refused_until is not None and self._clock.monotonic() < self._refused_until:
            raise GatewayCredentialRefused("itch.io refused the seller's API key a moment ago")
        return self._key

    def refused(self, key: SellerKey) -> None:
        """Take note that the store refused this key."""
        if key == self._key:
            self._refused_until = self._clock.monotonic() + _TRY_DEAD_KEY_EVERY

    def accepted(self) -> None:
        """Take note that the store accepted the key."""
        self._refused_until = None

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._file is None or now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        stamp = _stamp(self._file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            text = self._file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._unreadable(type(error).__name__)
            return
        if not text or not text.isprintable() or " " in text:
            self._unreadable("the file holds no key")
            return
        if (key := SellerKey(text)) != self._key:
            self._key = key
            self._refused_until = None
            self._reloaded()


def _stamp(file: Path) -> tuple[int, ...] | None:
    """What changes when the file or who may read it does; a mounted secret is replaced as a whole, through a link."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
