"""All remembered refusals, those of this process and those that replicas share, without what was invalidated since."""

from datetime import datetime
from operator import attrgetter
from typing import Final

from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints
from service.cache.refusal_memory import RefusalMemory, RememberedRefusal
from service.cache.shared_refusals import MOST_LISTED, SharedRefusals
from service.ownership import GameId

_LAST: Final = attrgetter("last_at")


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
        return found if found is not None and self._counts(found) else None

    async def of(self, game_id: GameId, log_name: str) -> list[RememberedRefusal]:
        """Return the last five of a credential, or of an account, and a game, the latest first."""
        shared = [] if self._shared is None else await self._shared.of(game_id, log_name)
        # This process knows the whole count of its own.
        found = {one.ids[0]: one for one in (*shared, *self.memory.of(game_id, log_name)) if self._counts(one)}
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

    def _counts(self, refusal: RememberedRefusal) -> bool:
        for log_name in (refusal.subject, refusal.account):
            if log_name is not None:
                name = self._fingerprints.of_refused(refusal.game_id, log_name)
                before = self._invalidations.invalidated_before(refusal.game_id, name, by_operator=True)
                if before is not None and refusal.last_at < before:
                    return False
        return True
