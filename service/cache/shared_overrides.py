"""Overrides, on every replica: the operator's word about one player of a game, for a while.

Each is an entry of the replicated table. Its name is a keyed hash of the game and the subject, and its value is
encrypted, so that Redis neither shows about whom it is nor which word. A word that is taken back becomes an entry
without a value, which lives at least as long as what it takes the place of: an older entry that is put back into Redis
changes nothing as long as one replica knows that.
"""

from collections.abc import Sized
from datetime import datetime, timedelta
from functools import lru_cache
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from service.cache.bound_cipher import BoundCipher
from service.cache.keys import KeyedFingerprints, OverridesKey
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.table_entry import LONGEST_LIFE, TableEntry, TableKind, TablePlace, instant_of
from service.errors import TooManyOverrides
from service.ownership import AssertedUser, Fingerprint, GameId, Method, OverrideWord, PlayerId, Subject
from service.verification.interfaces import Clock
from service.verification.policy import Override

LONGEST_OVERRIDE: Final = LONGEST_LIFE
MOST_OVERRIDES: Final = 1000
"""The most for one game that hold. Replicas that are told at the same time may keep a few more."""

MOST_UNCONFIGURED_GAMES: Final = 100
"""The most games that have overrides where none is configured, so that any number names one."""

_PAST_FOR_EACH: Final = 9
"""The words taken back or cut short that are known for each that may hold. Over that, those that would have ended first
are forgotten."""

_FORGOTTEN_WITHIN: Final = timedelta(minutes=10)
"""The time in which all replicas, and Redis, hear that a word which is past is to be forgotten."""

_VALUE: Final = Layout(">BBIQ8s")
_WORDS: Final = {OverrideWord.GRANT: 1, OverrideWord.BAN: 2}
_METHODS: Final = {Method.DOWNLOAD_KEY: 1, Method.EMAIL: 2, Method.USER: 3}
"""These numbers are stored: they may become more, never others."""

_WORD_OF: Final = {number: word for word, number in _WORDS.items()}
_METHOD_OF: Final = {number: method for method, number in _METHODS.items()}
_OPENED: Final = 16 * MOST_OVERRIDES
_MICROSECONDS: Final = 1_000_000


class StandingOverride(Struct, frozen=True):
    """An override as it was set. `name` is that of its entry, `subject` names the subject as the log does."""

    name: Fingerprint
    game_id: GameId
    method: Method
    player_id: PlayerId | None
    subject: str
    word: OverrideWord
    at: datetime
    until: datetime

    @property
    def place(self) -> TablePlace:
        """The place of its entry in the table."""
        return TableKind.OVERRIDE, self.game_id, self.name


class _Value(Struct, frozen=True):
    """The value of an entry.

    Its bytes are: one for the word, one for the method, four for the seconds that it holds for, eight for the user's
    id, 0 for none, and eight of the subject's fingerprint.
    """

    word: OverrideWord
    method: Method
    seconds: int
    player_id: PlayerId | None
    subject: str

    def ends_at(self, entry: TableEntry) -> int:
        """Return when it ends, as a stamp: counted from when it was made, wherever clocks move that to."""
        return entry.version + self.seconds * _MICROSECONDS


