"""The purses of callers as docs/api.md describes them: questions, and credentials that may turn out no good."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from tests.reliability.cast import Asked, GameServer, Presented
from tests.reliability.store import Said, Statements, jwt_subject

LATE: Final = timedelta(seconds=10)
"""The longest time between a no of the store and its being counted; so much of the purse may be filled less."""


class Bucket:
    """Tokens, refilled steadily up to `most`."""

    def __init__(self, *, most: float, a_second: float) -> None:
        self._most = most
        self._a_second = a_second
        self._tokens = most
        self._counted_at: datetime | None = None

    def tokens(self, at: datetime) -> float:
        """Return the tokens at that time, which never goes back."""
        if self._counted_at is not None:
            gained = (at - self._counted_at).total_seconds() * self._a_second
            self._tokens = min(self._most, self._tokens + gained)
        self._counted_at = at
        return self._tokens

    def spend(self, at: datetime) -> bool:
        """Spend one, and return whether there was one."""
        if self.tokens(at) < 1:
            return False
        self._tokens -= 1
        return True


class Purses:
    """The purses of callers at one gateway, by their questions and by the answers of the store."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._questions: dict[str, Bucket] = {}
        self._tried: dict[str, set[str]] = {}

    def ask(self, caller: GameServer, presented: Presented, at: datetime) -> bool:
        """Note a question, which is answered from now on; return whether the caller's rate allows it."""
        if presented.proves_itself:
            self._tried.setdefault(caller.name, set()).add(_tried_as(presented))
        new = Bucket(most=2 * caller.rate, a_second=caller.rate)
        return self._questions.setdefault(caller.name, new).spend(at)

    def tried_too_much(self, asked: Asked, until: datetime) -> bool:
        """Whether so many of a caller's credentials have been no good, until then, that it may try no more."""
        caller = asked.caller
        a_second = caller.failed_keys / 60
        bucket = Bucket(most=caller.failed_keys, a_second=a_second)
        noes = sorted(self._noes(caller, until))
        for at in noes:
            if at <= asked.at:
                bucket.spend(at)
        fewest = bucket.tokens(asked.at)
        for at in noes:
            if at > asked.at:
                bucket.spend(at)
                fewest = min(fewest, bucket.tokens(at))
        return fewest < 1 + LATE.total_seconds() * a_second

    def _noes(self, caller: GameServer, until: datetime) -> Iterable[datetime]:
        for tried in self._tried.get(caller.name, ()):
            for one in self._statements.about(tried, datetime.min.replace(tzinfo=until.tzinfo), until):
                if one.said in (Said.NO_KEY, Said.REFUSED):
                    yield one.at


def _tried_as(presented: Presented) -> str:
    return presented.subject if presented.method == "download_key" else jwt_subject(str(presented.credential))
