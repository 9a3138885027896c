"""The state of the gateway as support sees it. Where there is a console, answers are counted for it meanwhile."""

from functools import partial

from service.api.gateway_state import BudgetState, RecentAnswers, StateService
from service.api.operations import Readiness
from service.observability.recent_counts import RecentCounts
from service.wiring.background import run_in_background
from service.wiring.basics import Basics
from service.wiring.upstream import Upstream
from service.wiring.version import VERSION


async def open_state(basics: Basics, upstream: Upstream, readiness: Readiness) -> StateService:
    """Return the service; answers of the last minutes are counted until the gateway closes."""
    answers = None
    if basics.settings.serves_console:
        counts = RecentCounts(counts=basics.metrics.answer_counts, clock=basics.clock)
        crashed = partial(basics.events.crashed, where="recent counts")
        await run_in_background(basics.stack, counts.run(), crashed=crashed)
        answers = partial(_recent, counts)

    def budget() -> BudgetState:
        return BudgetState(paused_seconds=upstream.paused_seconds(), waiting=int(upstream.queue.waiting()))

    return StateService(
        version=VERSION,
        is_sandbox=upstream.is_sandbox,
        health=readiness.health,
        source_asked_at=lambda: basics.events.source_asked_at,
        budget=budget,
        answers=answers,
    )


def _recent(counts: RecentCounts) -> RecentAnswers:
    duration, (given, unknown) = counts.since()
    return RecentAnswers(round(duration.total_seconds()), given, unknown)
