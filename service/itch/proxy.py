"""The proxy on the way to the store, read again when its file changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from service.secret import ProxyUrl
from service.secret_file import SecretFile
from service.secret_text import UnusableText, read_proxy_url
from service.verification.interfaces import Clock

PROXY: Final = "itch.proxy"
"""The setting, as lines in the log call it."""

_LOOK_EVERY: Final = 1.0


class ProxyPlace:
    """The place of the proxy's URL. With a `file`, another URL in it is used within a second, without a restart.

    `reloaded` is called with the name of the setting when another URL was read, `unreadable` with that and the reason
    when the file holds none; the URL read before stays then.
    """

    def __init__(
        self,
        url: ProxyUrl,
        *,
        file: Path | None,
        clock: Clock,
        reloaded: Callable[[str], None],
        unreadable: Callable[[str, str], None],
    ) -> None:
        self._url = url
        self._file = SecretFile(file, read=read_proxy_url) if file is not None else None
        self._clock = clock
        self._reloaded = reloaded
        self._unreadable = unreadable
        self._looked_at = clock.monotonic()

    def current(self) -> ProxyUrl:
        """Return the URL to use now."""
        now = self._clock.monotonic()
        if self._file is None or now - self._looked_at < _LOOK_EVERY:
            return self._url
        self._looked_at = now
        try:
            text = self._file.reread()
        except UnusableText as unusable:
            self._unreadable(PROXY, str(unusable))
            return self._url
        if text is not None and (url := ProxyUrl(text)) != self._url:
            self._url = url
            self._reloaded(PROXY)
        return self._url
