"""All remembered refusals, those of this process and those that replicas share, without what was invalidated since."""

from datetime import datetime
from operator import attrgetter
from typing import Final, TypeAlias

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints
from service.cache.refusal_memory import RefusalMemory, RememberedRefusal
from service.cache.shared_refusals import MOST_LISTED, SharedRefusals
from service.ownership import GameId

_LAST: Final = attrgetter("last_at")

_Marks: TypeAlias = dict[str, datetime | None]
"""The instants before which the refusals of these credentials and accounts are forgotten, each looked up once."""


class RefusalHistory:
    """Finds refusals, and forgets them. `shared` is None without Redis."""

    def __init__(
        self,
        *,
        memory: RefusalMemory,
        shared: SharedRefusals | None,
        fingerprints: KeyedFingerprints,
        invalidations: SharedInvalidations,
    ) -> None:
        self.memory = memory
        self._shared = shared
        self._fingerprints = fingerprints
        self._invalidations = invalidations

    async def find(self, decision_id: str) -> RememberedRefusal | None:
        """Return the refusal with this id, if it is remembered anywhere."""
        found = self.memory.find(decision_id)
        if found is None and self._shared is not None:
            found = await self._shared.find(decision_id)
        return found if found is not None and self._is_known(found.game_id, found, {}) else None

    async def of(self, game_id: GameId, log_name: str) -> list[RememberedRefusal]:
        """Return the last five of a credential, or of an account, and a game, the latest first."""
        shared = [] if self._shared is None else await self._shared.of(game_id, log_name)
        marks: _Marks = {}
        found = {one.ids[0]: one for one in shared if self._is_known(game_id, one, marks)}
        # This process knows the whole count of its own.
        found |= {one.ids[0]: one for one in self._own(game_id, log_name, marks)}
        return sorted(found.values(), key=_LAST, reverse=True)[:MOST_LISTED]

    async def forget(self, game_id: GameId, log_name: str | None, *, before: datetime) -> None:
        """Forget those of a credential, or of an account, and a game; without one, all of the game.

        What is put back into Redis is not found either: its instant lies before this one.
        """
        self.memory.forget(game_id, log_name)
        if log_name is None:
            return  # the whole game is invalidated, and its refusals with it
        self._invalidations.invalidate(game_id, self._fingerprints.of_refused(game_id, log_name), before=before)
        if self._shared is not None:
            await self._shared.forget(game_id, log_name)

    def _own(self, game_id: GameId, log_name: str, marks: _Marks) -> list[RememberedRefusal]:
        """Return the last five of this process that are not invalidated, without a look at the thousands before."""
        own: list[RememberedRefusal] = []
        for one in self.memory.of(game_id, log_name):
            if self._is_invalidated(game_id, log_name, one.last_at, marks):
                break  # and so are all before it
            if self._is_known(game_id, known := one.as_it_is(), marks):
                own.append(known)
                if len(own) == MOST_LISTED:
                    break
        return own

    def _is_known(self, game_id: GameId, refusal: RememberedRefusal, marks: _Marks) -> bool:
        return not any(
            self._is_invalidated(game_id, log_name, refusal.last_at, marks)
            for log_name in (refusal.subject, refusal.account)
            if log_name is not None
        )

    def _is_invalidated(self, game_id: GameId, log_name: str, last_at: datetime, marks: _Marks) -> bool:
        if log_name not in marks:
            name = self._fingerprints.of_refused(game_id, log_name)
            marks[log_name] = self._invalidations.invalidated_before(game_id, name, by_operator=True)
        before = marks[log_name]
        return before is not None and last_at < before
