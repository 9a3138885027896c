"""The players who have shown a download key: who holds one need not be its owner, and one key may serve many.

For each key Redis has one string: a byte for its version, and 16 bytes for each player. 8 of them are a keyed hash of
the key's question and the caller's name for the player, so that nothing there tells who plays, nor that one player has
shown two keys; 8 authenticate them for that question, so that none can be planted, or copied from another key.
"""

import asyncio
from collections import OrderedDict
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from service.cache.keys import PlayersKey, players_key
from service.key_use import MOST_KEY_PLAYERS, KeyUse
from service.ownership import Fingerprint
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.redis.timeouts import REPLY_TIMEOUT
from service.verification.interfaces import Clock

MOST_KEYS: Final = 10_000
"""The keys whose players this process counts where there is no Redis."""

MOST_KNOWN: Final = 10_000
"""The players who are known to be counted, so that Redis is not asked again."""

KNOWN_FOR: Final = timedelta(minutes=10)

_VERSION: Final = b"\x01"
_HALF: Final = 8
_MEMBER: Final = 2 * _HALF
_LARGEST: Final = len(_VERSION) + MOST_KEY_PLAYERS * _MEMBER
_PUT: Final = Script("service.cache", "put_players.lua")
_KEEP: Final = Script("service.cache", "keep_sealed.lua")


class CountedPlayers:
    """Counts in Redis, for all replicas, or without one in this process. Nothing that Redis does makes it raise.

    What is not known denies no player: without an answer of Redis the result is `unknown`, and where Redis has lost
    what it had, counting begins anew.
    """

    def __init__(self, *, client: RedisClient | None, key: PlayersKey, clock: Clock) -> None:
        self._scripts = None if client is None else ScriptRunner(client, clock=clock)
        self._key = bytes.fromhex(key.reveal())
        self._clock = clock
        self._own: OrderedDict[Fingerprint, tuple[datetime, tuple[bytes, ...]]] = OrderedDict()
        self._known: OrderedDict[bytes, datetime] = OrderedDict()

    async def judge(
        self, name: Fingerprint, player_ref: str, *, most: int, lasts: timedelta, within: timedelta
    ) -> KeyUse:
        """Count a player who has shown the key of that question, unless `most` others are counted already.

        They are forgotten when for the time that this `lasts` there was no new one. Who is counted stays so, even if
        `most` is less by now. Redis is waited for `within` that time, and always for as long as one reply may take.
        """
        member = self._member(name, player_ref)
        if self._scripts is None:
            return self._judge_here(name, member, most=most, lasts=lasts)
        now = self._clock.now()
        if self._known.get(member, now) > now:
            return KeyUse.KNOWN
        # A coroutine that was run by hand so far has become a task when this returns: time-outs need one.
        await asyncio.sleep(0)
        try:
            async with self._clock.timeout(max(within, REPLY_TIMEOUT)):
                use = await self._judge_in(self._scripts, name, member, most=most, lasts=lasts)
        except TimeoutError:
            return KeyUse.UNKNOWN
        if use is KeyUse.KNOWN or use is KeyUse.NEW:
            self._known[member] = now + KNOWN_FOR
            self._known.move_to_end(member)
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return use

    async def forget(self, name: Fingerprint) -> bool:
        """Forget who has shown the key of that question; other replicas may know their own for ten minutes more.

        False if Redis does not say that it has.
        """
        self._own.pop(name, None)
        self._known.clear()  # It does not say whose key is whose. All it costs is that Redis is asked again.
        return self._scripts is None or await self._scripts.run(_KEEP, players_key(name), b"", 1) is not None

    async def close(self) -> None:
        """Let what is under way end, for a second at most."""
        if self._scripts is not None:
            await self._scripts.close()

    def _judge_here(self, name: Fingerprint, member: bytes, *, most: int, lasts: timedelta) -> KeyUse:
        now = self._clock.now()
        until, members = self._own.get(name, (now, ()))
        if until <= now:
            members = ()
        use = _use(member, members, most=most)
        if use is KeyUse.NEW:
            self._own[name] = now + lasts, (*members, member)
            if len(self._own) > MOST_KEYS:
                self._own.popitem(last=False)
        if members:
            self._own.move_to_end(name)
        return use

    async def _judge_in(
        self, scripts: ScriptRunner, name: Fingerprint, member: bytes, *, most: int, lasts: timedelta
    ) -> KeyUse:
        milliseconds = lasts // timedelta(milliseconds=1)
        read = b""
        # The first try reads. Each later one fails only because another player was added meanwhile: soon none can be.
        for _ in range(most + 2):
            members = self._members(name, read)
            use = _use(member, members, most=most)
            if use is not KeyUse.NEW:
                return use
            packed = _VERSION + b"".join((*members, member))
            reply = await scripts.run(_PUT, players_key(name), read, packed, milliseconds, _LARGEST)
            if reply == 1:
                return use
            if not isinstance(reply, bytes):
                break
            read = reply
        return KeyUse.UNKNOWN

    def _members(self, name: Fingerprint, packed: bytes) -> tuple[bytes, ...]:
        """Return those that were made here for that question; all else in the bytes is as if it were not there."""
        if packed[:1] != _VERSION:
            return ()
        parts = {packed[at : at + _MEMBER]: None for at in range(1, len(packed), _MEMBER)}
        return tuple(part for part in parts if part == part[:_HALF] + self._tag(name, part[:_HALF]))

    def _member(self, name: Fingerprint, player_ref: str) -> bytes:
        player = blake2b(name + player_ref.encode(), key=self._key, person=b"og player", digest_size=_HALF).digest()
        return player + self._tag(name, player)

    def _tag(self, name: Fingerprint, player: bytes) -> bytes:
        return blake2b(name + player, key=self._key, person=b"og counted", digest_size=_HALF).digest()


def _use(member: bytes, members: tuple[bytes, ...], *, most: int) -> KeyUse:
    """Return the use of a key by one whose players are these; `NEW` if the player is to be added to them."""
    if member in members:
        return KeyUse.KNOWN
    return KeyUse.OVER if len(members) >= most else KeyUse.NEW
