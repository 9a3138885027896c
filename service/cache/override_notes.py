"""The notes beside overrides: who set each, and why. They are for people, and decide nothing.

Each has a key of its own in Redis, sealed and bound to its override as it was set then. Redis may lose them; this
process remembers those of the overrides that were set here.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from service.cache.bound_cipher import BoundCipher
from service.cache.keys import OverridesKey, note_key
from service.cache.sealing import stamp
from service.cache.shared_overrides import StandingOverride
from service.ownership import Fingerprint
from service.redis.connect import RedisClient
from service.redis.reader import open_reader
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock

_LARGEST: Final = 4096
"""Bytes of a sealed note that are read; ours have at most 900."""

READ_AT_ONCE: Final = 250
"""The notes that are asked for in one write, before others have their turn: a game may have a thousand."""

MOST_OWN: Final = 10_000
"""The notes that this process remembers."""

_KEEP: Final = Script("service.cache", "keep_sealed.lua")


class OverrideNote(Struct, frozen=True, array_like=True):
    """The name of the caller that set an override, and what was noted with it."""

    by: str
    note: str | None = None


class OverrideNotes:
    """Keeps notes in this process and, where there is one, in Redis. Nothing that Redis does makes it raise."""

    def __init__(self, *, client: RedisClient | None, key: OverridesKey, clock: Clock) -> None:
        self._scripts = None if client is None else ScriptRunner(client, clock=clock)
        self._reader = None if client is None else open_reader(client, most=_LARGEST, clock=clock)
        self._cipher = BoundCipher(key)
        self._clock = clock
        self._own: dict[Fingerprint, tuple[datetime, OverrideNote]] = {}

    async def keep(self, override: StandingOverride, note: OverrideNote) -> None:
        """Keep it until the override ends."""
        self._own.pop(override.name, None)
        self._own[override.name] = override.at, note
        if len(self._own) > MOST_OWN:
            del self._own[next(iter(self._own))]
        sealed = self._cipher.seal(msgspec.msgpack.encode(note), _bound_to(override))
        await self._write(override, sealed, override.until - self._clock.now())

    async def read(self, overrides: Sequence[StandingOverride]) -> list[OverrideNote | None]:
        """Return the note beside each of them, None where it is lost."""
        notes: list[OverrideNote | None] = []
        for start in range(0, len(overrides), READ_AT_ONCE):
            notes += await asyncio.gather(*[self._read(one) for one in overrides[start : start + READ_AT_ONCE]])
        return notes

    async def forget(self, override: StandingOverride) -> None:
        """Forget the note beside an override that is taken back."""
        self._own.pop(override.name, None)
        await self._write(override, b"", timedelta(milliseconds=1))

    async def close(self) -> None:
        """Let what is under way end, for a second at most."""
        if self._scripts is not None and self._reader is not None:
            await self._reader.close()
            await self._scripts.close()

    async def _read(self, override: StandingOverride) -> OverrideNote | None:
        set_at, note = self._own.get(override.name, (None, None))
        if set_at == override.at or self._reader is None:
            return note if set_at == override.at else None
        reply = await self._reader.get(note_key(override.name))
        if isinstance(reply, TimeoutError):  # the first connection may take longer than a reply
            reply = await self._reader.get(note_key(override.name))
        try:
            return msgspec.msgpack.decode(self._cipher.unseal(reply, _bound_to(override)) or b"", type=OverrideNote)
        except ValueError:  # none of ours, or by a later version
            return None

    async def _write(self, override: StandingOverride, sealed: bytes, lifetime: timedelta) -> None:
        if self._scripts is not None:
            milliseconds = max(1, lifetime // timedelta(milliseconds=1))
            await self._scripts.run(_KEEP, note_key(override.name), sealed, milliseconds)


def _bound_to(override: StandingOverride) -> bytes:
    """Return what ties a note to one override, so that it is not shown beside the one that takes its place."""
    return b"note" + note_key(override.name).encode() + stamp(override.at).to_bytes(8, "big")
