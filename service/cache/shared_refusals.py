"""Refusals in Redis, where every replica finds them for 72 hours.

Each is sealed, under a keyed hash of its id, and bound to that place; beside it stand, for the credential and for the
account, the names of the last five. Writes are few by construction, however many are refused: what is too much is
dropped and counted, and no question waits for it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from service.cache.bound_cipher import BoundCipher
from service.cache.entry import CLOCK_TOLERANCE
from service.cache.keys import KeyedFingerprints, RefusalsKey, refusal_key
from service.cache.refusal_memory import MOST_IDS, CountedRefusal, RememberedRefusal
from service.cache.results import CacheResult
from service.ownership import Fingerprint, GameId
from service.redis.background_tasks import BackgroundTasks
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock

KEPT: Final = timedelta(hours=72)
WRITES_A_SECOND: Final = 50
WRITES_OF_A_CALLER: Final = WRITES_A_SECOND // 5
FREE_FOR_OTHERS: Final = WRITES_OF_A_CALLER // 2
"""The part of a caller's writes that a player who tries on and on leaves to others."""
MOST_LISTED: Final = 5

_NAME_BYTES: Final = 16
_LARGEST: Final = 4096
"""Bytes of a sealed refusal that are read; ours have some 400."""
_SHORTEST_SLEEP: Final = timedelta(milliseconds=1)
_TTL: Final = KEPT // timedelta(milliseconds=1)

_KEEP: Final = Script("service.cache", "keep_refusal.lua")
_READ: Final = Script("service.cache", "read_refusal.lua")
_FORGET: Final = Script("service.cache", "keep_sealed.lua")


class Count(Protocol):
    """A count of events, to which is added."""

    count: int


