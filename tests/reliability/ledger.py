"""The answers that a gateway may give, by the store's answers so far and by the gateway's own earlier answers.

This knows nothing of caches, tiers or look-ups: only the promises of the design.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from service.sandbox import seed
from tests.reliability.store import Said, Statement, subject_of

SECOND: Final = timedelta(seconds=1)
"""Answers tell the time in whole seconds."""

OWNED_FRESH: Final = timedelta(hours=1) * 1.1
REVALIDATED: Final = OWNED_FRESH + timedelta(minutes=10)
GRACE: Final = timedelta(hours=24)
NOT_OWNED: Final = timedelta(seconds=45)
LOOK_UP: Final = timedelta(seconds=5)
"""The longest that a look-up takes."""

OVER_IT: Final = timedelta(seconds=70)
"""After so long a store that is well again has been asked again: no pause is longer than a minute."""


class Presented(Struct, frozen=True):
    """A credential, the subject that it comes down to, and the account behind it where that is known."""

    method: str
    field: str
    credential: str | int
    subject: str
    account: int | None = None
    expires_at: datetime | None = None

    @property
    def path(self) -> str:
        """The path to ask about it."""
        return f"/verify/{self.method.replace('_', '-')}"


def by_key(text: str, *, owner: int | None = None) -> Presented:
    """Present a download key."""
    return Presented("download_key", "download_key", text, subject_of("download_key", text), owner)


def by_user(account: int) -> Presented:
    """Present a user that the caller has authenticated."""
    return Presented("user", "user_id", account, subject_of("user_id", account), account)


def by_email(address: str) -> Presented:
    """Present an address that the caller has verified."""
    return Presented("email", "email", address, subject_of("email", address))


def by_jwt(jwt: str, *, account: int, expires_at: datetime) -> Presented:
    """Present a JWT of an account."""
    return Presented("jwt", "jwt", jwt, subject_of("user_id", account), account, expires_at)


class Asked(Struct, frozen=True):
    """A question, and when it was asked."""

    presented: Presented
    at: datetime
    max_age: timedelta | None = None
    only_if_cached: bool = False


class Answered(Struct, frozen=True):
    """An answer, the time of its arrival, and the latest time of its decision.

    The two differ where a test let time leap while the question was under way.
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


