"""The state of the gateway, as support sees it: how its parts are, and what the caller may do."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from service.api.answers import Instant, to_the_second
from service.api.operations import Health, Phase
from service.api.verify_service import Asking
from service.causes import Cause
from service.explanation import tell_causes, tell_states
from service.http.reply import Reply
from service.rights import Right


class CallerState(Struct, frozen=True):
    """The caller whose token was sent, and its rights."""

    name: str
    rights: tuple[Right, ...]


class GameState(Struct, frozen=True):
    """A configured game that the caller may ask about."""

    id: int
    slug: str


class BudgetState(Struct, frozen=True):
    """The store budget: seconds for which the store is left alone yet, and requests that wait for their turn."""

    paused_seconds: float
    waiting: int


class RecentAnswers(Struct, frozen=True):
    """The answers that this process gave in the last so many seconds, and those of them that were `unknown`."""

    seconds: int
    given: int
    unknown: int


class GatewayState(Struct, frozen=True, kw_only=True):
    """The state of this process. `components` and `causes` are those of health.

    `sentences` say, by component, what does not work and why, and `why` the causes alone. The store and the seller's
    key were so at `source_asked_at`, in UTC, null while the store was not asked. `games` is empty where none is
    configured, and `answers` is null where there is no console.
    """

    version: str
    sandbox: bool
    caller: CallerState
    games: tuple[GameState, ...]
    status: Phase
    components: Mapping[str, str]
    causes: Mapping[str, Cause]
    sentences: Mapping[str, str]
    why: Mapping[str, str]
    source_asked_at: Instant | None
    budget: BudgetState
    answers: RecentAnswers | None


class StateService:
    """Says how the gateway is."""

    def __init__(
        self,
        *,
        version: str,
        is_sandbox: Callable[[], bool],
        health: Callable[[], Health],
        source_asked_at: Callable[[], datetime | None],
        budget: Callable[[], BudgetState],
        answers: Callable[[], RecentAnswers] | None,
    ) -> None:
        self._version = version
        self._is_sandbox = is_sandbox
        self._health = health
        self._source_asked_at = source_asked_at
        self._budget = budget
        self._answers = answers

    async def show(self, asking: Asking) -> Reply:
        """Return the state."""
        health, caller = self._health(), asking.caller
        causes = health.causes or {}
        state = GatewayState(
            version=self._version,
            sandbox=self._is_sandbox(),
            caller=CallerState(caller.name, tuple(right for right in Right if right in caller.rights)),
            games=tuple(
                GameState(int(rules.game_id), rules.label)
                for rules in asking.games.configured()
                if caller.games is None or rules.game_id in caller.games
            ),
            status=health.status,
            components=health.components,
            causes=causes,
            sentences=tell_states(health.components, causes),
            why=tell_causes(causes),
            source_asked_at=to_the_second(self._source_asked_at()),
            budget=self._budget(),
            answers=None if self._answers is None else self._answers(),
        )
        return Reply(200, msgspec.json.encode(state))
