"""The comparison of this replica's secrets with those of the others, and what follows from it."""

from functools import partial

from service.cache.secrets_in_use import SecretComparison, SharedSecret
from service.limits.store_budget import ProcessBudget
from service.redis.connect import RedisClient
from service.wiring.background import run_in_background
from service.wiring.basics import Basics
from service.wiring.upstream import Upstream


async def compare_secrets(basics: Basics, upstream: Upstream, *, redis: RedisClient | None) -> None:
    """Compare them in the background where there is a Redis. While they differ there are two budgets for one store."""
    if redis is None:
        return
    budget = upstream.budget

    def compared(differing: frozenset[SharedSecret]) -> None:
        basics.events.secrets(differing)
        if not isinstance(budget, ProcessBudget):  # which is that of a sandbox of the gateway's own
            budget.spend_own_part(must=bool(differing))

    comparison = SecretComparison(
        client=redis,
        comparing_key=basics.keys.comparing,
        seller_keys=upstream.key_ring.held,
        clock=basics.clock,
        compared=compared,
    )
    await run_in_background(
        basics.stack, comparison.run(), crashed=partial(basics.events.crashed, where="comparison of secrets")
    )
