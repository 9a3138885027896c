"""The parts around the store that follow the configuration when its file is read again: canaries, and games held."""

from functools import partial
from typing import TYPE_CHECKING

from service.api.game_directory import GameDirectory
from service.cache.revocation_guard import SharedRevocationGuard
from service.ownership import GameId
from service.redis.connect import RedisClient
from service.settings import Settings
from service.wiring.basics import Basics
from service.wiring.observations import Observations
from service.wiring.upstream import Upstream

if TYPE_CHECKING:
    from service.canaries.canary_watch import CanaryWatch


class StoreFollower:
    """Follows the configuration for a gateway that asks the store. Implements `Follower`."""

    def __init__(
        self, basics: Basics, upstream: Upstream, observations: Observations, *, redis: RedisClient | None
    ) -> None:
        self._basics = basics
        self._upstream = upstream
        self._observations = observations
        self._redis = redis
        self._canaries: CanaryWatch | None = None

    async def follow(self, settings: Settings, *, before: GameDirectory | None) -> None:
        """Have all follow these settings, which hold already; `before` are the games that were known until then."""
        if before is not None:
            self._show_held_games(before)
        await self._follow_canaries(settings)

    def _show_held_games(self, before: GameDirectory) -> None:
        """Have the metric of each game speak of the id that it has now, where it speaks of the game at all."""
        guard = self._observations.guard
        if guard is None:
            return
        for rules in self._basics.current.configuration.games.configured():
            if guard.held_since(rules.game_id) is not None or before.id_of(rules.label) not in {None, rules.game_id}:
                self._basics.metrics.read_revocations(rules.label, partial(_is_held, guard, rules.game_id))

    async def _follow_canaries(self, settings: Settings) -> None:
        if self._canaries is None and not any(game.canary_user_ids for game in settings.games):
            return
        # Off until configured: not even imported.
        from service.wiring.canaries import canaries_of, watch_canaries  # noqa: PLC0415 - as said above

        if self._canaries is None:
            self._canaries = await watch_canaries(
                settings, self._basics, self._upstream, self._observations, redis=self._redis
            )
        else:
            self._canaries.follow(canaries_of(settings))


def _is_held(guard: SharedRevocationGuard, game_id: GameId) -> bool:
    return guard.held_since(game_id) is not None
