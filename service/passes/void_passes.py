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
from service.cache.table_entry import INVALIDATING, NO_GAME, TableKind
from service.ownership import AssertedUser, GameId, OverrideWord, PlayerId, VerifiedEmail
from service.passes.handles import Handles
from service.passes.pass_claims import PassClaims
from service.verification.interfaces import Clock
from service.verification.policy import GameRules

MOST_LISTED: Final = 10_000
"""Handles of one game. Of more, all passes of that game are void."""

FOR_GOOD: Final = 253_402_300_799.0
"""The last second of the year 9999."""

_MADE_EVERY: Final = 1.0


class VoidList(Struct, frozen=True):
    """The public list, and what tells it from any other."""

    body: bytes
    etag: str


class _OfGame(Struct, frozen=True):
    """The handles of one game, from its rules and the table of one revision."""

    rules: GameRules | None
    revision: int
    made_at: float
    before: dict[str, float]


class VoidPasses:
    """Knows which passes are void. `games` returns the rules of the configured games; `longest` is that of a pass."""

    def __init__(
        self,
        *,
        table: ReplicatedTable,
        invalidations: SharedInvalidations,
        overrides: SharedOverrides,
        handles: Handles,
        games: Callable[[], list[GameRules]],
        longest: timedelta,
        clock: Clock,
        most: int = MOST_LISTED,
    ) -> None:
        self._table = table
        self._invalidations = invalidations
        self._overrides = overrides
        self._handles = handles
        self._games = games
        self._longest = longest
        self._clock = clock
        self._most = most
        self._of_game: dict[GameId, _OfGame] = {}
        self._granted = {rules.game_id: rules.grant_user_ids for rules in games()}
        self._ungranted: dict[tuple[GameId, PlayerId], datetime] = {}
        self._list: VoidList | None = None
        self._list_made_at = 0.0

    def is_void(self, game_id: GameId, claims: PassClaims) -> bool:
        """Whether a pass of that game is void, by all that this replica knows now."""
        self._note_ungranted()
        rules = {one.game_id: one for one in self._games()}.get(game_id)
        before = self._before(game_id, rules)
        return any(claims.decided_at < before.get(handle, 0.0) for handle in claims.handles)

    def listed(self) -> VoidList:
        """Return the list, which is made anew at most once a second."""
        now = self._clock.monotonic()
        if self._list is None or now - self._list_made_at >= _MADE_EVERY:
            self._list_made_at = now
            self._list = self._make()
        return self._list

    def _make(self) -> VoidList:
        self._note_ungranted()
        rules: dict[GameId, GameRules | None] = {
            game_id: None for _, game_id in self._table.tables if game_id != NO_GAME
        }
        rules |= {one.game_id: one for one in self._games()}
        before: dict[str, float] = {}
        for game_id, of_game in rules.items():
            before |= self._before(game_id, of_game)
        body = msgspec.json.encode({"as_of": int(self._clock.now().timestamp()), "before": before})
        # Not of the time: a list that says the same need not be sent again.
        return VoidList(body, f'"{sha256(msgspec.json.encode(sorted(before.items()))).hexdigest()[:32]}"')

    def _before(self, game_id: GameId, rules: GameRules | None) -> dict[str, float]:
        known, now = self._of_game.get(game_id), self._clock.monotonic()
        if (
            known is None
            or known.revision != self._table.revision
            or known.rules is not rules
            or now - known.made_at >= _MADE_EVERY  # some of it begins or ends by itself
        ):
            before = self._collect(game_id, rules)
            if len(before) > self._most:
                before = {self._handles.of_game(game_id): FOR_GOOD}
            known = self._of_game[game_id] = _OfGame(rules, self._table.revision, now, before)
        return known.before

    def _collect(self, game_id: GameId, rules: GameRules | None) -> dict[str, float]:
        return self._invalidated(game_id) | self._no_longer_granted(game_id) | self._banned(game_id, rules)

    def _invalidated(self, game_id: GameId) -> dict[str, float]:
        before: dict[str, float] = {}
        for kind in INVALIDATING:
            for entry in self._table.all_of(kind, game_id):
                at = self._invalidations.invalidated_before(game_id, entry.name)
                if at is not None:  # else it is a no that is held back
                    before[self._handles.of_name(game_id, entry.name)] = at.timestamp()
        return before

    def _no_longer_granted(self, game_id: GameId) -> dict[str, float]:
        since = self._clock.now() - self._longest
        before = {
            self._handles.of_name(game_id, entry.name): entry.made_at.timestamp()
            for entry in self._table.all_of(TableKind.OVERRIDE, game_id)
            if not entry.value and entry.made_at > since
        }
        for (game, user), at in self._ungranted.items():
            if game == game_id:
                before[self._handles.of_word(game_id, AssertedUser(user))] = at.timestamp()
        return before

    def _banned(self, game_id: GameId, rules: GameRules | None) -> dict[str, float]:
        standing = self._overrides.of_game(game_id)
        banned = [self._handles.of_name(game_id, one.name) for one in standing if one.word is OverrideWord.BAN]
        if rules is not None:
            banned += [self._handles.of_word(game_id, AssertedUser(user)) for user in rules.ban_user_ids]
            banned += [self._handles.of_word(game_id, VerifiedEmail(one.reveal())) for one in rules.ban_emails]
        return dict.fromkeys(banned, FOR_GOOD)

    def _note_ungranted(self) -> None:
        """Note whose grants are gone from the configuration, for as long as a pass of theirs may last."""
        now = self._clock.now()
        granted = {rules.game_id: rules.grant_user_ids for rules in self._games()}
        if granted != self._granted:
            for game_id, users in self._granted.items():
                for user in users - granted.get(game_id, frozenset()):
                    self._ungranted[game_id, user] = now
            self._granted = granted
            self._of_game.clear()
        if self._ungranted:
            self._ungranted = {key: at for key, at in self._ungranted.items() if at > now - self._longest}
