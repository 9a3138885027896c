"""Invalidations, on every replica: observations from before an instant are no longer to be used.

An invalidation is an instant for a name, or for a whole game. An observation from before it counts as forgotten,
wherever it is cached and even if it is still being looked up. So nothing has to be found and deleted, and nothing that
arrives late can undo it.
"""

from datetime import datetime

from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.table_entry import INVALIDATING, NO_GAME, WHOLE_GAME, TableEntry, TableKind, instant_value
from service.ownership import Fingerprint, GameId


class SharedInvalidations:
    """Implements `Invalidations` by the table that all replicas share.

    What an operator invalidates and what the store's noes overrule have bounds of their own, each for each game.
    """

    def __init__(self, table: ReplicatedTable) -> None:
        self._table = table

    def invalidated_before(
        self, game_id: GameId | None, name: Fingerprint, *, by_operator: bool = False
    ) -> datetime | None:
        """Return the instant before which observations under that name are not to be used, if there is one.

        `by_operator` leaves out what the store's noes have overruled; those that are held back now always are.
        """
        if not self._table.tables:  # most questions of most gateways
            return None
        game = NO_GAME if game_id is None else game_id
        entry = self._table.newest(game, name)
        if entry is not None and entry.kind is TableKind.OVERRULED and (by_operator or self._is_held(entry)):
            entry = self._table.newest(game, name, kinds=(TableKind.INVALIDATED,))
        return None if entry is None else entry.made_at

    def of_game(self, game_id: GameId) -> dict[Fingerprint, datetime]:
        """Return all names of a game under which observations are not to be used, with the instants before which."""
        found: dict[Fingerprint, datetime] = {}
        self._table.find(TableKind.INVALIDATED, game_id, WHOLE_GAME)  # from here on none is from the future
        held_since = self._table.held_since(game_id)
        for kind in INVALIDATING:
            for entry in self._table.all_of(kind, game_id):
                if kind is TableKind.OVERRULED and held_since is not None and entry.first_no_at >= held_since:
                    continue
                known, at = found.get(entry.name), entry.made_at
                found[entry.name] = at if known is None else max(known, at)
        return found

    def invalidate(self, game_id: GameId, name: Fingerprint | None, *, before: datetime) -> None:
        """Use nothing any more that was observed under this name before that instant; on other replicas within 2 s.

        Without a name it is for the whole game.
        """
        self._table.put(TableKind.INVALIDATED, game_id, WHOLE_GAME if name is None else name, stamp(before))

    def overruled(self, game_id: GameId | None, name: Fingerprint, since: datetime, proven_at: datetime | None) -> None:
        """Invalidate the yes that a no has replaced `since` then: Redis and other replicas may still have it.

        `proven_at` is the instant of that yes, None if it is not known.
        """
        game = NO_GAME if game_id is None else game_id
        before = self._table.find(TableKind.OVERRULED, game, name)
        first = None
        if before is not None and (proven_at is None or proven_at < before.made_at):
            # It has been a no since then, which says whether it is held back: a refund from before all others went
            # wrong stays one.
            first = before.first_no_at
        self._table.put(TableKind.OVERRULED, game, name, stamp(since), value=instant_value(first))

    def _is_held(self, overruled: TableEntry) -> bool:
        held_since = self._table.held_since(overruled.game_id)
        return held_since is not None and overruled.first_no_at >= held_since
