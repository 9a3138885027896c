"""The table that all replicas have in common, as this replica knows it, and what it has yet to tell the others.

It only grows newer: entries may arrive by any route, in any order and more than once, and all replicas end up with the
same. `TableExchange` is the way to the others.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Final, TypeAlias

from service.cache.entry import CLOCK_TOLERANCE, LONGEST_KEPT
from service.cache.sealing import stamp
from service.cache.table_entry import (
    GUARD,
    INVALIDATING,
    OPERATOR,
    WHOLE_GAME,
    TableEntry,
    TableKind,
    TablePlace,
    instant_of,
)
from service.ownership import Fingerprint, GameId
from service.verification.interfaces import Clock

MOST_ENTRIES: Final = 10_000
"""The most of one kind for one game. Over it the older half become one entry for that game: slower, never wrong."""

_Names: TypeAlias = dict[Fingerprint, TableEntry]


class ReplicatedTable:
    """The entries that this replica knows, bounded for each kind and game.

    `on_overflow` is called when a game had too many of one kind, and what was observed of that game before is therefore
    asked again; other games lose nothing. `on_revocations` is called with each entry of that kind that
    says something new. `on_news` is called when there is something to tell the other replicas, `on_entry` with each
    entry that says something new.
    `tables` has the entries by kind and game; it is empty as long as nothing is known.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        on_overflow: Callable[[TableKind, GameId], None],
        on_revocations: Callable[[TableEntry], None] = lambda _: None,
        most_entries: int = MOST_ENTRIES,
    ) -> None:
        self._clock = clock
        self._on_revocations = on_revocations
        self._on_overflow = on_overflow
        self._most_entries = most_entries
        self.tables: dict[tuple[TableKind, GameId], _Names] = {}
        self._untold: dict[TablePlace, None] = {}
        self._next: deque[TablePlace] = deque()
        self._latest = 0
        self.on_news: Callable[[], None] = _none_listens
        self.on_entry: Callable[[TableEntry], None] = _none_follows

    # --- what is known ---

    def newest(
        self, game_id: GameId, name: Fingerprint, *, kinds: Iterable[TableKind] = INVALIDATING
    ) -> TableEntry | None:
        """Return the newest invalidating entry for that name or for the whole game, if there is one."""
        if self._find(game_id, name, kinds) is None:
            return None
        self._correct()
        return self._find(game_id, name, kinds)

    def find(self, kind: TableKind, game_id: GameId, name: Fingerprint) -> TableEntry | None:
        """Return the entry of that place, if there is one that has not ended."""
        self._correct()
        entry = self._known((kind, game_id, name))
        return None if entry is None or entry.ends_at <= self._clock.now() else entry

    def all_of(self, kind: TableKind, game_id: GameId) -> list[TableEntry]:
        """Return the entries of a kind for a game that have not ended. May be called from any thread."""
        now = self._clock.now()
        return [entry for entry in list(self.tables.get((kind, game_id), {}).values()) if entry.ends_at > now]

    def has_to_tell(self, place: TablePlace) -> bool:
        """Whether the other replicas do not have the entry of that place yet, as far as this one knows."""
        return place in self._untold

    def held_since(self, game_id: GameId) -> datetime | None:
        """Return the instant from which on noes about proven owners of a game do not count; None if all count."""
        if (TableKind.REVOCATIONS, game_id) not in self.tables:
            return None
        since = min((word.held_since for word in self.holding(game_id) if word.held_since is not None), default=None)
        believed_until = self.believed_until(game_id)
        # A replica may have moved the end of its hold before it heard that an operator believes the noes.
        return since if since is None or believed_until is None else max(since, believed_until)

    def believed_until(self, game_id: GameId) -> datetime | None:
        """Return the instant until which an operator believes noes about a game, or did; None if none has said so."""
        word = self.find(TableKind.REVOCATIONS, game_id, OPERATOR)
        return None if word is None else word.believed_until

    def holding(self, game_id: GameId) -> list[TableEntry]:
        """Return the words by which noes are held back now. An operator who believes them ends the guard's hold."""
        word, guard = (self.find(TableKind.REVOCATIONS, game_id, name) for name in (OPERATOR, GUARD))
        if word is not None and word.believed_until is not None:
            ended = self._clock.now() < word.believed_until or (guard is not None and guard.version <= word.version)
            word, guard = None, None if ended else guard
        return [one for one in (word, guard) if one is not None]

    @property
    def holds_any(self) -> bool:
        """Whether noes are held back for any game."""
        return any(kind is TableKind.REVOCATIONS and self.held_since(game) is not None for kind, game in self.tables)

    def fullest(self, kind: TableKind) -> int:
        """Return the number of entries of the game that has most of that kind. May be called from any thread."""
        return max((len(names) for (held, _), names in list(self.tables.items()) if held is kind), default=0)

    # --- what becomes known ---

    def put(
        self,
        kind: TableKind,
        game_id: GameId,
        name: Fingerprint,
        version: int,
        *,
        ends_at: datetime | None = None,
        value: bytes = b"",
    ) -> None:
        """Make an entry, and tell the other replicas, unless a newer one is known."""
        entry = TableEntry(kind, game_id, name, version, ends_at or instant_of(version) + LONGEST_KEPT, value)
        if self.merge(entry):
            self._tell(entry)

    def merge(self, entry: TableEntry) -> bool:
        """Take over an entry that counts, and return whether it was news.

        One from more than `CLOCK_TOLERANCE` ahead counts as made now, once, and the others are told so.
        """
        self._correct()
        now = self._clock.now()
        ahead = entry.version > stamp(now + CLOCK_TOLERANCE)
        if ahead:
            entry = entry.as_made_at(now)
        if entry.ends_at <= now or self._overtaken(entry):
            return False
        names = self.tables.setdefault((entry.kind, entry.game_id), {})
        before = names.pop(entry.name, None)  # the one that is known longest comes first
        names[entry.name] = entry
        self._latest = max(self._latest, entry.version)
        self.on_entry(entry)
        if ahead:
            self._tell(entry)
        if entry.kind is TableKind.REVOCATIONS and (before is None or before.ends_at <= now or entry.name == OPERATOR):
            self._on_revocations(entry)
        if entry.name == WHOLE_GAME:
            self._drop_overtaken(entry)
        else:
            self._keep_bounds(entry.kind, entry.game_id, names)
        return True

    # --- what is to be told ---

    def untold(self, most: int) -> list[TableEntry]:
        """Return entries that the other replicas do not have yet, as far as this one knows."""
        return [self.tables[kind, game_id][name] for kind, game_id, name in islice(self._untold, most)]

    def next_known(self, most: int) -> list[TableEntry]:
        """Return the next entries of all that have not ended, in turn: Redis should have them, and may have others."""
        if not self._next:
            self._next.extend(entry.place for entry in self._all())
        places = [self._next.popleft() for _ in range(min(most, len(self._next)))]
        now = self._clock.now()
        known = (self._known(place) for place in places)
        return [entry for entry in known if entry is not None and entry.ends_at > now]

    def told(self, entries: Iterable[TableEntry]) -> None:
        """Take note that the others have these now; one that has become newer meanwhile is still to be told."""
        for entry in entries:
            if self._known(entry.place) == entry:
                self._untold.pop(entry.place, None)

    def tell_all(self) -> None:
        """Tell the others everything that has not ended: Redis has lost it."""
        now = self._clock.now()
        for entry in self._all():
            if entry.ends_at > now:
                self._tell(entry)

    def _tell(self, entry: TableEntry) -> None:
        if self._known(entry.place) is not None:
            self._untold[entry.place] = None
            self.on_news()

    # --- within ---

    def _all(self) -> Iterator[TableEntry]:
        return (entry for names in self.tables.values() for entry in names.values())

    def _known(self, place: TablePlace) -> TableEntry | None:
        kind, game_id, name = place
        return self.tables.get((kind, game_id), {}).get(name)

    def _forget(self, entry: TableEntry) -> None:
        del self.tables[entry.kind, entry.game_id][entry.name]
        self._untold.pop(entry.place, None)

    def _overtaken(self, entry: TableEntry) -> bool:
        """Whether what is known makes the entry superfluous."""
        known = self._known(entry.place)
        whole = None
        if entry.kind in INVALIDATING:
            whole = self._known((TableKind.INVALIDATED, entry.game_id, WHOLE_GAME))
        return any(other is not None and other.version >= entry.version for other in (known, whole))

    def _drop_overtaken(self, whole: TableEntry) -> None:
        for kind in INVALIDATING:
            for entry in list(self.tables.get((kind, whole.game_id), {}).values()):
                if entry.version <= whole.version and entry.name != WHOLE_GAME:
                    self._forget(entry)

    def _keep_bounds(self, kind: TableKind, game_id: GameId, names: _Names) -> None:
        now = self._clock.now()
        while (oldest := next(iter(names.values()))).ends_at <= now:
            self._forget(oldest)
        if len(names) > self._most_entries:
            if kind is TableKind.OVERRIDE:
                # Who sets them keeps the bound. None that another replica has set is dropped for it.
                for entry in [entry for entry in names.values() if entry.ends_at <= now]:
                    self._forget(entry)
                return
            if kind is TableKind.OVERRULED and self.held_since(game_id) is not None:
                # Noes that may all be wrong must not have the whole game asked again. Without its entry a no counts on
                # other replicas once they ask by themselves.
                for entry in list(islice(names.values(), len(names) // 2)):
                    self._forget(entry)
                return
            versions = sorted(entry.version for entry in names.values())
            self._on_overflow(kind, game_id)
            self.put(TableKind.INVALIDATED, game_id, WHOLE_GAME, versions[len(versions) // 2 - 1])

    def _find(self, game_id: GameId, name: Fingerprint, kinds: Iterable[TableKind]) -> TableEntry | None:
        newest: TableEntry | None = None
        for kind in kinds:
            names = self.tables.get((kind, game_id))
            if names is None:
                continue
            for entry in (names.get(name), names.get(WHOLE_GAME)):
                if entry is not None and (newest is None or entry.version > newest.version):
                    newest = entry
        return newest

    def _correct(self) -> None:
        """Let entries from the future, by a clock that has been set back since, count as made now."""
        now = self._clock.now()
        latest = stamp(now + CLOCK_TOLERANCE)
        if self._latest <= latest:
            return
        self._latest = latest
        for entry in list(self._all()):
            if entry.version > latest:
                corrected = self.tables[entry.kind, entry.game_id][entry.name] = entry.as_made_at(now)
                self.on_entry(corrected)
                self._tell(entry)


def _none_listens() -> None:
    """Do nothing: this gateway has no Redis to tell other replicas through."""


def _none_follows(_entry: TableEntry) -> None:
    """Do nothing: this gateway has no use for single entries."""