class _WriteLimit:
    """At most so many in any second."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)

    def wait(self, now: float, *, free: int = 0) -> float:
        """Return the seconds until there is room for one, and for so many more."""
        times = self._times
        most = (times.maxlen or 0) - free
        return 0.0 if len(times) < most else times[-most] + 1 - now

    def take(self, now: float) -> None:
        self._times.append(now)


class SharedRefusals:
    """Implements `RefusalSharing`, and finds what any replica has shared. Nothing that Redis does makes it raise.

    Each write that was asked for is counted by its result.
    """

    def __init__(
        self,
        *,
        client: RedisClient,
        fingerprints: KeyedFingerprints,
        key: RefusalsKey,
        clock: Clock,
        counts: Mapping[CacheResult, Count],
    ) -> None:
        self._scripts = ScriptRunner(client, clock=clock)
        self._fingerprints = fingerprints
        self._cipher = BoundCipher(key)
        self._clock = clock
        self._counts = counts
        self._dropped = counts[CacheResult.DROPPED]
        self._waiting: deque[CountedRefusal] = deque()
        self._waiting_of: dict[str, int] = {}
        self._limit = _WriteLimit(WRITES_A_SECOND)
        self._limit_of: dict[str, _WriteLimit] = {}
        self._beside = BackgroundTasks()
        self._sending: asyncio.Task[None] | None = None

    # --- writing ---

    def offer(self, refusal: CountedRefusal) -> None:
        """Write it soon, as it is then, unless there is too much already."""
        if refusal.due:
            return
        caller = refusal.first.caller
        limit = self._limit_of.get(caller)
        waiting = self._waiting_of.get(caller, 0)
        free = FREE_FOR_OTHERS if refusal.count > MOST_IDS else 0
        if (
            waiting >= WRITES_OF_A_CALLER
            or len(self._waiting) >= WRITES_A_SECOND
            or (limit is not None and limit.wait(self._clock.monotonic(), free=free) > 0)
        ):
            self._dropped.count += 1
            return
        refusal.due = True
        self._waiting.append(refusal)
        self._waiting_of[caller] = waiting + 1
        if self._sending is None:
            self._sending = self._beside.start(self._send())

    async def _send(self) -> None:
        """Write what waits, one after another and as fast as the limit permits."""
        try:
            while self._waiting:
                if (wait := self._limit.wait(self._clock.monotonic())) > 0:
                    await self._clock.sleep(max(timedelta(seconds=wait), _SHORTEST_SLEEP))
                    continue
                refusal = self._waiting.popleft()
                refusal.due = False
                result = await self._write(refusal)
                self._counts[result].count += 1
        finally:
            self._sending = None

    async def _write(self, refusal: CountedRefusal) -> CacheResult:
        caller, game_id = refusal.first.caller, refusal.first.game_id
        self._waiting_of[caller] -= 1
        now = self._clock.monotonic()
        limit = self._limit_of.setdefault(caller, _WriteLimit(WRITES_OF_A_CALLER))
        if limit.wait(now) > 0:  # Redis was slow, and lets them all go at once
            return CacheResult.DROPPED
        self._limit.take(now)
        limit.take(now)
        shared = refusal.as_it_is()
        names = [self._fingerprints.of_decision(one) for one in dict.fromkeys((shared.ids[0], shared.ids[-1]))]
        keys = [refusal_key(name) for name in names]
        packed = msgspec.msgpack.encode(shared)
        sealed = [self._cipher.seal(packed, _bound_to(key)) for key in keys]
        lists = []
        if not refusal.listed:
            players = dict.fromkeys(one for one in (shared.subject, shared.account) if one is not None)
            lists = [self._list_key(game_id, one) for one in players]
        done = await self._scripts.run(_KEEP, (*keys, *lists), _TTL, names[0], *sealed)
        if done is None:
            return CacheResult.FAILED
        refusal.listed = True
        return CacheResult.STORED

    async def forget(self, game_id: GameId, log_name: str) -> None:
        """Delete the last ones of a credential, or of an account, and a game."""
        listed = self._list_key(game_id, log_name)
        keys = [refusal_key(name) for name in await self._listed(listed)]
        await asyncio.gather(*(self._scripts.run(_FORGET, key, b"", 1) for key in (listed, *keys)))

    async def close(self) -> None:
        """Let what is under way end, for a second at most."""
        self._waiting.clear()
        await self._beside.close()
        await self._scripts.close()

    # --- reading ---

    async def find(self, decision_id: str) -> RememberedRefusal | None:
        """Return the refusal with this id, if one of our gateways has shared it lately."""
        refusal = await self._read(self._fingerprints.of_decision(decision_id))
        return refusal if refusal is not None and decision_id in refusal.ids else None

    async def of(self, game_id: GameId, log_name: str) -> list[RememberedRefusal]:
        """Return the last ones of a credential, or of an account, and a game."""
        names = await self._listed(self._list_key(game_id, log_name))
        found = await asyncio.gather(*(self._read(name) for name in names))
        # The list is not sealed: a name of another player's may have been put there.
        return [
            one
            for one in found
            if one is not None and one.game_id == game_id and log_name in (one.subject, one.account)
        ]

    async def _listed(self, key: str) -> list[Fingerprint]:
        reply = await self._scripts.run(_READ, key, MOST_LISTED * _NAME_BYTES)
        names = reply if isinstance(reply, bytes) else b""
        ends = range(_NAME_BYTES, len(names) + 1, _NAME_BYTES)
        return list(dict.fromkeys(Fingerprint(names[end - _NAME_BYTES : end]) for end in ends))

    async def _read(self, name: Fingerprint) -> RememberedRefusal | None:
        key = refusal_key(name)
        reply = await self._scripts.run(_READ, key, _LARGEST)
        try:
            refusal = msgspec.msgpack.decode(self._cipher.unseal(reply, _bound_to(key)) or b"", type=RememberedRefusal)
        except ValueError:  # none of ours, or by a later version
            return None
        now = self._clock.now()
        return refusal if now - KEPT <= refusal.last_at <= now + CLOCK_TOLERANCE else None

    def _list_key(self, game_id: GameId, log_name: str) -> str:
        return refusal_key(self._fingerprints.of_refused(game_id, log_name))


def _bound_to(key: str) -> bytes:
    return b"refusal " + key.encode()
