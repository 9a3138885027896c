"""The store budget: a token bucket that shrinks when the store says that it gets too many requests."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from service.errors import Overloaded, SourceRateLimited
from service.verification.interfaces import Clock, Priority

LONGEST_PAUSE: Final = timedelta(seconds=60)
FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_OWN_PAUSE: Final = timedelta(seconds=16)
"""itch.io's own Go client waits 1, 2, 4, 8 and 16 seconds when it is answered with 503."""

SMALLEST_SHARE: Final = 1 / 8
RECOVERY: Final = 0.05
"""A refusal halves the rate at once, every normal answer gives back a twentieth of it: down fast, up slowly."""

BACKGROUND_RESERVE: Final = 0.5
"""Background look-ups leave this share of the burst to callers who wait."""


class ProcessBudget:
    """This process's share of the store budget: `rate` requests a second, bursts of `burst`.

    Requests of callers wait their turn, up to `timeout`; background requests never wait. During a pause, which the
    store asks for, no request is sent. `paused` is called once with the length of each pause, `resumed` once it ended.

    Its state, which replicas share in Redis under the same names: `tokens` are the requests that may be sent, below
    zero the turns that are given out; `counted_at` is the time of that count; `share`, of the rate, is what the store
    bears at the moment, from `SMALLEST_SHARE` to 1; until `paused_until` no request is sent; `refusals` counts those in
    a row.
    """

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        timeout: timedelta,
        clock: Clock,
        paused: Callable[[timedelta], None],
        resumed: Callable[[], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._timeout = timeout
        self._clock = clock
        self._paused = paused
        self._resumed = resumed
        self._jitter = jitter
        self._share = 1.0
        self._tokens = float(burst)
        self._counted_at = clock.monotonic()
        self._paused_until: float | None = None
        self._refusals = 0

    def rate(self) -> float:
        """Return the requests a second that the store bears at the moment."""
        return self._rate * self._share

    def tokens(self) -> float:
        """Return the number of requests that could be sent right now; negative while turns are waited for."""
        self._refill()
        return self._tokens

    def pause_left(self) -> timedelta:
        """Return the time for which the store still wants no requests."""
        if self._paused_until is None:
            return timedelta()
        return max(timedelta(), timedelta(seconds=self._paused_until - self._clock.monotonic()))

    def admit(self, priority: Priority, *, within: timedelta) -> None:
        """Raise if a request asked for now could not be sent within that time; spends nothing."""
        self._turn(priority, within=within)

    async def acquire(self, priority: Priority) -> None:
        """Return when one request may be sent; the order is that of asking."""
        wait = self._turn(priority, within=self._timeout)
        self._tokens -= 1
        if wait > timedelta():
            await self._clock.sleep(wait)
            if (left := self.pause_left()) > timedelta():
                raise SourceRateLimited("the store asked us to stay away", retry_after=left)

    # --- what the store, and other replicas, let us know ---

    def refused(self, retry_after: timedelta | None) -> None:
        """Halve the rate, and begin a pause: of the time that the store named, else a longer one each time in a row.

        Requests that were under way when the pause began are part of the same refusal: they count once.
        """
        own = timedelta()
        if self.pause_left() == timedelta():
            self._set_share(max(self._share / 2, SMALLEST_SHARE))
            own = min(FIRST_PAUSE * 2**self._refusals, LONGEST_OWN_PAUSE) * (0.5 + self._jitter() / 2)
            self._refusals = min(self._refusals + 1, 8)
        self.stay_away(own if retry_after is None else retry_after)

    def stay_away(self, pause: timedelta) -> None:
        """Begin a pause of that length, at most a minute; a pause under way that ends later stays."""
        pause = min(pause, LONGEST_PAUSE)
        before = self.pause_left()
        if pause <= before:
            return
        self._paused_until = self._clock.monotonic() + pause.total_seconds()
        if before == timedelta():
            self._paused(pause)

    def spent(self, wait: timedelta) -> None:
        """Count a request that another replica permitted, to be sent after `wait`.

        It shrinks the burst, and makes no caller wait any longer than it waits itself.
        """
        self._refill()
        latest = -wait.total_seconds() * self._rate * self._share
        self._tokens = min(self._tokens, max(self._tokens - 1, latest))

    def empty(self) -> None:
        """Begin with an empty bucket: other replicas may have spent what is in it."""
        self._refill()
        self._tokens = min(self._tokens, 0.0)

    def answered(self) -> None:
        """Give back some of the rate; the first normal answer after a pause ends it for good.

        An answer that arrives during a pause is to a request from before it, and counts for nothing.
        """
        if self.pause_left() == timedelta():
            self._recover(self._share + RECOVERY)

    def forget_refusals(self) -> None:
        """Have the whole rate again, and end a pause: the refusals were those of a sandbox that is well again."""
        self._recover(1.0)

    def _recover(self, share: float) -> None:
        self._refusals = 0
        self._set_share(min(1.0, share))
        if self._paused_until is not None:
            self._paused_until = None
            self._resumed()

    def _turn(self, priority: Priority, *, within: timedelta) -> timedelta:
        if (left := self.pause_left()) > timedelta():
            raise SourceRateLimited("the store asked us to stay away", retry_after=left)
        self._refill()
        needed = 1.0
        if priority is Priority.BACKGROUND:
            # A burst of one has nothing to spare: the background gets it when no caller wants it.
            needed = min(1.0 + self._burst * BACKGROUND_RESERVE, self._burst)
        wait = timedelta(seconds=max(0.0, needed - self._tokens) / (self._rate * self._share))
        allowed = within if priority is Priority.FOREGROUND else timedelta()
        if wait > allowed:
            raise Overloaded("the store budget is spent", retry_after=wait)
        return wait

    def _set_share(self, share: float) -> None:
        self._refill()
        if self._tokens < 0:
            # Turns that were given out stay when they are: the debt is paid off at the pace that was promised.
            self._tokens *= share / self._share
        self._share = share

    def _refill(self) -> None:
        now = self._clock.monotonic()
        gained = (now - self._counted_at) * self._rate * self._share
        self._tokens = min(self._burst, self._tokens + gained)
        self._counted_at = now
