"""A relay's words: the question as its hub is asked it, the hub's decision, and for how long that may be passed on.

The table is DESIGN's: a decision is served alone for a while, and longer only while the hub says nothing.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from service.ownership import (
    Caveat,
    Credential,
    Decision,
    DownloadKey,
    Fingerprint,
    GameId,
    Method,
    Outcome,
    Player,
    PlayerToken,
    Proof,
    Reason,
    VerifiedEmail,
)
from service.secret import Secret
from service.verification.policy import HARD_MAXIMUM

UNDATED_KEPT: Final = timedelta(hours=24)
"""The time for which the operator's word that has no instants may be used while the hub says nothing."""

SHORTEST_DEADLINE: Final = timedelta(milliseconds=50)
"""The shortest that a gateway takes."""

_FOR_THE_WAY: Final = timedelta(milliseconds=50)
"""The part of a caller's time that the hub does not get: its answer has to come back yet."""

_REFRESH_FROM: Final = 0.8

_STANDS: Final = frozenset({Outcome.OWNED, Outcome.GRANTED, Outcome.BANNED})
"""The outcomes that outlive the hub's silence: a proof, and the operator's word."""

_OF_GOOD_KEYS: Final = frozenset({Reason.SHARED_DOWNLOAD_KEY})


def deadline_of_hub(left: timedelta) -> timedelta:
    """Return the time that the hub gets of what a caller still waits."""
    return max(SHORTEST_DEADLINE, left - _FOR_THE_WAY)


class UnreadPass(Secret):
    """A pass of the right shape, which the hub alone can read."""

    __slots__ = ()
    method = Method.PASS


class UnreadProof(Struct, frozen=True):
    """A proof of an address, which the hub alone can read; `address` is the one that it has to prove."""

    text: Secret
    nonce: Secret | None = None
    address: VerifiedEmail | None = None

    @property
    def method(self) -> Method:
        """The method that it is shown by."""
        return Method.EMAIL


Unread: TypeAlias = UnreadPass | UnreadProof
"""The credentials that only the hub can judge: decisions about them are not remembered."""


class Inquiry(Struct, frozen=True):
    """A question as the hub is asked it; `name` names every field that can change the answer."""

    name: Fingerprint
    game_id: GameId
    credential: Credential | Unread
    player_ref: str | None = None

    @property
    def method(self) -> Method:
        """The method that it asks by."""
        return self.credential.method


class ToldDecision(Struct, frozen=True, array_like=True):
    """The hub's decision, asked for at `asked_at` and heard at `heard_at`. All instants are by the relay's clock.

    It is stored by the order of its fields, in this process alone.
    """

    reason: Reason
    asked_at: datetime
    heard_at: datetime
    player: Player | None = None
    proof: Proof | None = None
    observed_at: datetime | None = None
    fresh_until: datetime | None = None
    usable_until: datetime | None = None
    stale: bool = False
    caveats: tuple[Caveat, ...] = ()

    def decision(self, inquiry: Inquiry, *, stale: bool) -> Decision:
        """Return it as the answer to an inquiry."""
        return Decision(
            reason=self.reason,
            game_id=inquiry.game_id,
            method=inquiry.method,
            player=self.player,
            proof=self.proof,
            observed_at=self.observed_at,
            fresh_until=self.fresh_until,
            usable_until=self.usable_until,
            stale=stale or self.stale,
            caveats=self.caveats,
        )

    @property
    def seen_at(self) -> datetime:
        """The instant that a `max_age` counts from: of the evidence, and of a word without any, when it was heard."""
        return self.observed_at or self.heard_at

    @property
    def lets_in(self) -> bool:
        """Whether it lets the player in."""
        return self.reason.outcome.allowed

    @property
    def stands(self) -> bool:
        """Whether it may be used at all while the hub says nothing."""
        return self.reason.outcome in _STANDS

    def is_no_good(self, inquiry: Inquiry) -> bool:
        """Whether the key or token itself is no good, and costs its caller a try."""
        if not isinstance(inquiry.credential, DownloadKey | PlayerToken):
            return False
        refused = self.reason.outcome is Outcome.REJECTED and self.reason not in _OF_GOOD_KEYS
        return refused or self.reason is Reason.INVALID_DOWNLOAD_KEY

    def served_until(self, fresh_for: timedelta) -> datetime:
        """Return the instant until which the relay serves it alone: `fresh_for` after it was heard, at most."""
        if self.stale:
            return self.heard_at
        until = self.fresh_until
        if until is None:
            # A refusal without instants rests on nothing that lasts; the operator's word may have an end.
            until = (self.usable_until or self.heard_at + fresh_for) if self._is_word else self.heard_at
        return min(until, self.heard_at + fresh_for)

    def refresh_from(self, fresh_for: timedelta) -> datetime | None:
        """Return the instant from which it is asked for anew meanwhile, None if it is not."""
        return self.heard_at + (self.served_until(fresh_for) - self.heard_at) * _REFRESH_FROM if self.stands else None

    def usable_while_silent(self) -> datetime:
        """Return the instant until which it may be used while the hub says nothing."""
        if not self.stands:
            return self.heard_at
        if self.observed_at is None:
            end = self.heard_at + UNDATED_KEPT if self._is_word else self.heard_at
            return end if self.usable_until is None else min(end, self.usable_until)
        end = self.observed_at + HARD_MAXIMUM
        return min(end, self.usable_until) if self.usable_until is not None else self.heard_at

    def keep_until(self, fresh_for: timedelta) -> datetime:
        """Return the instant from which it is of no use any more."""
        return max(self.served_until(fresh_for), self.usable_while_silent())

    @property
    def _is_word(self) -> bool:
        return self.reason.outcome in (Outcome.GRANTED, Outcome.BANNED)


class Hub(Protocol):
    """The gateway that a relay asks."""

    async def ask(
        self, inquiry: Inquiry, *, max_age: timedelta | None, only_if_cached: bool, deadline: timedelta
    ) -> ToldDecision:
        """Return its decision; `deadline` is how long it may take, at least 50 ms.

        Raises `NoAnswer` if it has none, `HubSilent` if it says nothing, also not a second after the deadline;
        `NotEnabled` if the method is off there.
        """


class ToldMemory(Protocol):
    """Remembers decisions of the hub in this process."""

    def get(self, name: Fingerprint) -> ToldDecision | None:
        """Return the last one under that name, counted as a look into the memory."""

    def peek(self, name: Fingerprint) -> ToldDecision | None:
        """Return it for a second look at the same question: it is not counted."""

    def put(self, name: Fingerprint, told: ToldDecision) -> ToldDecision:
        """Remember a decision, unless one that was asked for later is known; return the one that counts."""


class InquiryNames(Protocol):
    """Names for inquiries that do not reveal them."""

    def of_inquiry(self, game_id: GameId, credential: Credential, others: Collection[str]) -> Fingerprint:
        """Name an inquiry by all that can change its answer: `others` are its further fields, always all of them."""
