"""The limits of one caller: its rate, and a tighter bound on credentials that turn out no good."""

import asyncio
from collections import deque
from datetime import timedelta
from typing import TypedDict

from msgspec import Struct

from service.errors import TooManyQuestions
from service.verification.interfaces import Clock


class TokenBucket:
    """A token bucket: `rate` a second, bursts of `burst`."""

    __slots__ = ("_burst", "_clock", "_counted_at", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._counted_at = clock.monotonic()

    def adjust(self, *, rate: float, burst: float) -> None:
        """Go on at another rate; what has been spent stays spent."""
        spent = self._burst - self.left()
        self._rate = rate
        self._burst = burst
        self._tokens = max(0.0, burst - spent)

    def left(self) -> float:
        """Return the number of tokens."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
        return self._tokens

    def wait(self) -> timedelta:
        """Return the time until there is a token."""
        return timedelta(seconds=max(0.0, 1 - self.left()) / self._rate)

    def spend(self) -> timedelta | None:
        """Spend a token and return None, or return the time until there is one."""
        if self.left() < 1:
            return self.wait()
        self._tokens -= 1
        return None


class KeyTries:
    """Implements `Tries`: the download keys and JWTs that may turn out no good, `per_minute`, and as many at once.

    A look-up of a new one holds a try until the store has answered, so that many at once find no more noes than few
    would. While all that are left are held, the next look-up waits, in the order of asking. It is refused only when
    all are spent.
    """

    def __init__(self, *, per_minute: float, clock: Clock) -> None:
        self._bucket = TokenBucket(**_tries_rate(per_minute), clock=clock)
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def adjust(self, *, per_minute: float) -> None:
        """Allow so many from now on; what has been spent stays spent, and those who wait may go on."""
        self._bucket.adjust(**_tries_rate(per_minute))
        self._serve()

    def check(self) -> None:
        """Raise `TooManyQuestions` if all are spent."""
        if self._bucket.left() < 1:
            raise self._refusal()

    async def hold(self) -> "HeldTry":
        """Return a try once there is one that is not held. Raises `TooManyQuestions` if all are spent."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._serve()
        try:
            await asyncio.wait((turn,))  # unlike the future alone, it is not cancelled with its caller
        except asyncio.CancelledError:
            if not turn.done():
                self._waiting.remove(turn)
            elif turn.exception() is None:
                self.end(spent=False)
            raise
        turn.result()
        return HeldTry(self)

    def end(self, *, spent: bool) -> None:
        """Take note that a try is held no longer."""
        self._held -= 1
        if spent:
            self._bucket.spend()
        self._serve()

    def _serve(self) -> None:
        """Let those who wait have what is left, in their order; refuse them all when nothing is."""
        while self._waiting:
            left = self._bucket.left()
            if left < 1:
                self._waiting.popleft().set_exception(self._refusal())
            elif left - self._held >= 1:
                self._held += 1
                self._waiting.popleft().set_result(None)
            else:
                return

    def _refusal(self) -> TooManyQuestions:
        return TooManyQuestions("failed_keys", retry_after=self._bucket.wait())


class _BucketRate(TypedDict):
    rate: float
    burst: float


def _tries_rate(per_minute: float) -> _BucketRate:
    return {"rate": per_minute / 60, "burst": max(1.0, per_minute)}


def _questions_rate(rate: float) -> _BucketRate:
    return {"rate": rate, "burst": max(1.0, rate * 2)}


class HeldTry:
    """Implements `Try`."""

    __slots__ = ("_spent", "_tries")

    def __init__(self, tries: KeyTries) -> None:
        self._tries = tries
        self._spent = False

    def spend(self) -> None:
        """Take note that the credential is no good: this try is gone."""
        self._spent = True

    def let_go(self) -> None:
        """Give the try back, unless it was spent."""
        self._tries.end(spent=self._spent)


class CallerBounds(Struct, frozen=True):
    """The bounds of a caller: questions a second, and download keys and JWTs a minute that may turn out no good."""

    rate: float
    failed_keys_per_minute: float


class CallerLimits:
    """The questions and tries that a caller has left. `rate` is in questions a second.

    `failed_keys_per_minute` is in download keys and JWTs. A game server asks about keys that players really have, and
    now and then one with a typo. A client that tries out keys, or spends the store budget on forged JWTs, sees mostly
    failures. So failures have a budget of their own, `tries`, and once it is spent no further credential is looked up.
    """

    def __init__(self, *, rate: float, failed_keys_per_minute: float, clock: Clock) -> None:
        self._bounds = CallerBounds(rate, failed_keys_per_minute)
        self._questions = TokenBucket(**_questions_rate(rate), clock=clock)
        self.tries = KeyTries(per_minute=failed_keys_per_minute, clock=clock)

    def keep_to(self, bounds: CallerBounds) -> None:
        """Go on with these bounds; what the caller has used up stays used up."""
        if bounds == self._bounds:
            return
        self._bounds = bounds
        self._questions.adjust(**_questions_rate(bounds.rate))
        self.tries.adjust(per_minute=bounds.failed_keys_per_minute)

    def ask(self) -> None:
        """Spend one question. Raises `TooManyQuestions` when the caller is over its rate."""
        wait = self._questions.spend()
        if wait is not None:
            raise TooManyQuestions("rate", retry_after=wait)
