"""A question about ownership, and the verdict on it."""

from datetime import datetime, timedelta

from msgspec import Struct

from service.ownership import CacheTier, Credential, Decision, Malformed
from service.verification.interfaces import Tries
from service.verification.policy import GameRules


class Question(Struct, frozen=True):
    """One question of a caller. `deadline` is how long the caller waits.

    `max_age` bounds how old the evidence may be, counted back from `asked_at`, when the question reached the gateway:
    equal questions that came together share one look-up even with a `max_age` of zero. None means now. `tries` are
    those that the `caller` has left at credentials which the store does not know yet; None is no bound.
    """

    rules: GameRules
    credential: Credential | Malformed
    deadline: timedelta
    max_age: timedelta | None = None
    only_if_cached: bool = False
    asked_at: datetime | None = None
    caller: str = ""
    tries: Tries | None = None


class Verdict(Struct, frozen=True):
    """The decision, the tier that its evidence came from, and when to ask again if there was no answer."""

    decision: Decision
    cache: CacheTier
    retry_after: timedelta | None = None
