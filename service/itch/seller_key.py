"""The seller's API key, or two of them while one replaces the other, read again when their files change."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from service.errors import GatewayCredentialRefused
from service.secret import SellerKey
from service.secret_file import SecretFile
from service.secret_text import UnusableText, read_key
from service.verification.interfaces import Clock

_LOOK_EVERY: Final = 1.0
_TRY_DEAD_KEY_EVERY: Final = 5.0
_DEAD_FOR_NOW: Final = 2 * _TRY_DEAD_KEY_EVERY
"""A key that was refused longer ago than this is worth a try when the other key fails."""


class KeySlot:
    """A place for a key. With a `file`, another key in it is picked up within a second, without a restart.

    `setting` is what the operator calls the place. `former` is the key that was there before, until the store accepts
    the one that is there now.
    """

    def __init__(self, setting: str, key: SellerKey, *, file: Path | None) -> None:
        self.setting = setting
        self.key = key
        self.former: KeySlot | None = None
        self.refused_at: float | None = None
        self._file = SecretFile(file, read=read_key) if file is not None else None

    def reread(self) -> bool:
        """Return whether there is another key now. Raises `UnusableText` once when the file holds none.

        Then the key read before stays.
        """
        text = self._file.reread() if self._file is not None else None
        if text is None or (key := SellerKey(text)) == self.key:
            return False
        if self.former is None and self.refused_at is None:
            self.former = KeySlot(f"{self.setting} before it changed", self.key, file=None)
        self.key = key
        self.refused_at = None
        return True


class SellerKeyRing:
    """Gives out the key to ask with: the one in use, and the other as soon as the store refuses it.

    A key that was read anew is tried before the former one is let go, which is used again if the store refuses the new
    one. Once all were refused, one is tried every five seconds, each in its turn, so that dead keys do not hammer the
    store; a new key in a file ends that at once. `reloaded` is called with its setting when another key was read,
    `unreadable` with its setting and the reason when a file could not be read and the old key stays, `switched` with
    the setting of the key that took the place of a refused one.
    """

    def __init__(
        self,
        slots: Sequence[KeySlot],
        *,
        clock: Clock,
        reloaded: Callable[[str], None],
        unreadable: Callable[[str, str], None],
        switched: Callable[[str], None],
    ) -> None:
        self._places = list(slots)
        self._clock = clock
        self._reloaded = reloaded
        self._unreadable = unreadable
        self._switched = switched
        self._in_use = self._places[0]
        self._looked_at = clock.monotonic()
        self._next_try_at: float | None = None

    def current(self) -> SellerKey:
        """Return the key. Raises `GatewayCredentialRefused` while the store is known to refuse them all."""
        now = self._clock.monotonic()
        self._look(now)
        if self._next_try_at is not None:
            if now < self._next_try_at:
                raise GatewayCredentialRefused("itch.io refused the seller's API key a moment ago")
            # The first question after the wait tries it for all.
            self._next_try_at = now + _TRY_DEAD_KEY_EVERY
        return self._best().key

    def held(self) -> list[SellerKey]:
        """Return the keys there are now, be they refused or not."""
        self._look(self._clock.monotonic())
        return [slot.key for slot in self._places]

    def refused(self, key: SellerKey) -> SellerKey | None:
        """Take note that the store refused this key; return the one to try at once in its place, if there is one.

        A key that has been replaced since it was sent says nothing about those that are there now.
        """
        now = self._clock.monotonic()
        for slot in self._slots:
            if slot.key == key:
                slot.refused_at = now
        if all(slot.refused_at is not None and now - slot.refused_at < _DEAD_FOR_NOW for slot in self._slots):
            if self._holds(key):
                self._next_try_at = now + _TRY_DEAD_KEY_EVERY
            return None
        return self._best().key

    def accepted(self, key: SellerKey) -> bool:
        """Take note that the store accepted this key; return whether it is still one of ours.

        A key that has been replaced since it was sent says nothing about those that are there now.
        """
        if not self._holds(key):
            return False
        self._next_try_at = None
        for slot in self._slots:
            if slot.key == key:
                slot.refused_at = slot.former = None
        if self._in_use.refused_at is not None and (best := self._best()) is not self._in_use:
            self._in_use = best
            self._switched(best.setting)
        return True

    def forget_refusals(self) -> None:
        """Take no key for refused any more."""
        self._next_try_at = None
        for slot in self._slots:
            slot.refused_at = None

    @property
    def _slots(self) -> list[KeySlot]:
        """All keys: those in their places, and each that was there before one that the store refuses."""
        former = [slot.former for slot in self._places if slot.former is not None and slot.refused_at is not None]
        return self._places + former

    def _holds(self, key: SellerKey) -> bool:
        return any(slot.key == key for slot in self._slots)

    def _best(self) -> KeySlot:
        """The key in use, unless it was refused; else one that was not, or the one whose refusal is longest ago."""
        return min(self._slots, key=lambda slot: (slot.refused_at or 0.0, slot is not self._in_use))

    def _look(self, now: float) -> None:
        if now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        for slot in self._places:
            try:
                if slot.reread():
                    self._next_try_at = None
                    if self._in_use is slot.former:
                        self._in_use = slot
                    self._reloaded(slot.setting)
            except UnusableText as unusable:
                self._unreadable(slot.setting, str(unusable))
