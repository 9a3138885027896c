"""A question about ownership, and the verdict on it."""

from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from service.ownership import CacheTier, Credential, Decision, Malformed
from service.verification.interfaces import Tries
from service.verification.policy import GameRules


class Question(Struct, frozen=True):
    """One question of a caller. `deadline` is how long the caller waits.

    `max_age` bounds how old the evidence may be, counted back from `asked_at`, when the question reached the gateway:
    equal questions that came together share one look-up even with a `max_age` of zero. None means now. `tries` are
    those that the `caller` has left at credentials which the store does not know yet; None is no bound. `player_ref` is
    the caller's own name for the player who shows a download key or a pass.
    """

    rules: GameRules
    credential: Credential | Malformed
    deadline: timedelta
    max_age: timedelta | None = None
    only_if_cached: bool = False
    asked_at: datetime | None = None
    caller: str = ""
    tries: Tries | None = None
    player_ref: str | None = None


class Verdict(Struct, frozen=True):
    """The decision, the tier that its evidence came from, and when to ask again if there was no answer."""

    decision: Decision
    cache: CacheTier
    retry_after: timedelta | None = None


class Verifier(Protocol):
    """Answers questions: by the store, or in a relay by its hub."""

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict. Raises `TooManyQuestions` if it takes a look-up, and the caller has spent its tries.

        The coroutine needs no task until it first waits, and does not wait for what memory holds.
        """
