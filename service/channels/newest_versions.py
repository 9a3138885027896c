"""The newest version of each channel: asked for once a minute at most, and remembered while the store says nothing.

It is no evidence of ownership. Requests for it give way to every question about a player.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from msgspec import Struct

from service.errors import DeadlineExceeded, NoAnswer
from service.ownership import CacheTier, Fingerprint, GameId
from service.verification.interfaces import Clock, Lane, Priority
from service.verification.negative_cache import NegativeCache
from service.verification.singleflight import SingleFlight

FRESH: Final = timedelta(seconds=60)
REFRESH_FROM: Final = timedelta(seconds=50)
"""The age from which a version is also looked up again in the background: itch.io throttles those who ask often."""
USABLE: Final = timedelta(hours=24)
"""The age up to which a version is given while the store says nothing."""


class ObservedVersion(Struct, frozen=True):
    """The user version of the newest build, None without one. `observed_at` is when the look-up began."""

    latest: str | None
    observed_at: datetime


class FoundVersion(Struct, frozen=True):
    """A version as it may be given: `stale` once it is no longer fresh, `tier` NONE if the store was asked for it."""

    version: ObservedVersion
    stale: bool
    tier: CacheTier


class VersionSource(Protocol):
    """The store that versions come from."""

    async def latest(self, game_id: GameId, channel: str, *, lane: Lane) -> str | None:
        """Return the newest version of a channel, None if it has none. Raises `NoAnswer`."""


class StoreRoom(Protocol):
    """The room for requests to the store, as far as is known."""

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Raise `NoAnswer` if a request asked for now could not be sent within that time."""


class NewestVersions:
    """Finds versions. Those who want to know the same at the same time share one request.

    As many are remembered as there are channels, which the operator lists.
    """

    def __init__(
        self,
        *,
        source: VersionSource,
        room: StoreRoom,
        clock: Clock,
        joined: Callable[[], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._source = source
        self._room = room
        self._clock = clock
        self._flights = SingleFlight[ObservedVersion](joined=joined, crashed=crashed)
        self._failed = NegativeCache(clock=clock)
        self._known: dict[Fingerprint, ObservedVersion] = {}

    async def find(
        self, game_id: GameId, channel: str, *, max_age: timedelta | None, within: timedelta
    ) -> FoundVersion:
        """Return the newest version, observed no longer ago than `max_age`, if that is given.

        Raises `NoAnswer` if the store gives no usable answer `within` that time, and nothing remembered will do.
        """
        name, now = Fingerprint(f"{game_id} {channel}".encode()), self._clock.now()
        oldest = None if max_age is None else now - max_age
        known = self._known.get(name)
        if known is not None and oldest is not None and not oldest <= known.observed_at <= now:
            known = None
        age = None if known is None else now - known.observed_at
        # A clock that was set back leaves an age below zero, which says nothing about how old the version is.
        if known is not None and age is not None and timedelta() <= age < FRESH:
            if age >= REFRESH_FROM:
                self._refresh(name, game_id, channel, now)
            return FoundVersion(known, stale=False, tier=CacheTier.MEMORY)
        try:
            return FoundVersion(
                await self._ask(name, game_id, channel, oldest, within), stale=False, tier=CacheTier.NONE
            )
        except NoAnswer:
            if known is None or age is None or age >= USABLE:
                raise
            return FoundVersion(known, stale=True, tier=CacheTier.MEMORY)

    async def close(self) -> None:
        """Give up the requests under way."""
        await self._flights.close()

    async def _ask(
        self, name: Fingerprint, game_id: GameId, channel: str, oldest: datetime | None, within: timedelta
    ) -> ObservedVersion:
        if (no_answer := self._failed.get(name)) is not None:
            raise no_answer
        try:
            async with self._clock.timeout(within):
                return await self._flights.fly(
                    name, partial(self._look_up, name, game_id, channel), now=self._clock.now(), not_before=oldest
                )
        except TimeoutError:
            raise DeadlineExceeded from None

    def _refresh(self, name: Fingerprint, game_id: GameId, channel: str, now: datetime) -> None:
        if not self._flights.under_way(name) and self._failed.get(name) is None:
            self._flights.start(name, partial(self._look_up, name, game_id, channel), now=now)

    async def _look_up(self, name: Fingerprint, game_id: GameId, channel: str) -> ObservedVersion:
        observed_at = self._clock.now()
        lane = Lane("", game_id, Priority.BACKGROUND)
        try:
            self._room.admit(lane, within=timedelta())
            version = ObservedVersion(await self._source.latest(game_id, channel, lane=lane), observed_at)
        except NoAnswer as no_answer:
            self._failed.put(name, no_answer)
            raise
        self._failed.remove(name)
        known = self._known.get(name)
        # A look-up that began later may have ended earlier: what it saw is newer.
        if known is None or not version.observed_at < known.observed_at <= self._clock.now():
            self._known[name] = version
        return version
