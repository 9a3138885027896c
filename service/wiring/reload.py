"""Reading the configuration file again, while questions are answered: games, callers, policies, the log's level.

Parsing and checking happen in a thread; what the event loop does is one assignment, and little around it.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Final, NoReturn, Protocol

from msgspec import Struct

from service.api.current_configuration import Configuration
from service.api.game_directory import GameDirectory
from service.errors import SettingsError
from service.settings import FileContent, FileWatch, Reread, Settings, SettingsReader
from service.wiring.background import run_in_background
from service.wiring.basics import Basics, show_what_is_on
from service.wiring.rules import configuration_of

LOOK_EVERY: Final = timedelta(seconds=1)

_SWITCH_SECONDS: Final = 0.0005
"""The time after which the reading thread lets the event loop go on. A question takes several turns of the loop, and
waits so long for each: by Python's own 5 ms, the loop stood still for 53 to 80 ms while 100 000 ids were read, by this
for 22 to 39 (`benchmarks reload`)."""


class Follower(Protocol):
    """Parts that follow the configuration."""

    async def follow(self, settings: Settings, *, before: GameDirectory | None) -> None:
        """Follow these settings; `before` are the games known until then, None at the start."""


class _Version(Struct, frozen=True):
    """The settings of one version of the file, and what questions are answered by under it."""

    settings: Settings
    configuration: Configuration
    content: FileContent | None


class Reloading:
    """Has the gateway follow its configuration file: all of a new content, or nothing of it.

    `read_from` is the content of the file that the settings of `basics` were read from; None if there is no file.
    `applied` is told the new settings once they hold, and then the `follower`, if there is one.
    """

    def __init__(
        self,
        basics: Basics,
        *,
        reader: SettingsReader | None,
        read_from: FileContent | None,
        applied: Callable[[Settings], None],
        follower: Follower | None,
    ) -> None:
        self._basics = basics
        self._reader = reader
        self._follower = follower
        self._running = basics.settings
        self._read_from = read_from
        self._applied = applied
        self._watch: FileWatch | None = None
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Follow the file in the background until the gateway closes, if there is one; and start what it asks for."""
        if self._follower is not None:
            await self._follower.follow(self._running, before=None)
        watch = self._watch = _watch_of(self._read_from)
        if watch is not None:
            crashed = partial(self._basics.events.crashed, where="reload")
            await run_in_background(self._basics.stack, self._look_on(watch), crashed=crashed)
            await run_in_background(self._basics.stack, self._read_when_asked(watch), crashed=crashed)

    @property
    def settings(self) -> Settings:
        """The settings that hold now."""
        return self._running

    @property
    def read_from(self) -> FileContent | None:
        """The content of the file that these settings were read from; None if there is no file."""
        return self._read_from

    def ask(self) -> None:
        """Have the file read again at once, whether it has changed or not."""
        if self._watch is None:
            self._basics.events.no_configuration_to_reload()
        else:
            self._asked.set()

    async def _look_on(self, watch: FileWatch) -> NoReturn:
        while True:
            await self._basics.clock.sleep(LOOK_EVERY)
            await self._follow(watch.look)

    async def _read_when_asked(self, watch: FileWatch) -> NoReturn:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._follow(watch.read)

    async def _follow(self, read: Callable[[], FileContent | None]) -> None:
        """Have what `read` returns hold, in a turn of its own. A bug is told, and the next content gets its turn."""
        async with self._turn:
            try:
                content = await asyncio.to_thread(read)
                if content is not None:
                    await self._reload(content)
            except Exception as bug:  # noqa: BLE001 - as said above
                self._basics.events.reload_crashed(bug)

    async def _reload(self, content: FileContent) -> None:
        try:
            reread, version = await asyncio.to_thread(self._prepare, content)
        except SettingsError as error:
            self._basics.events.configuration_refused(error.mistakes)
            return
        before = _Version(self._running, self._basics.current.configuration, self._read_from)
        try:
            await self._apply(version)
        except Exception:
            await self._apply(before)
            raise
        self._basics.events.configuration_reloaded(reread.changed, reread.needs_restart)

    def _prepare(self, content: FileContent) -> tuple[Reread, _Version]:
        """Read, check and build: all that takes time, called in a thread. Raises `SettingsError`."""
        if self._reader is None:
            raise AssertionError("a file was read again without the settings that it was read for")
        with _giving_way():
            reread = self._reader.read_again(content, self._running)
            before = self._basics.current.configuration
            configuration = configuration_of(reread.settings, self._basics.shared_clock, before=before)
        return reread, _Version(reread.settings, configuration, content)

    async def _apply(self, version: _Version) -> None:
        """Have it hold: for questions in one turn of the event loop, for canaries right after it."""
        basics, settings = self._basics, version.settings
        before, self._running, self._read_from = self._running, settings, version.content
        basics.metrics.configure_games(game.slug for game in settings.games)
        show_what_is_on(basics.metrics, settings)
        known = basics.current.configuration.games
        basics.current.configuration = version.configuration
        if settings.log.level is not before.log.level:
            basics.log.set_level(settings.log.level)
        self._applied(settings)
        if self._follower is not None:
            await self._follower.follow(settings, before=known)


def ignore_settings(_: Settings) -> None:
    """Do nothing about new settings."""


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let other threads of this process go on sooner than Python does by itself, until the block ends."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _watch_of(read_from: FileContent | None) -> FileWatch | None:
    if read_from is None:
        return None
    watch = FileWatch(read_from)
    return watch if watch.can_be_read_again else None
