"""The world around verification, as far as it needs it: store, budget, caches, clock, names."""

from collections.abc import Awaitable, Callable, Iterable, Sized
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from msgspec import Struct

from service.ownership import (
    CacheTier,
    Credential,
    Evidence,
    Fingerprint,
    GameId,
    Identity,
    Observation,
    PlayerId,
    PlayerToken,
    ProofKind,
    Refusal,
    Subject,
)
from service.verification.policy import Override


class Priority(Enum):
    """Whether a caller waits for a look-up, or none does yet."""

    FOREGROUND = "foreground"
    BACKGROUND = "background"


class Lane(Struct, frozen=True):
    """The queue for the store that a request waits in: one for each caller and game.

    The gateway's own requests have no caller, and may have no game.
    """

    caller: str = ""
    game_id: GameId | None = None
    priority: Priority = Priority.FOREGROUND


class Clock(Protocol):
    """The only thing that knows the time."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""

    async def sleep(self, duration: timedelta) -> None:
        """Return once `duration` has passed."""

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Cancel the body and raise `TimeoutError` once `duration` has passed."""

    def io_timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:
        """Do the same, but count only time in which replies could be read, so that a busy event loop costs none."""


class OwnershipSource(Protocol):
    """The store that evidence comes from. Coroutines ask it, and raise `NoAnswer` if it gives no usable answer."""

    async def look_up(self, game_id: GameId, subject: Subject, *, accept: frozenset[ProofKind], lane: Lane) -> Evidence:
        """Return the evidence that the store has of the subject and the game; empty evidence means that it said no."""

    async def identify(self, token: PlayerToken, game_id: GameId, *, lane: Lane) -> Identity | Refusal:
        """Return whose the token is, or that the store refused it; it is shown for that game."""

    async def identify_seller(self, *, lane: Lane) -> Identity:
        """Return whose the gateway's own key is."""

    def known_seller_account(self) -> PlayerId | None:
        """Return the account that the gateway's own key belongs to, without asking: None while it is not known."""


class StoreQueue(Protocol):
    """The queue of the requests to the store, within what may still be sent."""

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Raise `SourceRateLimited` or `Overloaded` if a request asked for now could not be sent within that time."""

    async def take_turn(self, lane: Lane, *, begun: bool = False) -> None:
        """Return when a request may be sent. Raises `SourceRateLimited` or `Overloaded` when none may be soon.

        `begun` is for the further requests of one look-up, which are the next in their lane. Once it has returned,
        `end_turn` must be called.
        """

    def end_turn(self, lane: Lane) -> None:
        """Take note that the request which had the turn has ended."""


class StoreBudget(Protocol):
    """The number of requests that may be sent to the store, which follows what the store says."""

    def refused(self, retry_after: timedelta | None) -> None:
        """Take note that the store throttled us, and what it said about when to come back."""

    def answered(self) -> None:
        """Take note that the store answered normally."""


class CredentialPauses(Protocol):
    """The players' credentials that are left alone for a while, each under a name that does not reveal it."""

    def left(self, name: bytes) -> timedelta:
        """Return the time for which nothing is asked with the credential of that name."""

    def refused(self, name: bytes, retry_after: timedelta | None) -> bool:
        """Pause a credential that was refused for asking too much; return whether that is about all of them."""

    def answered(self, name: bytes | None) -> None:
        """Take note of a good answer, to a request with that credential, or with none of a player."""


class Try(Protocol):
    """A try at a new credential that is held until the store has answered."""

    def spend(self) -> None:
        """Take note that the credential is no good: this try is gone."""

    def let_go(self) -> None:
        """Give the try back, unless it was spent."""


class Tries(Protocol):
    """The tries at new credentials that a caller has left."""

    def check(self) -> None:
        """Raise `TooManyQuestions` if all are spent."""

    async def hold(self) -> Try:
        """Return a try once there is one that is not held. Raises `TooManyQuestions` if all are spent."""


class Remembered(Struct, frozen=True):
    """An observation that a tier still had."""

    observation: Observation
    tier: CacheTier


