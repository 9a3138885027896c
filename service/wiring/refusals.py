"""The memory of refusals: in this process, and in Redis where there is one."""

from collections.abc import Callable

from service.cache.keys import KeyedFingerprints
from service.cache.refusal_history import RefusalHistory
from service.cache.refusal_memory import RefusalMemory
from service.cache.results import CacheResult
from service.cache.shared_refusals import SharedRefusals
from service.causes import Cause
from service.redis.connect import RedisClient
from service.wiring.basics import Basics
from service.wiring.observations import Observations


def open_refusals(
    basics: Basics,
    observations: Observations,
    fingerprints: KeyedFingerprints,
    *,
    redis: RedisClient | None,
    cause: Callable[[], Cause | None],
) -> RefusalHistory:
    """Return the memory of refusals; without Redis it is this process's alone. `cause` is as for `RefusalMemory`."""
    shared = None
    if redis is not None:
        shared = SharedRefusals(
            client=redis,
            fingerprints=fingerprints,
            key=basics.keys.refusals,
            clock=basics.shared_clock,
            counts=basics.metrics.shared_refusals((CacheResult.STORED, CacheResult.DROPPED, CacheResult.FAILED)),
        )
        basics.stack.push_async_callback(shared.close)
    return RefusalHistory(
        memory=RefusalMemory(cause=cause, sharing=shared),
        shared=shared,
        fingerprints=fingerprints,
        invalidations=observations.invalidations,
    )
