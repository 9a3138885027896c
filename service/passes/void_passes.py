"""The passes that are void before they end: what invalidations, noes, bans and grants taken back say about them.

A pass is void if one of its handles is listed with an instant after that of its observation, or, without one, of its
decision. The list is made of what all replicas know anyway; nothing is kept for a single pass.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from service.cache.invalidations import SharedInvalidations
from service.cache.replicated_table import ReplicatedTable
from service.cache.shared_overrides import SharedOverrides
from service.cache.table_entry import INVALIDATING, NO_GAME, TableEntry, TableKind
from service.ownership import AssertedUser, Fingerprint, GameId, OverrideWord, Subject, VerifiedEmail
from service.passes.handles import Handles
from service.passes.pass_claims import PassClaims
from service.verification.interfaces import Clock
from service.verification.policy import GameRules

MOST_LISTED: Final = 10_000
"""Handles of one game. Of more, the oldest become one instant, before which all passes of that game are void."""

FOR_GOOD: Final = 253_402_300_799.0
"""The last second of the year 9999."""

_MADE_EVERY: Final = 1.0
_MADE_ANEW: Final = 10.0
"""Seconds after which what ends by itself is left out."""

_MANY_NAMES: Final = 2 * MOST_LISTED
_KINDS: Final = (*INVALIDATING, TableKind.OVERRIDE)


class VoidList(Struct, frozen=True):
    """The public list, and what tells it from any other."""

    body: bytes
    etag: str


class _OfGame(Struct, frozen=True):
    """The members of the list that are about one game, as JSON, and the rules that they were made by."""

    rules: GameRules | None
    made_at: float
    members: bytes


class _NamedByFile(Struct, frozen=True):
    """The handles of all whom the rules of a game ban, and of the grants that they give."""

    rules: GameRules
    banned: frozenset[str]
    granted: frozenset[str]


class VoidPasses:
    """Knows which passes are void. `longest` is the longest time that one is good for.

    `games` returns the rules of the configured games, the same object while the configuration is the same. A pass that
    is shown costs the same however many these are, and however much was invalidated: each name in the table is found by
    its handle.
    """

    def __init__(
        self,
        *,
        table: ReplicatedTable,
        invalidations: SharedInvalidations,
        overrides: SharedOverrides,
        handles: Handles,
        games: Callable[[], tuple[GameRules, ...]],
        longest: timedelta,
        clock: Clock,
        most: int = MOST_LISTED,
        many_names: int = _MANY_NAMES,
    ) -> None:
        self._table = table
        self._invalidations = invalidations
        self._overrides = overrides
        self._handles = handles
        self._games = games
        self._longest = longest
        self._clock = clock
        self._most = most
        self._many_names = many_names
        self._names: dict[str, Fingerprint] = {}
        self._grants: dict[str, Fingerprint] = {}
        self._of_game: dict[GameId, _OfGame] = {}
        self._changed: set[GameId] = set()
        self._named_by: dict[GameId, _NamedByFile] = {}
        self._granted_by = games()
        """The configuration whose grants were noted last."""
        self._ungranted: dict[tuple[GameId, str], datetime] = {}
        self._list: VoidList | None = None
        self._list_made_at = 0.0
        self._name_all()
        table.on_entry = self._name

    def is_void(self, rules: GameRules, claims: PassClaims) -> bool:
        """Whether a pass of the game of these rules is void, by all that this replica knows now.

        One from a gateway with another secret is: it has none of the handles by which it could be taken back here.
        """
        if self._handles.of_game(rules.game_id) not in claims.handles:
            return True
        self._note_ungranted()
        return any(claims.decided_at < self._void_before(rules, handle) for handle in claims.handles)

    def listed(self) -> VoidList:
        """Return the list, which is made anew at most once a second."""
        now = self._clock.monotonic()
        if self._list is None or now - self._list_made_at >= _MADE_EVERY:
            self._list_made_at = now
            self._list = self._make()
        return self._list

    # --- one handle ---

    def _name(self, entry: TableEntry) -> None:
        """Note the handle of a name in the table, and that there is something new about its game."""
        self._changed.add(entry.game_id)
        if entry.kind in _KINDS:
            self._names[self._handles.of_name(entry.game_id, entry.name)] = entry.name
            if entry.kind is TableKind.OVERRIDE:
                self._grants[self._handles.of_granted_name(entry.game_id, entry.name)] = entry.name
            if len(self._names) > self._tidy_at:
                self._name_all()

    def _name_all(self) -> None:
        """Note those that are in the table now, and forget those that were."""
        self._names = {
            self._handles.of_name(game_id, name): name
            for (kind, game_id), names in self._table.tables.items()
            if kind in _KINDS
            for name in names
        }
        self._grants = {
            self._handles.of_granted_name(game_id, name): name
            for (kind, game_id), names in self._table.tables.items()
            if kind is TableKind.OVERRIDE
            for name in names
        }
        self._tidy_at = max(self._many_names, 2 * len(self._names))

    def _void_before(self, rules: GameRules, handle: str) -> float:
        of_file = self._named_by_file(rules)
        if handle in of_file.banned:
            return FOR_GOOD
        game_id = rules.game_id
        instants: list[datetime | None] = []
        name = self._names.get(handle)
        if name is not None:
            instants.append(self._invalidations.invalidated_before(game_id, name))
            if self._word_about(name) is OverrideWord.BAN:
                return FOR_GOOD
        granted = self._grants.get(handle)
        stands = granted is not None and self._word_about(granted) is OverrideWord.GRANT
        if not stands and handle not in of_file.granted:
            instants.append(self._ungranted.get((game_id, handle)))
            entry = None if granted is None else self._table.find(TableKind.OVERRIDE, game_id, granted)
            instants.append(None if entry is None else entry.made_at)
        return max((one.timestamp() for one in instants if one is not None), default=0.0)

    def _word_about(self, name: Fingerprint) -> OverrideWord | None:
        standing = self._overrides.of_name(name)
        return None if standing is None else standing.word

    def _named_by_file(self, rules: GameRules) -> _NamedByFile:
        """Return the handles of all whom the configuration bans from a game, and of its grants."""
        known = self._named_by.get(rules.game_id)
        if known is None or known.rules is not rules:
            subjects: list[Subject] = [AssertedUser(user) for user in rules.ban_user_ids]
            subjects += [VerifiedEmail(one.reveal()) for one in rules.ban_emails]
            banned = frozenset(self._handles.of_word(rules.game_id, subject) for subject in subjects)
            granted = frozenset(
                self._handles.of_grant(rules.game_id, AssertedUser(user)) for user in rules.grant_user_ids
            )
            known = self._named_by[rules.game_id] = _NamedByFile(rules, banned, granted)
        return known

    # --- all of them ---

    def _make(self) -> VoidList:
        self._note_ungranted()
        rules: dict[GameId, GameRules | None] = {
            game_id: None for _, game_id in self._table.tables if game_id != NO_GAME
        }
        rules |= {one.game_id: one for one in self._games()}
        of_games = [self._members(game_id, rules[game_id]) for game_id in sorted(rules)]
        before = b"{%b}" % b",".join(members for members in of_games if members)
        body = b'{"as_of":%d,"before":%b}' % (int(self._clock.now().timestamp()), before)
        # Not of the time: a list that says the same need not be sent again.
        return VoidList(body, f'"{sha256(before).hexdigest()[:32]}"')

    def _members(self, game_id: GameId, rules: GameRules | None) -> bytes:
        """Return the members about one game, the same on all replicas that know the same."""
        known, now = self._of_game.get(game_id), self._clock.monotonic()
        if known is None or game_id in self._changed or known.rules is not rules or now - known.made_at >= _MADE_ANEW:
            self._changed.discard(game_id)
            before = self._within_bounds(game_id, self._collect(game_id, rules))
            members = msgspec.json.encode(before, order="sorted")[1:-1]
            known = self._of_game[game_id] = _OfGame(rules, now, members)
        return known.members

    def _within_bounds(self, game_id: GameId, before: dict[str, float]) -> dict[str, float]:
        """Return no more than may be listed. New passes stay good, but where bans alone are too many."""
        if len(before) <= self._most:
            return before
        of_game = self._handles.of_game(game_id)
        newest_first = sorted(before.items(), key=lambda one: one[1], reverse=True)
        kept, left_out = newest_first[: self._most - 1], newest_first[self._most - 1 :]
        return dict([*kept, (of_game, max(before.get(of_game, 0.0), left_out[0][1]))])

    def _collect(self, game_id: GameId, rules: GameRules | None) -> dict[str, float]:
        invalidated = self._invalidations.of_game(game_id)
        standing = self._overrides.of_game(game_id)
        before = {self._handles.of_name(game_id, name): at.timestamp() for name, at in invalidated.items()}
        ended = self._ended_grants(game_id, {one.name for one in standing if one.word is OverrideWord.GRANT})
        if rules is not None:
            of_file = self._named_by_file(rules)
            ended = {handle: at for handle, at in ended.items() if handle not in of_file.granted}
            before |= dict.fromkeys(of_file.banned, FOR_GOOD)
        before |= ended
        return before | {
            self._handles.of_name(game_id, one.name): FOR_GOOD for one in standing if one.word is OverrideWord.BAN
        }

    def _ended_grants(self, game_id: GameId, granted: set[Fingerprint]) -> dict[str, float]:
        """Return what ended grants whose passes may not have ended yet: it left the file, or another word came.

        Those of the file are among them if a word has ended meanwhile.
        """
        since = self._clock.now() - self._longest
        stand = {self._handles.of_granted_name(game_id, name) for name in granted}
        ended = {
            handle: at.timestamp()
            for (game, handle), at in self._ungranted.items()
            if game == game_id and handle not in stand
        }
        for entry in self._table.all_of(TableKind.OVERRIDE, game_id):
            if entry.name not in granted and entry.made_at > since:
                handle = self._handles.of_granted_name(game_id, entry.name)
                ended[handle] = max(ended.get(handle, 0.0), entry.made_at.timestamp())
        return ended

    def _note_ungranted(self) -> None:
        """Note whose grants are gone from the configuration, for as long as a pass of theirs may last."""
        now, games = self._clock.now(), self._games()
        if games is not self._granted_by:
            granted = {rules.game_id: rules.grant_user_ids for rules in games}
            for before in self._granted_by:
                game_id = before.game_id
                for user in before.grant_user_ids - granted.get(game_id, frozenset()):
                    self._ungranted[game_id, self._handles.of_grant(game_id, AssertedUser(user))] = now
            self._granted_by = games
            self._of_game.clear()
        if self._ungranted:
            self._ungranted = {key: at for key, at in self._ungranted.items() if at > now - self._longest}