class Ledger:
    """Checks the answers of one gateway from its start to its end. Raises `AssertionError` for one that is wrong.

    `forgotten_anywhere` is shared with the ledgers of other gateways: an invalidation at one of them may have reached
    the others, or not.
    """

    def __init__(
        self,
        statements: list[Statement],
        *,
        banned: frozenset[int] = frozenset(),
        forgotten_anywhere: dict[str, datetime] | None = None,
    ) -> None:
        self._statements = statements
        self._banned = banned
        self._oldest: dict[Presented, datetime] = {}
        self._yes_after: dict[str, datetime] = {}
        self._proven: dict[Presented, datetime] = {}
        self._forgotten: dict[str, datetime] = {}
        self._forgotten_anywhere = {} if forgotten_anywhere is None else forgotten_anywhere

    def forget(self, subject: str, at: datetime) -> None:
        """Note that an operator invalidated the subject at this gateway."""
        self._forgotten[subject] = self._forgotten_anywhere[subject] = at

    def bounds(self, asked: Asked) -> Bounds:
        """Return the limits of an answer to this question, by the state of knowledge before it is answered."""
        subject = asked.presented.subject
        forgotten = self._forgotten.get(subject, datetime.min.replace(tzinfo=asked.at.tzinfo))
        return Bounds(
            oldest=self._oldest.get(asked.presented),
            oldest_yes=max(forgotten, self._yes_after.get(subject, forgotten)),
            forgotten=forgotten,
            proven_at=self._proven.get(asked.presented),
        )

    def check(self, asked: Asked, bounds: Bounds, answer: Answered, *, unhindered: bool) -> str:
        """Check an answer; return its outcome. `unhindered`: nothing stood between the gateway and the store."""
        status, body, now = answer.status, answer.body, answer.at
        outcome = body.get("outcome")
        assert status == (503 if outcome == "unknown" else 200), f"status {status}: {body}"
        assert body["allowed"] is (outcome in ("owned", "granted")), "`allowed` and `outcome` do not agree"
        seen = datetime.fromisoformat(body["observed_at"]) if body.get("observed_at") else None
        self._check_age(asked, bounds, seen)
        match outcome:
            case "owned":
                self._check_owned(asked, bounds, answer, _there(seen))
                yes_at = self._latest_yes(asked, _there(seen), now) if asked.presented.method == "jwt" else _there(seen)
                recent = now - yes_at < REVALIDATED + SECOND
                assert recent or not unhindered, "the store could have been asked"
            case "not_owned":
                self._check_not_owned(asked, bounds, answer, _there(seen))
            case "rejected":
                expires_at = asked.presented.expires_at
                assert expires_at is not None, "it is no JWT"
                assert now >= expires_at, "a good credential was rejected"
            case "banned":
                assert asked.presented.account in self._banned, "nobody has banned them"
            case "granted":
                assert asked.presented.account == seed.SELLER_ID, "nobody has granted them anything"
            case "unknown":
                assert asked.only_if_cached or not unhindered, (
                    f"nothing stood between the gateway and the store: {body}"
                )
                self._check_unknown(asked, bounds, now)
            case _:
                raise AssertionError(f"no outcome of ours: {outcome}")
        return str(outcome)

    def _check_age(self, asked: Asked, bounds: Bounds, seen: datetime | None) -> None:
        if seen is None:
            return
        assert bounds.oldest is None or seen >= bounds.oldest, "something newer was told before"
        assert asked.max_age is None or seen + SECOND > asked.at - asked.max_age, "it is older than the caller accepts"
        self._oldest[asked.presented] = max(seen, self._oldest.get(asked.presented, seen))

    def _check_owned(self, asked: Asked, bounds: Bounds, answer: Answered, seen: datetime) -> None:
        presented, body, now = asked.presented, answer.body, answer.at
        age = answer.decided_at - seen
        assert presented.account not in self._banned, "they are banned"
        assert presented.account != seed.SELLER_ID, "sellers do not own their games"
        assert presented.expires_at is None or now < presented.expires_at, "the JWT has run out"
        if presented.method in ("jwt", "user"):
            assert body["player"]["id"] == presented.account, "it is about somebody else"
        since = max(seen, bounds.oldest_yes)
        until = now if presented.method == "jwt" else seen + LOOK_UP + SECOND
        assert self._yes(presented, since, until), "the store has not said yes, or has said no since"
        assert age < GRACE + SECOND, "its grace is over"
        assert body["stale"] or age < OWNED_FRESH + SECOND, "it is not fresh any more"
        self._proven[presented] = seen

    def _check_not_owned(self, asked: Asked, bounds: Bounds, answer: Answered, seen: datetime) -> None:
        presented, decided_at = asked.presented, answer.decided_at
        if presented.method != "jwt":
            assert decided_at - seen < NOT_OWNED + SECOND, "a no is repeated past its time"
        since = max(seen, bounds.forgotten, decided_at - NOT_OWNED - LOOK_UP - SECOND)
        noes = list(self._noes(presented, since, answer.at))
        assert noes, "the store has not said no"
        first = min(noes)
        self._yes_after[presented.subject] = max(first, self._yes_after.get(presented.subject, first))

    def _check_unknown(self, asked: Asked, bounds: Bounds, now: datetime) -> None:
        presented = asked.presented
        proven_at = bounds.proven_at
        if asked.only_if_cached or asked.max_age is not None or proven_at is None:
            return
        if self._forgotten_anywhere.get(presented.subject, proven_at) > proven_at:
            return
        said_no = any(self._noes(presented, proven_at, now))
        over = now >= proven_at + GRACE or (presented.expires_at is not None and now >= presented.expires_at)
        assert said_no or over, "a proven owner was left standing"

    def _latest_yes(self, asked: Asked, since: datetime, until: datetime) -> datetime:
        return max(self._yes(asked.presented, since, until))

    def _yes(self, presented: Presented, since: datetime, until: datetime) -> list[datetime]:
        return [one.at for one in self._about(presented.subject, since, until) if one.said is Said.YES]

    def _about(self, subject: str, since: datetime, until: datetime) -> Iterator[Statement]:
        return (one for one in self._statements if one.subject == subject and since <= one.at <= until)

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
