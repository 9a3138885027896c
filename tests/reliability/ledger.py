"""The answers that a gateway may give, by the store's answers so far and by the gateway's own earlier answers.

This knows nothing of caches, tiers or look-ups: only the promises of the design. A yes or a no without the store's word
is wrong, and so is no answer for an owner who was proven within the grace.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from service.sandbox import seed
from tests.reliability.cast import Asked, Presented
from tests.reliability.purses import Purses
from tests.reliability.store import Said, Statement, Statements

SECOND: Final = timedelta(seconds=1)
"""Answers tell the time in whole seconds."""

SKEW: Final = timedelta(seconds=0.5)
"""Replicas agree on the time to half of what their exchange with Redis takes, which is a second at the most."""

OWNED_FRESH: Final = timedelta(hours=1) * 1.1
SURELY_FRESH: Final = timedelta(hours=1) * 0.9
REVALIDATED: Final = OWNED_FRESH + timedelta(minutes=10)
GRACE: Final = timedelta(hours=24)
NOT_OWNED: Final = timedelta(seconds=45)
LOOK_UP: Final = timedelta(seconds=5)
"""The longest that a look-up takes."""


class Answered(Struct, frozen=True):
    """An answer, the time of its arrival, and the earliest at which it may have been decided.

    The two differ where a test let time leap while the question was under way, and in a batch, where an answer waits
    for the others.
    """

    status: int
    body: dict[str, Any]
    at: datetime
    decided_at: datetime


class Bounds(Struct, frozen=True):
    """The state of knowledge before a question: no answer may be older than that."""

    oldest: datetime | None
    oldest_yes: datetime
    forgotten: datetime
    proven_at: datetime | None


class Forgotten:
    """When what was known of a subject, or of a whole game, was last invalidated."""

    def __init__(self) -> None:
        self._subjects: dict[str, datetime] = {}
        self._games: dict[int, datetime] = {}

    def note(self, presented: Presented, at: datetime) -> None:
        """Note that an operator invalidated the subject of a credential."""
        self._subjects[presented.subject] = at

    def note_game(self, game: int, at: datetime) -> None:
        """Note that a whole game was invalidated."""
        self._games[game] = at

    def at(self, presented: Presented) -> datetime | None:
        """Return when the subject was last forgotten, by itself or with its game."""
        found = [self._subjects.get(presented.subject), self._games.get(presented.game)]
        return max((at for at in found if at is not None), default=None)

    def add(self, other: "Forgotten") -> None:
        """Note all that another has noted."""
        self._subjects |= other._subjects
        self._games |= other._games


class Ledger:
    """Checks the answers of one gateway from its start to its end. Raises `AssertionError` for one that is wrong.

    Two records are shared with the ledgers of other gateways. What is `forgotten_anywhere` was invalidated at one of
    them, and may have reached the others, or not. What is in `perhaps_forgotten` may count as invalidated, or not: more
    was than is remembered. The clock of the gateway's machine is `ahead` of the true time. In `leaps`, which grows,
    time went from one instant to another at once.
    """

    def __init__(
        self,
        statements: Statements,
        *,
        banned: frozenset[int],
        forgotten_anywhere: Forgotten,
        perhaps_forgotten: Forgotten,
        leaps: Sequence[tuple[datetime, datetime]] = (),
        ahead: timedelta = timedelta(),
    ) -> None:
        self._statements = statements
        self._leaps = leaps
        self._banned = banned
        self._ahead = ahead
        self._oldest: dict[Presented, datetime] = {}
        self._yes_after: dict[str, datetime] = {}
        self._proven: dict[Presented, datetime] = {}
        self._forgotten = Forgotten()
        self._forgotten_anywhere = forgotten_anywhere
        self._perhaps_forgotten = perhaps_forgotten
        self.purses = Purses(statements)

    def forget(self, presented: Presented, at: datetime) -> None:
        """Note that an operator invalidated the subject at this gateway."""
        self._forgotten.note(presented, at)
        self._forgotten_anywhere.note(presented, at)

    def forget_game(self, game: int, at: datetime) -> None:
        """Note that an operator invalidated a whole game at this gateway."""
        self._forgotten.note_game(game, at)
        self._forgotten_anywhere.note_game(game, at)

    def hear(self) -> None:
        """Note that all invalidations have reached this gateway."""
        self._forgotten.add(self._forgotten_anywhere)

    def bounds(self, asked: Asked) -> Bounds:
        """Return the limits of an answer to this question, by the state of knowledge before it is answered."""
        presented = asked.presented
        forgotten = self._forgotten.at(presented) or datetime.min.replace(tzinfo=asked.at.tzinfo)
        return Bounds(
            oldest=self._oldest.get(presented),
            oldest_yes=max(forgotten, self._yes_after.get(presented.subject, forgotten)),
            forgotten=forgotten,
            proven_at=self._proven.get(presented),
        )

    def check(self, asked: Asked, bounds: Bounds, answer: Answered, *, unhindered: bool) -> str:
        """Check an answer; return its outcome. `unhindered`: nothing stood between the gateway and the store."""
        status, body, now = answer.status, answer.body, answer.at
        if status == 429:
            self._check_refused(asked, bounds, answer)
            return "refused"
        outcome = body.get("outcome")
        assert status == (503 if outcome == "unknown" else 200), f"status {status}: {body}"
        assert body["allowed"] is (outcome in ("owned", "granted")), "`allowed` and `outcome` do not agree"
        seen = datetime.fromisoformat(body["observed_at"]) if body.get("observed_at") else None
        self._check_age(asked, bounds, seen)
        match outcome:
            case "owned":
                self._check_owned(asked, bounds, answer, _there(seen))
                yes_at = (
                    self._latest_yes(asked, _there(seen) - SKEW, now)
                    if asked.presented.method == "jwt"
                    else _there(seen)
                )
                recent = now - yes_at < REVALIDATED + SECOND
                assert recent or not unhindered, "the store could have been asked"
            case "not_owned":
                self._check_not_owned(asked, bounds, answer, _there(seen))
            case "rejected":
                assert self._expired(asked.presented, now), "a good credential was rejected"
            case "banned":
                assert self._is_banned(asked.presented), "nobody has banned them"
            case "granted":
                assert asked.presented.account == seed.SELLER_ID, "nobody has granted them anything"
            case "unknown":
                excused = asked.only_if_cached or self._is_disputed(asked.presented, now)
                assert excused or not unhindered, f"nothing stood between the gateway and the store: {body}"
                self._check_unknown(asked, bounds, now, body["reason"])
            case _:
                raise AssertionError(f"no outcome of ours: {outcome}")
        return str(outcome)

    # --- what is said ---

    def _check_age(self, asked: Asked, bounds: Bounds, seen: datetime | None) -> None:
        if seen is None:
            return
        assert bounds.oldest is None or seen + SKEW >= bounds.oldest, "something newer was told before"
        assert asked.max_age is None or seen + SECOND + SKEW > asked.at - asked.max_age, (
            "it is older than the caller accepts"
        )
        self._oldest[asked.presented] = max(seen, self._oldest.get(asked.presented, seen))

    def _check_owned(self, asked: Asked, bounds: Bounds, answer: Answered, seen: datetime) -> None:
        presented, body, now = asked.presented, answer.body, answer.at
        age = answer.decided_at - seen
        assert not self._is_banned(presented), "they are banned"
        assert presented.account != seed.SELLER_ID, "sellers do not own their games"
        local = now + self._ahead
        assert presented.expires_at is None or local < presented.expires_at, "the JWT has run out"
        if presented.method in ("jwt", "user"):
            assert body["player"]["id"] == presented.account, "it is about somebody else"
        since = max(seen - SKEW, bounds.oldest_yes)
        until = now if presented.method == "jwt" else self._end_of_look_up(seen)
        yes = self._yes(presented, since, until)
        assert yes, "the store has not said yes, or has said no since"
        # By JWT an answer is as old as the older of two, and whose the JWT is holds until it expires.
        proven_at = max(yes) if presented.method == "jwt" else seen
        assert answer.decided_at - proven_at < GRACE + SECOND + SKEW, "its grace is over"
        assert body["stale"] or age < OWNED_FRESH + SECOND + SKEW, "it is not fresh any more"
        self._proven[presented] = seen

    def _check_not_owned(self, asked: Asked, bounds: Bounds, answer: Answered, seen: datetime) -> None:
        presented, decided_at = asked.presented, answer.decided_at
        if presented.method != "jwt":
            assert decided_at - seen < NOT_OWNED + SECOND, "a no is repeated past its time"
        since = max(seen - SKEW, bounds.forgotten, decided_at - NOT_OWNED - LOOK_UP - SECOND)
        noes = list(self._noes(presented, since, answer.at))
        assert noes, "the store has not said no"
        first = min(noes)
        self._yes_after[presented.subject] = max(first, self._yes_after.get(presented.subject, first))

    # --- what is not said ---

    def _check_refused(self, asked: Asked, bounds: Bounds, answer: Answered) -> None:
        match answer.body["code"]:
            case "too_many_questions":
                assert asked.over_its_rate, "the caller has not asked too much"
            case "too_many_failed_keys":
                assert asked.presented.proves_itself, "it is nothing that could be tried out"
                assert self.purses.tried_too_much(asked, answer.at), (
                    "the store found no fault in what the caller has presented"
                )
                self._check_unknown(asked, bounds, answer.at, "too_many_failed_keys")
            case code:
                raise AssertionError(f"no refusal of ours: {code}")

    def _check_unknown(self, asked: Asked, bounds: Bounds, now: datetime, reason: str) -> None:
        presented, proven_at = asked.presented, bounds.proven_at
        if proven_at is None:
            return
        if asked.max_age is not None and proven_at < asked.at - asked.max_age + SECOND:
            return
        if asked.only_if_cached and (presented.method == "jwt" or now >= proven_at + SURELY_FRESH):
            return
        for forgotten in (self._forgotten_anywhere, self._perhaps_forgotten):
            if (forgotten.at(presented) or proven_at) > proven_at:
                return
        said_no = any(self._noes(presented, proven_at, now))
        over = now >= proven_at + GRACE or self._expired(presented, now)
        assert said_no or over, f"a proven owner was left standing: {reason}"

    # --- what the world knows ---

    def _end_of_look_up(self, begun_at: datetime) -> datetime:
        """Return when it had ended, at the latest. In a leap it may hear the store, before its own time is up."""
        end = begun_at + LOOK_UP + SECOND
        for before, after in self._leaps:
            if begun_at <= before <= end:
                end += after - before
        return end

    def _is_banned(self, presented: Presented) -> bool:
        return presented.game == seed.GAME_ID and presented.account in self._banned

    def _expired(self, presented: Presented, now: datetime) -> bool:
        return presented.expires_at is not None and max(now, now + self._ahead) >= presented.expires_at

    def _is_disputed(self, presented: Presented, now: datetime) -> bool:
        """Whether a JWT has expired by the store's clock, and not by the one of the gateway's machine."""
        return presented.expires_at is not None and now + self._ahead < presented.expires_at <= now

    def _latest_yes(self, asked: Asked, since: datetime, until: datetime) -> datetime:
        return max(self._yes(asked.presented, since, until))

    def _yes(self, presented: Presented, since: datetime, until: datetime) -> list[datetime]:
        return [one.at for one in self._about(presented.subject, since, until) if one.said is Said.YES]

    def _about(self, subject: str, since: datetime, until: datetime) -> Iterator[Statement]:
        return self._statements.about(subject, since, until)

    def _noes(self, presented: Presented, since: datetime, until: datetime) -> Iterator[datetime]:
        """When the store had said all that makes up a no."""
        no_key_at: datetime | None = None
        for one in self._about(presented.subject, since, until):
            if one.said is Said.NO_KEY:
                no_key_at = one.at
                if presented.method == "download_key":
                    yield one.at
            elif one.said is Said.NO_PURCHASE and no_key_at is not None:
                yield one.at


def _there(seen: datetime | None) -> datetime:
    assert seen is not None, "it does not say when the store was asked"
    return seen