class ObservationCache(Protocol):
    """Remembers observations. Never fails: an unreadable one is not remembered, one that cannot be stored is lost."""

    async def get(self, name: Fingerprint) -> Remembered | None:
        """Return what any tier remembers; does not wait if this process remembers it."""

    async def get_shared(self, name: Fingerprint) -> Remembered | None:
        """Return what all replicas remember, or what this process knows to be newer."""

    def peek(self, name: Fingerprint) -> Remembered | None:
        """Return what this process remembers, for a second look at the same question: it is not counted."""

    def put(
        self, name: Fingerprint, observation: Observation, *, game_id: GameId | None, keep_until: datetime
    ) -> Observation:
        """Remember an observation in every tier, and return the newest one known under that name.

        A newer `observed_at` wins over an older one; at the same instant the store's no wins. `game_id` is the game
        that it is about, None for an identity.
        """


class LookUpLease(Protocol):
    """Keeps the replicas of a cluster from looking up the same thing at the same time."""

    async def look_up_once(
        self,
        name: Fingerprint,
        look_up: Callable[[], Awaitable[Observation]],
        *,
        good_enough: Callable[[Observation], bool],
    ) -> Observation:
        """Return what `look_up` returns, or what another replica has found meanwhile, if it is `good_enough`."""


class NoLease:
    """The lease of a gateway that shares its look-ups with no other replica: always granted."""

    async def look_up_once(
        self,
        name: Fingerprint,  # noqa: ARG002 - no other replica asks
        look_up: Callable[[], Awaitable[Observation]],
        *,
        good_enough: Callable[[Observation], bool],  # noqa: ARG002 - no other replica has found anything
    ) -> Observation:
        """Return what `look_up` returns."""
        return await look_up()


class Invalidations(Protocol):
    """Names of a game, and instants: no observation under such a name from before its instant may be used.

    The game of what belongs to none, as an identity does, is None.
    """

    def invalidated_before(
        self, game_id: GameId | None, name: Fingerprint, *, by_operator: bool = False
    ) -> datetime | None:
        """Return the instant before which observations under that name are not to be used, if there is one.

        Noes that are held back overrule nothing; `by_operator` leaves out what any of the store's noes have overruled.
        """

    def invalidate(self, game_id: GameId, name: Fingerprint | None, *, before: datetime) -> None:
        """Use nothing any more that was observed under this name before that instant, on any replica.

        Without a name it is for the whole game.
        """


class Overrides(Protocol):
    """The operators' words about single players of a game, each for a while."""

    @property
    def known(self) -> Sized:
        """Empty while it is certain that there are none, so that most questions need not ask.

        Not empty says nothing: other things that replicas tell each other may be known, or words that have ended.
        """

    def about(self, game_id: GameId, subject: Subject) -> Override | None:
        """Return the word about a subject, if there is one that holds."""


class RevocationGuard(Protocol):
    """The judge of noes about proven owners: a store that takes many games away at once may be wrong as a whole."""

    async def rechecked(
        self, game_id: GameId, owner: Fingerprint, at: datetime, *, refused_since: datetime | None
    ) -> None:
        """Take note of the answer of the store `at` that instant about an owner proven before; return once it counts.

        `refused_since` is the instant of the first no of an owner whom the store does not know any more, else None.
        """

    def held_since(self, game_id: GameId) -> datetime | None:
        """Return the instant from which on noes about proven owners of a game do not count; None if all count."""

    def believed_until(self, game_id: GameId) -> datetime | None:
        """Return the instant until which an operator believes noes about a game, or did; None if none has said so."""


class Fingerprints(Protocol):
    """Names for questions and credentials that reveal neither."""

    def of_question(self, game_id: GameId, subject: Subject, accept: Iterable[ProofKind]) -> Fingerprint:
        """Name a question about ownership: every input that can change the answer is in it."""

    def of_token(self, token: PlayerToken, game_id: GameId) -> Fingerprint:
        """Name the question whose a token is: a JWT for all games, an access token for this one."""

    def of_override(self, game_id: GameId, subject: Subject) -> Fingerprint:
        """Name the operator's word about a subject, the same whichever proofs count."""

    def of_credential(self, credential: Credential) -> str:
        """Name a credential for the log, as 16 hexadecimal digits."""

    def of_account(self, player_id: PlayerId, /) -> str:
        """Name an account for the log, as the credential that is its id."""
