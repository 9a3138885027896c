"""What is asked, and what is answered."""

from datetime import datetime, timedelta

from msgspec import Struct

from service.ownership import CacheTier, Credential, Decision, Malformed
from service.verification.grounds import Grounds
from service.verification.policy import GameRules


class Question(Struct, frozen=True):
    """What a caller asks. `deadline` is how long the caller waits.

    `max_age` bounds how old the evidence may be, counted back from `asked_at`, when the question reached the gateway:
    equal questions that came together share one look-up even with a `max_age` of zero. None means now.
    """

    rules: GameRules
    credential: Credential | Malformed
    deadline: timedelta
    max_age: timedelta | None = None
    only_if_cached: bool = False
    asked_at: datetime | None = None


class Verdict(Struct, frozen=True):
    """The decision, which tier its evidence came from, and when to ask again if there was no answer.

    With `grounds` it came from memory alone, and the same question may get it again: see `Verification.would_repeat`.
    """

    decision: Decision
    cache: CacheTier
    retry_after: timedelta | None = None
    grounds: Grounds | None = None
