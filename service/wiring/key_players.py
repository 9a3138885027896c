"""The part that counts who has shown a download key: opened when it is first needed, by most gateways never."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from service.cache.keys import KeyedFingerprints
from service.redis.connect import RedisClient
from service.wiring.basics import Basics

if TYPE_CHECKING:
    from service.api.key_sharing import KeySharing


def key_sharing_of(
    basics: Basics, fingerprints: KeyedFingerprints, *, redis: RedisClient | None
) -> "Callable[[], KeySharing]":
    """Return the way to it: any game may begin to count players when the configuration is read again."""

    @cache
    def opened() -> "KeySharing":
        # Off until configured: not even imported.
        from service.api.key_sharing import KeySharing  # noqa: PLC0415
        from service.cache.counted_players import CountedPlayers  # noqa: PLC0415
        from service.observability.key_uses import KeyUses  # noqa: PLC0415

        players = CountedPlayers(client=redis, key=basics.keys.players, clock=basics.shared_clock)
        basics.stack.push_async_callback(players.close)
        return KeySharing(players=players, fingerprints=fingerprints, count=KeyUses(basics.metrics).count)

    return opened