class SharedOverrides:
    """Implements `Overrides` by the table that all replicas share."""

    def __init__(
        self,
        *,
        table: ReplicatedTable,
        fingerprints: KeyedFingerprints,
        key: OverridesKey,
        clock: Clock,
        most: int = MOST_OVERRIDES,
    ) -> None:
        self._table = table
        self._fingerprints = fingerprints
        self._cipher = BoundCipher(key)
        self._clock = clock
        self._most = most
        self._open = lru_cache(maxsize=_OPENED)(self._decrypt)
        self.known: Sized = table.tables

    # --- what holds ---

    def about(self, game_id: GameId, subject: Subject) -> Override | None:
        """Return the word about a subject, if there is one that holds."""
        if (TableKind.OVERRIDE, game_id) not in self._table.tables:
            return None
        entry = self._table.find(TableKind.OVERRIDE, game_id, self._fingerprints.of_override(game_id, subject))
        standing = None if entry is None else self._standing(entry)
        return None if standing is None else Override(standing.word.reason, standing.until)

    def of_game(self, game_id: GameId) -> list[StandingOverride]:
        """Return all that hold for a game, the latest first. May be called from any thread."""
        entries = self._table.all_of(TableKind.OVERRIDE, game_id)
        standing = [one for entry in entries if (one := self._standing(entry)) is not None]
        return sorted(standing, key=lambda one: one.at, reverse=True)

    def of_name(self, name: Fingerprint) -> StandingOverride | None:
        """Return the one of that name, if there is one that holds."""
        for kind, game_id in list(self._table.tables):
            if kind is TableKind.OVERRIDE and (entry := self._table.find(kind, game_id, name)) is not None:
                return self._standing(entry)
        return None

    def counts(self) -> dict[OverrideWord, int]:
        """Return how many of each word hold, for all games. May be called from any thread."""
        counts, now = dict.fromkeys(OverrideWord, 0), stamp(self._clock.now())
        for (kind, game_id), names in list(self._table.tables.items()):
            if kind is TableKind.OVERRIDE:
                for entry in list(names.values()):
                    value = self._open(game_id, entry.name, entry.value)
                    if value is not None and value.ends_at(entry) > now:
                        counts[value.word] += 1
        return counts

    # --- what operators say ---

    def set(self, game_id: GameId, subject: Subject, word: OverrideWord, *, holds_for: timedelta) -> StandingOverride:
        """Let a word hold from now on, in the place of the one before; on other replicas within 2 s.

        Raises `TooManyOverrides` if the game has as many others as it may have.
        """
        name = self._fingerprints.of_override(game_id, subject)
        self._require_room(game_id, name)
        player_id = subject.player_id if isinstance(subject, AssertedUser) else None
        seconds = holds_for // timedelta(seconds=1)
        value = _Value(word, subject.method, seconds, player_id, self._fingerprints.of_credential(subject))
        entry = self._put(game_id, name, value=self._encrypt(game_id, name, value), holds_for=holds_for)
        self._forget_first(game_id)
        return _as_set(entry, value)

    def remove(self, override: StandingOverride) -> None:
        """Take a word back; on other replicas within 2 s."""
        self._put(override.game_id, override.name, value=b"", holds_for=timedelta())
        self._forget_first(override.game_id)

    def require_room_for_game(self, game_id: GameId) -> None:
        """Raise `TooManyOverrides` if as many others have overrides as may have where no game is configured."""
        games = {game for kind, game in self._table.tables if kind is TableKind.OVERRIDE and game != game_id}
        if len(games) < MOST_UNCONFIGURED_GAMES:
            return
        if sum(bool(self._table.all_of(TableKind.OVERRIDE, game)) for game in games) >= MOST_UNCONFIGURED_GAMES:
            raise TooManyOverrides

    def _put(self, game_id: GameId, name: Fingerprint, *, value: bytes, holds_for: timedelta) -> TableEntry:
        """Put an entry that is newer than the one before, even if the clock was set back, and that outlives it."""
        before, now = self._table.find(TableKind.OVERRIDE, game_id, name), self._clock.now()
        version = max(stamp(now), 0 if before is None else before.version + 1)
        entry = TableEntry(TableKind.OVERRIDE, game_id, name, version, now, value)
        ends_at = entry.made_at + holds_for
        if before is not None:
            ends_at = max(ends_at, before.ends_at)
        self._table.put(TableKind.OVERRIDE, game_id, name, version, ends_at=ends_at, value=value)
        return entry

    def _require_room(self, game_id: GameId, name: Fingerprint) -> None:
        others = [entry for entry in self._table.all_of(TableKind.OVERRIDE, game_id) if entry.name != name]
        if sum(self._standing(entry) is not None for entry in others) >= self._most:
            raise TooManyOverrides

    def _forget_first(self, game_id: GameId) -> None:
        """Let the entries of past words that are too many end soon, here and everywhere: those that would end first."""
        soon = self._clock.now() + _FORGOTTEN_WITHIN
        entries = self._table.all_of(TableKind.OVERRIDE, game_id)
        past = [entry for entry in entries if entry.ends_at > soon and self._standing(entry) is None]
        past.sort(key=lambda entry: entry.ends_at)
        for entry in past[: max(0, len(past) - _PAST_FOR_EACH * self._most)]:
            self._table.put(entry.kind, game_id, entry.name, entry.version + 1, ends_at=soon)

    # --- the value of an entry ---

    def _standing(self, entry: TableEntry) -> StandingOverride | None:
        value = self._open(entry.game_id, entry.name, entry.value)
        if value is None:
            return None
        return _as_set(entry, value) if value.ends_at(entry) > stamp(self._clock.now()) else None

    def _encrypt(self, game_id: GameId, name: Fingerprint, value: _Value) -> bytes:
        packed = _VALUE.pack(
            _WORDS[value.word],
            _METHODS[value.method],
            value.seconds,
            value.player_id or 0,
            bytes.fromhex(value.subject),
        )
        return self._cipher.seal(packed, _bound_to(game_id, name))

    def _decrypt(self, game_id: GameId, name: Fingerprint, encrypted: bytes) -> _Value | None:
        """Return the value, None for none, and for one that only a later version understands."""
        if not encrypted:
            return None
        packed = self._cipher.unseal(encrypted, _bound_to(game_id, name))
        if packed is None:
            return None
        word, method, seconds, player_id, subject = _VALUE.unpack_from(packed)
        if word not in _WORD_OF or method not in _METHOD_OF:
            return None
        return _Value(
            _WORD_OF[word],
            _METHOD_OF[method],
            seconds,
            PlayerId(player_id) if player_id else None,
            subject.hex(),
        )


def _as_set(entry: TableEntry, value: _Value) -> StandingOverride:
    """Return the override that an entry with this value is."""
    return StandingOverride(
        name=entry.name,
        game_id=entry.game_id,
        method=value.method,
        player_id=value.player_id,
        subject=value.subject,
        word=value.word,
        at=entry.made_at,
        until=instant_of(value.ends_at(entry)),
    )


def _bound_to(game_id: GameId, name: Fingerprint) -> bytes:
    return game_id.to_bytes(8, "big") + name
