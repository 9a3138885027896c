"""The entries of the replicated table, and their form in Redis.

A sealed entry is, in this order, all numbers big-endian:

    1 byte    the kind
    8 bytes   the game's id, 0 for what belongs to no game
    16 bytes  the name within the game, zeros for the whole game
    8 bytes   the version: the time of the cluster at which it was made, in microseconds since 1970
    8 bytes   when it ends, in microseconds since 1970
    0 to 64   the value
    16 bytes  a keyed hash (BLAKE2b) of all that

The first 25 bytes are the place: of two entries of one place, the one with the higher version counts. All but the value
is in clear, because Redis itself compares versions; the hash cannot be made without the operator's secret.
"""

import hmac
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from hashlib import blake2b
from struct import Struct as Layout
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from service.cache.keys import TableKey
from service.cache.sealing import stamp
from service.ownership import Fingerprint, GameId
from service.verification.policy import HARD_MAXIMUM

LONGEST_LIFE: Final = timedelta(days=90)
"""The longest that an entry is known; overrides live so long."""

LARGEST_VALUE: Final = 64
PLACE_BYTES: Final = 25
SEAL_BYTES: Final = 16
NO_GAME: Final = GameId(0)
"""Stands for the game of what belongs to none: whose a JWT is."""

WHOLE_GAME: Final = Fingerprint(bytes(16))
"""Stands for every name of a game."""

GUARD: Final = Fingerprint(b"revocation guard")
OPERATOR: Final = Fingerprint(b"operator's word.")
"""The names of the two who may say whether noes are held back. The operator's word comes first."""

_HEADER: Final = Layout(">BQ16sQQ")
LARGEST_ENTRY: Final = _HEADER.size + LARGEST_VALUE + SEAL_BYTES
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class TableKind(IntEnum):
    """The kinds of entries. The numbers are stored: they may become more, never others."""

    INVALIDATED = 1
    """An operator said that what was observed before is not to be used."""
    OVERRULED = 2
    """The store's no has replaced a remembered yes. The value is the instant of the first, if there was one before."""
    REVOCATIONS = 3
    """Whether noes about proven owners of the game are held back: a word of the revocation guard or of an operator.

    The value is the instant from which on, or nothing if an operator believes them. Such a word is kept for as long
    past its end as a proof may last: what counted by it must not be held back later.
    """
    OVERRIDE = 4
    """An operator's word about one player for a while; without a value there is none any more."""


_VALUE_IS_INSTANT: Final = (TableKind.OVERRULED, TableKind.REVOCATIONS)

INVALIDATING: Final = (TableKind.INVALIDATED, TableKind.OVERRULED)
"""The kinds that say since when observations are not to be used."""


TablePlace: TypeAlias = tuple[TableKind, GameId, Fingerprint]


class TableEntry(Struct, frozen=True):
    """Something that all replicas are to know about a name of a game, until it ends; the highest version counts."""

    kind: TableKind
    game_id: GameId
    name: Fingerprint
    version: int
    ends_at: datetime
    value: bytes = b""

    @property
    def place(self) -> TablePlace:
        """The kind, game and name, of which only one entry counts."""
        return self.kind, self.game_id, self.name

    @property
    def made_at(self) -> datetime:
        """The version as an instant."""
        return instant_of(self.version)

    @property
    def held_since(self) -> datetime | None:
        """The instant from which on noes are held back, by an entry of the kind `REVOCATIONS`; None if they count."""
        return _instant_in(self.value)

    @property
    def believed_until(self) -> datetime | None:
        """The instant until which noes count, by an entry of the kind `REVOCATIONS`; None if they are held back."""
        return None if self.value else self.ends_at - HARD_MAXIMUM

    @property
    def first_no_at(self) -> datetime:
        """The instant of the first no of those by which an entry of the kind `OVERRULED` was made."""
        return _instant_in(self.value) or self.made_at

    def as_made_at(self, instant: datetime) -> "TableEntry":
        """Return the entry as if it had been made then, for as long, with all its instants moved."""
        moved = instant - self.made_at
        value = self.value
        if self.kind in _VALUE_IS_INSTANT and (within := _instant_in(value)) is not None:
            value = instant_value(within + moved)
        return replace(self, version=stamp(instant), ends_at=self.ends_at + moved, value=value)


def instant_value(instant: datetime | None) -> bytes:
    """Return the value of an entry which is that instant, or nothing."""
    return b"" if instant is None else max(0, stamp(instant)).to_bytes(8, "big")


def _instant_in(value: bytes) -> datetime | None:
    return instant_of(int.from_bytes(value, "big")) if value else None


class TableSealer:
    """Seals entries for Redis, and unseals them again."""

    def __init__(self, table_key: TableKey) -> None:
        self._key = bytes.fromhex(table_key.reveal())

    def seal(self, entry: TableEntry) -> bytes:
        """Return the entry as Redis may have it."""
        header = _HEADER.pack(entry.kind, entry.game_id, entry.name, entry.version, stamp(entry.ends_at))
        return header + entry.value + self._hash(header + entry.value)

    def unseal(self, sealed: bytes) -> TableEntry | None:
        """Return the entry, None for bytes that no gateway with our secret has sealed, or only a later version can."""
        if not _HEADER.size + SEAL_BYTES <= len(sealed) <= LARGEST_ENTRY:
            return None
        unsealed, seal = sealed[:-SEAL_BYTES], sealed[-SEAL_BYTES:]
        if not hmac.compare_digest(self._hash(unsealed), seal):
            return None
        kind, game_id, name, version, ends_at = _HEADER.unpack_from(unsealed)
        if kind not in _KINDS:
            return None
        value = unsealed[_HEADER.size :]
        return TableEntry(_KINDS[kind], GameId(game_id), Fingerprint(name), version, instant_of(ends_at), value)

    def _hash(self, unsealed: bytes) -> bytes:
        return blake2b(unsealed, key=self._key, person=b"og table", digest_size=SEAL_BYTES).digest()


_KINDS: Final = {int(kind): kind for kind in TableKind}


def instant_of(microseconds: int) -> datetime:
    """Return the instant of microseconds since 1970; `stamp` is the way back."""
    return _EPOCH + timedelta(microseconds=microseconds)
