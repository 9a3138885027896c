"""The limits of one caller: its rate, and a tighter bound on credentials that turn out no good."""

from datetime import timedelta

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

    def spend(self) -> timedelta | None:
        """Spend a token and return None, or return the time until there is one."""
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
        if self._tokens < 1:
            return timedelta(seconds=(1 - self._tokens) / self._rate)
        self._tokens -= 1
        return None

    def give_back(self) -> None:
        """Undo a `spend`."""
        self._tokens = min(self._burst, self._tokens + 1)


class CallerLimits:
    """The questions and tries that a caller has left. `rate` is in questions a second.

    `failed_keys_per_minute` is in download keys and JWTs. A game server asks about keys that players really have, and
    now and then one with a typo. A client that tries out keys, or spends the store budget on forged JWTs, sees mostly
    failures. So failures have a budget of their own, and once it is spent no further credential is looked up.
    """

    def __init__(self, *, rate: float, failed_keys_per_minute: float, clock: Clock) -> None:
        self._questions = TokenBucket(rate=rate, burst=max(1.0, rate * 2), clock=clock)
        self._failed_keys = TokenBucket(
            rate=failed_keys_per_minute / 60, burst=max(1.0, failed_keys_per_minute), clock=clock
        )

    def ask(self) -> None:
        """Spend one question. Raises `TooManyQuestions` when the caller is over its rate."""
        wait = self._questions.spend()
        if wait is not None:
            raise TooManyQuestions("rate", retry_after=wait)

    def try_key(self) -> timedelta | None:
        """Spend a try at a credential and return None, or return the time until there is one."""
        return self._failed_keys.spend()

    def key_was_fine(self) -> None:
        """Give back the try: the credential is good, the store was not asked, or it could not say."""
        self._failed_keys.give_back()
