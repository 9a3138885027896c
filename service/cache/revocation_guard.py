"""The revocation guard: it counts the store's noes about proven owners, on all replicas, and tells when to hold them.

With Redis the last answers of all replicas are counted together: each is put there before it counts, so that the
twentieth no is already held back. Without Redis each replica counts its own. The verdict is an entry of the replicated
table, so that all replicas have it within half a second.
"""

import hmac
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from struct import Struct as Layout
from typing import Final

from service.cache.entry import CLOCK_TOLERANCE
from service.cache.keys import NamingKey, TableKey, rechecks_key
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import stamp
from service.cache.table_entry import GUARD, OPERATOR, TableKind, instant_of, instant_value
from service.ownership import Fingerprint, GameId
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock
from service.verification.policy import HARD_MAXIMUM
from service.verification.rechecks import CALM, MOST_OWNERS, WINDOW, Recheck, hold_until

_STEP: Final = timedelta(seconds=10)
"""The least by which the end is moved: each move is told to all replicas."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)

_RECHECK: Final = Script("service.cache", "recheck.lua", own_hash=True)
_LIFETIME: Final = WINDOW // timedelta(milliseconds=1)
_BODY: Final = Layout(">Q16sQ?")
_SEAL_BYTES: Final = 16


class SharedRechecks:
    """The last answers about proven owners that all replicas have got, in Redis.

    Each is bound to its game and sealed by a keyed hash, so that other programs with access to Redis can add none.
    """

    def __init__(
        self, *, client: RedisClient, table_key: TableKey, naming_key: NamingKey, environment: str, clock: Clock
    ) -> None:
        self._scripts = ScriptRunner(client, clock=clock)
        self._hash_key = bytes.fromhex(table_key.reveal())
        self._naming_key = naming_key
        self._environment = environment
        self._clock = clock

    async def add(self, game_id: GameId, recheck: Recheck) -> list[Recheck]:
        """Add one, and return all; none if Redis does not answer."""
        now = self._clock.now()
        reply = await self._scripts.run(
            _RECHECK,
            rechecks_key(self._naming_key, self._environment, game_id),
            _LIFETIME,
            self._seal(game_id, recheck),
            stamp(now - WINDOW),
            stamp(now + CLOCK_TOLERANCE),
        )
        if not isinstance(reply, list):
            return []
        return [opened for sealed in reply if (opened := self._unseal(game_id, sealed)) is not None]

    async def close(self) -> None:
        """Let what is under way end, for a second at most."""
        await self._scripts.close()

    def _seal(self, game_id: GameId, recheck: Recheck) -> bytes:
        body = _BODY.pack(game_id, recheck.owner, stamp(recheck.at), recheck.owned)
        return body + self._hash(body)

    def _unseal(self, game_id: GameId, sealed: object) -> Recheck | None:
        if not isinstance(sealed, bytes) or len(sealed) != _BODY.size + _SEAL_BYTES:
            return None
        body, seal = sealed[:-_SEAL_BYTES], sealed[-_SEAL_BYTES:]
        if not hmac.compare_digest(self._hash(body), seal):
            return None
        game, name, at, owned = _BODY.unpack(body)
        return Recheck(Fingerprint(name), instant_of(at), owned) if game == game_id else None

    def _hash(self, body: bytes) -> bytes:
        return blake2b(body, key=self._hash_key, person=b"og recheck", digest_size=_SEAL_BYTES).digest()


class SharedRevocationGuard:
    """Holds back the noes of a store that says no to too many proven owners of a game.

    An operator's word, that the noes are believed or are not, comes before its own count. Without `shared` this replica
    counts alone.
    """

    def __init__(self, *, table: ReplicatedTable, shared: SharedRechecks | None, clock: Clock) -> None:
        self._table = table
        self._shared = shared
        self._clock = clock
        self._own: dict[GameId, dict[Fingerprint, Recheck]] = {}

    def held_since(self, game_id: GameId) -> datetime | None:
        """Return the instant from which on noes about proven owners of a game do not count; None if all count."""
        return self._table.held_since(game_id)

    def believed_until(self, game_id: GameId) -> datetime | None:
        """Return the instant until which an operator believes noes about a game, or did; None if none has said so."""
        return self._table.believed_until(game_id)

    @property
    def holds_any(self) -> bool:
        """Whether noes are held back for any game."""
        return self._table.holds_any

    async def rechecked(
        self, game_id: GameId, owner: Fingerprint, at: datetime, *, refused_since: datetime | None
    ) -> None:
        """Take note of what the store said `at` that instant about an owner proven before; return once it counts.

        `refused_since` is the instant of the store's first no; None means that it still says yes. A no that began while
        an operator believed them is not counted.
        """
        if refused_since is not None and refused_since < self._believed(game_id):
            return
        recheck = Recheck(owner, at, owned=refused_since is None)
        shared = [] if self._shared is None else await self._shared.add(game_id, recheck)
        own = self._remember(game_id, recheck)
        latest = {recheck.owner: recheck for recheck in sorted((*own, *shared), key=attrgetter("at"))}
        self._judge(game_id, latest.values())

    def believe(self, game_id: GameId, *, believe: bool, until: datetime) -> None:
        """Have the noes about a game count until then, or have them held back; on all replicas."""
        if believe:
            self._say(game_id, OPERATOR, None, until + HARD_MAXIMUM)
        else:
            self._say(game_id, OPERATOR, self._doubted_since(game_id), until)

    def _remember(self, game_id: GameId, recheck: Recheck) -> Iterable[Recheck]:
        own = self._own.setdefault(game_id, {})
        own.pop(recheck.owner, None)  # the one that is known longest comes first
        own[recheck.owner] = recheck
        if len(own) > MOST_OWNERS:
            del own[next(iter(own))]
        return own.values()

    def _judge(self, game_id: GameId, rechecks: Iterable[Recheck]) -> None:
        now, believed_until = self._clock.now(), self._believed(game_id)
        counting = [one for one in rechecks if one.owned or one.at >= believed_until]
        until = hold_until((one for one in counting if one.at <= now + CLOCK_TOLERANCE), now)
        holding = next((word for word in self._table.holding(game_id) if word.name == GUARD), None)
        if until is None:
            if holding is not None and holding.ends_at > now + CALM + _STEP:
                self._say(game_id, GUARD, holding.held_since, now + CALM)
        elif holding is None:
            since = min(now - WINDOW, self._table.held_since(game_id) or now)
            self._say(game_id, GUARD, max(since, believed_until), until)
        elif holding.ends_at < until - _STEP:
            self._say(game_id, GUARD, holding.held_since, until)

    def _believed(self, game_id: GameId) -> datetime:
        """Return the end of an operator's word that noes count, else the distant past."""
        return self._table.believed_until(game_id) or _NEVER

    def _doubted_since(self, game_id: GameId) -> datetime:
        """Return the instant from which on an operator doubts noes: those of the last ten minutes, and all held before.

        If that corrects another word, those that counted by it are doubted too.
        """
        now = self._clock.now()
        since = [now - WINDOW]
        for name in (OPERATOR, GUARD):
            word = self._table.find(TableKind.REVOCATIONS, game_id, name)
            if word is not None and word.held_since is not None:
                since.append(word.held_since)
            elif word is not None and now < self._believed(game_id):
                since.append(word.made_at - WINDOW)
        return min(since)

    def _say(self, game_id: GameId, name: Fingerprint, since: datetime | None, until: datetime) -> None:
        """Say it later than what was said before, even if the clock was set back since."""
        before = self._table.find(TableKind.REVOCATIONS, game_id, name)
        version = max(stamp(self._clock.now()), 0 if before is None else before.version + 1)
        self._table.put(TableKind.REVOCATIONS, game_id, name, version, ends_at=until, value=instant_value(since))
