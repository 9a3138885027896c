"""The canaries, from the settings to the watch that runs in the background."""

from collections.abc import Iterator
from functools import partial

from service.cache.keys import KeyedFingerprints, canaries_key
from service.cache.sealing import Sealer
from service.canaries.canary import Canary, configured_canaries
from service.canaries.canary_watch import CanaryWatch
from service.canaries.turns import CanaryTurns, ClusterTurns, OwnTurns
from service.redis.connect import RedisClient
from service.settings import Settings
from service.wiring.background import run_in_background
from service.wiring.basics import Basics
from service.wiring.observations import Observations
from service.wiring.rules import game_rules
from service.wiring.upstream import Upstream


async def watch_canaries(
    settings: Settings, basics: Basics, upstream: Upstream, observations: Observations, *, redis: RedisClient | None
) -> CanaryWatch:
    """Ask the store about the canaries of the settings in the background, in turn with the other replicas."""
    watch = CanaryWatch(
        canaries_of(settings),
        source=upstream.source,
        overrides=observations.overrides,
        room=upstream.queue,
        turns=_open_turns(basics, upstream, redis),
        clock=basics.shared_clock,
        observer=basics.events,
    )
    await run_in_background(basics.stack, watch.run(), crashed=partial(basics.events.crashed, where="canaries"))
    return watch


def canaries_of(settings: Settings) -> Iterator[Canary]:
    """Yield the configured canaries."""
    return configured_canaries(settings.games, game_rules(settings))


def _open_turns(basics: Basics, upstream: Upstream, redis: RedisClient | None) -> CanaryTurns:
    if redis is None:
        return OwnTurns()
    environment = upstream.address.environment
    turns = ClusterTurns(
        client=redis,
        key=canaries_key(basics.keys.naming, environment),
        fingerprints=KeyedFingerprints(basics.keys.naming, environment),
        sealer=Sealer(basics.keys.sealing),
        clock=basics.shared_clock,
    )
    basics.stack.push_async_callback(turns.close)
    return turns
