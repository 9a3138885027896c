"""The tries at the codes of challenges, counted by all replicas together."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from service.cache.keys import tries_key
from service.ownership import Fingerprint
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock

MOST_TRIES: Final = 5

MOST_COUNTED: Final = 100_000
"""Challenges whose tries a process counts; only those that were mailed have any."""

_COUNT: Final = Script("service.proofs", "count_try.lua")


class CodeTries:
    """Counts in Redis and, as Redis may be away or forget, in this process, too. Nothing that Redis does raises."""

    def __init__(self, *, client: RedisClient | None, clock: Clock, most_counted: int = MOST_COUNTED) -> None:
        self._scripts = None if client is None else ScriptRunner(client, clock=clock)
        self._clock = clock
        self._most_counted = most_counted
        self._own: OrderedDict[Fingerprint, int] = OrderedDict()

    async def take(self, name: Fingerprint, *, until: datetime) -> int | None:
        """Take a try at the challenge of that name, and return how many are left; None if there was none.

        It is taken before anything is compared, so that many at once are no more tries.
        """
        used = self._own[name] = self._own.get(name, 0) + 1
        self._own.move_to_end(name)
        if len(self._own) > self._most_counted:
            self._own.popitem(last=False)
        if used <= MOST_TRIES and self._scripts is not None:
            left = max(1, (until - self._clock.now()) // timedelta(milliseconds=1))
            reply = await self._scripts.run(_COUNT, tries_key(name), MOST_TRIES, left)
            if isinstance(reply, int):
                used = max(used, reply)
        return MOST_TRIES - used if used <= MOST_TRIES else None

    async def close(self) -> None:
        """Let what is under way end, for a second at most."""
        if self._scripts is not None:
            await self._scripts.close()
