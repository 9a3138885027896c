"""The bounds on mails: how many an address gets, and a player of a caller causes, by all replicas together."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from service.cache.keys import mails_key
from service.ownership import Fingerprint
from service.redis.connect import RedisClient
from service.redis.script import Script, ScriptRunner
from service.verification.interfaces import Clock

RESEND_AFTER: Final = timedelta(minutes=1)
"""The time after which another mail to the same address may be asked for."""

Windows: TypeAlias = Sequence[tuple[timedelta, int]]
"""Times, and the most mails in each; the longest last."""

OF_ADDRESS: Final[Windows] = ((RESEND_AFTER, 1), (timedelta(hours=1), 3), (timedelta(days=1), 6))
OF_PLAYER: Final[Windows] = ((timedelta(hours=1), 5),)

MOST_COUNTED: Final = 100_000
"""Addresses and players whose mails a process counts."""

_LARGEST: Final = 1000
_TAKE: Final = Script("service.proofs", "take_mail.lua")
_GIVE_BACK: Final = Script("service.proofs", "give_back_mail.lua")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_KEPT: Final = OF_ADDRESS[-1][0] // _MILLISECOND


class MailRoom:
    """Room that was taken for one mail."""

    def __init__(self, name: Fingerprint, at: int) -> None:
        self.name = name
        self.at = at


class MailBounds:
    """Counts in Redis and, as Redis may be away or forget, in this process, too. Nothing that Redis does raises."""

    def __init__(self, *, client: RedisClient | None, clock: Clock, most_counted: int = MOST_COUNTED) -> None:
        self._scripts = None if client is None else ScriptRunner(client, clock=clock)
        self._clock = clock
        self._most_counted = most_counted
        self._own: OrderedDict[Fingerprint, list[int]] = OrderedDict()

    async def take(self, name: Fingerprint, windows: Windows) -> MailRoom | timedelta:
        """Take room for a mail, or return the time until there is some."""
        now = (self._clock.now() - _EPOCH) // _MILLISECOND
        sent = self._own.setdefault(name, [])
        self._own.move_to_end(name)
        if len(self._own) > self._most_counted:
            self._own.popitem(last=False)
        longest = windows[-1][0] // _MILLISECOND
        sent[:] = [at for at in sent if now - longest < at]
        wait = max(_wait(sent, now, window // _MILLISECOND, most) for window, most in windows)
        if wait > 0:
            return wait * _MILLISECOND
        sent.append(now)
        if self._scripts is not None:
            bounds = [number for window, most in windows for number in (window // _MILLISECOND, most)]
            reply = await self._scripts.run(_TAKE, mails_key(name), now, longest, _LARGEST, *bounds)
            if isinstance(reply, int) and reply > 0:
                sent.remove(now)
                return reply * _MILLISECOND
        return MailRoom(name, now)

    async def give_back(self, room: MailRoom) -> None:
        """Take note that the mail was not sent."""
        sent = self._own.get(room.name, [])
        if room.at in sent:
            sent.remove(room.at)
        if self._scripts is not None:
            await self._scripts.run(_GIVE_BACK, mails_key(room.name), room.at, _KEPT, _LARGEST)

    async def close(self) -> None:
        """Let what is under way end, for a second at most."""
        if self._scripts is not None:
            await self._scripts.close()


def _wait(sent: list[int], now: int, window: int, most: int) -> int:
    """Return the milliseconds until fewer than so many of the mails are in the window."""
    within = sorted(at for at in sent if at > now - window)
    return 0 if len(within) < most else within[-most] + window - now
