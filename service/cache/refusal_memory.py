"""Refusals, remembered for a while, so that support finds out why a player was not let in.

Nothing here decides anything, and no question waits for it. Refusals of one caller that are alike, by player, game and
reason, are one refusal with a count as long as they come within a minute of the first.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final, Protocol, TypeAlias

from msgspec import Struct, structs

from service.causes import Cause
from service.ownership import CacheTier, Caveat, Decision, GameId, Method, Outcome, PlayerId, Reason

MOST_REMEMBERED: Final = 10_000
"""The refusals that a process remembers; one caller's are at most half of them."""

ONE_REFUSAL: Final = timedelta(minutes=1)
"""The time for which equal refusals count as one."""

MOST_IDS: Final = 5
"""The ids by which one refusal is found: that of the first question, and those of the latest."""

_LAST: Final = attrgetter("last_at")

Alike: TypeAlias = tuple[str, GameId, str, int]
"""The caller, game, credential and, by its identity, reason of refusals that are alike."""


class RememberedRefusal(Struct, frozen=True, array_like=True, gc=False):
    """A decision that let no player in, as it is kept: instants are in UTC, names are fingerprints as in the log.

    It is stored by the order of its fields: a new one goes to the end, with a default. `cause` is why the store gave no
    answer, where it gave none. By e-mail there is neither `account` nor `player_id`.
    """

    ids: tuple[str, ...]
    at: datetime
    last_at: datetime
    count: int
    caller: str
    game_id: GameId
    method: Method
    reason: Reason
    subject: str
    account: str | None = None
    player_id: PlayerId | None = None
    cache: CacheTier = CacheTier.NONE
    observed_at: datetime | None = None
    fresh_until: datetime | None = None
    usable_until: datetime | None = None
    stale: bool = False
    caveats: tuple[Caveat, ...] = ()
    cause: Cause | None = None


class CountedRefusal(Struct, gc=False, eq=False):
    """A refusal while it is counted: the first one, and what those that were alike have added.

    `listed` says that Redis has it among the last of its player. It is `due` while it waits to be written there, and
    `gone` once it is remembered no more. Thousands are kept, so they are small: each byte of them costs the questions
    that come after.
    """

    first: RememberedRefusal
    last_at: datetime
    count: int = 1
    later_ids: tuple[str, ...] = ()
    listed: bool = False
    due: bool = False
    gone: bool = False

    def add(self, decision_id: str, now: datetime) -> None:
        """Count one more."""
        self.count += 1
        self.last_at = now
        self.later_ids = (*self.later_ids, decision_id)[1 - MOST_IDS :]

    def has(self, decision_id: str) -> bool:
        """Whether it is found by this id."""
        return decision_id in self.first.ids or decision_id in self.later_ids

    def as_it_is(self) -> RememberedRefusal:
        """Return it as it is now."""
        ids = self.first.ids + self.later_ids
        return structs.replace(self.first, ids=ids, last_at=self.last_at, count=self.count)


class RefusalSharing(Protocol):
    """The way to the other replicas."""

    def offer(self, refusal: CountedRefusal) -> None:
        """Let them find the refusal by its first id and its latest one, if there is room; returns at once."""


class RefusalMemory:
    """Remembers the last refusals of this process. `cause` returns why the store gives no answer, if it gives none.

    A refused question may cost a few microseconds more for that: so nothing is looked up here but what is alike, and
    people who search go through all.
    """

    def __init__(
        self,
        *,
        cause: Callable[[], Cause | None],
        sharing: RefusalSharing | None = None,
        most: int = MOST_REMEMBERED,
    ) -> None:
        self._cause = cause
        self._sharing = sharing
        self._most = most
        self._most_of_caller = most // 2
        self._latest: dict[Alike, CountedRefusal] = {}
        self._all: deque[CountedRefusal] = deque()
        """In order, with some that are gone between them."""
        self._of_caller: dict[str, deque[CountedRefusal]] = {}
        self._count = 0

    def note(
        self,
        decision: Decision,
        decision_id: str,
        *,
        caller: str,
        cache: CacheTier,
        subject: str,
        account: str | None,
        now: datetime,
    ) -> None:
        """Remember that a question was refused."""
        reason = decision.reason
        # By identity: hashing a member of an enum takes longer than all the rest of the key.
        alike = (caller, decision.game_id, subject, id(reason))
        refusal = self._latest.get(alike)
        if refusal is None or refusal.gone or now - refusal.first.at >= ONE_REFUSAL:
            first = RememberedRefusal(
                ids=(decision_id,),
                at=now,
                last_at=now,
                count=1,
                caller=caller,
                game_id=decision.game_id,
                method=decision.method,
                reason=reason,
                subject=subject,
                account=account,
                player_id=None if decision.player is None else decision.player.id,
                cache=cache,
                observed_at=decision.observed_at,
                fresh_until=decision.fresh_until,
                usable_until=decision.usable_until,
                stale=decision.stale,
                caveats=decision.caveats,
                cause=self._cause() if reason.outcome is Outcome.UNKNOWN else None,
            )
            refusal = CountedRefusal(first, now)
            if len(self._latest) >= self._most:
                self._latest.clear()
            self._latest[alike] = refusal
            self._add(refusal)
        else:
            refusal.add(decision_id, now)
        if self._sharing is not None:
            self._sharing.offer(refusal)

    def find(self, decision_id: str) -> RememberedRefusal | None:
        """Return the refusal with this id, if it is remembered."""
        for refusal in reversed(self._all):
            if refusal.has(decision_id) and not refusal.gone:
                return refusal.as_it_is()
        return None

    def of(self, game_id: GameId, log_name: str) -> list[CountedRefusal]:
        """Return those of a credential, or of an account, and a game, the latest first."""
        of_player = [one for one in reversed(self._all) if _is_of(one, game_id, log_name)]
        return sorted(of_player, key=_LAST, reverse=True)

    def forget(self, game_id: GameId, log_name: str | None) -> None:
        """Forget those of a credential, or of an account, and a game; without one, all of the game."""
        for refusal in self._all:
            if _is_of(refusal, game_id, log_name):
                refusal.gone = True
        self._tidy()
        for caller, own in self._of_caller.items():
            self._of_caller[caller] = deque(one for one in own if not one.gone)
        self._count = len(self._all)

    def _add(self, refusal: CountedRefusal) -> None:
        own = self._of_caller.get(refusal.first.caller)
        if own is None:
            own = self._of_caller[refusal.first.caller] = deque()
        if len(own) >= self._most_of_caller:
            own.popleft().gone = True
        elif self._count >= self._most:
            oldest = self._all.popleft()
            while oldest.gone:
                oldest = self._all.popleft()
            oldest.gone = True
            self._of_caller[oldest.first.caller].popleft()
        else:
            self._count += 1
        own.append(refusal)
        self._all.append(refusal)
        if len(self._all) >= 2 * self._most:
            self._tidy()

    def _tidy(self) -> None:
        """Keep only those that are not gone."""
        self._all = deque(one for one in self._all if not one.gone)


def _is_of(refusal: CountedRefusal, game_id: GameId, log_name: str | None) -> bool:
    first = refusal.first
    if refusal.gone or first.game_id != game_id:
        return False
    return log_name is None or log_name in (first.subject, first.account)
