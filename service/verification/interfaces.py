"""What verification needs from the world around it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from service.ownership import (
    AppJwt,
    CacheTier,
    Credential,
    Evidence,
    Fingerprint,
    GameId,
    Identity,
    Observation,
    PlayerId,
    ProofKind,
    Refusal,
    Subject,
)


class Priority(Enum):
    """Who waits for a look-up: a caller, or nobody yet."""

    FOREGROUND = "foreground"
    BACKGROUND = "background"


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
        """Do the same once what the body waits for could have come in for so long, by the time of whoever sends it."""


class OwnershipSource(Protocol):
    """Where evidence comes from. What waits asks the store, and raises `NoAnswer` when it said nothing usable."""

    async def look_up(
        self, game_id: GameId, subject: Subject, *, accept: frozenset[ProofKind], priority: Priority
    ) -> Evidence:
        """Return what the store says about the subject and the game; empty evidence means it said no."""

    async def identify(self, jwt: AppJwt, *, priority: Priority) -> Identity | Refusal:
        """Return whose the JWT is, or that the store refused it."""

    async def identify_seller(self) -> Identity:
        """Return whose the gateway's own key is."""

    def known_seller_account(self) -> PlayerId | None:
        """Return the account that the gateway's own key belongs to, without asking: None while it is not known."""


class StoreBudget(Protocol):
    """How much may still be asked of the store."""

    def admit(self, priority: Priority, *, within: timedelta) -> None:
        """Raise `SourceRateLimited` or `Overloaded` if a request asked for now could not be sent within that time."""

    async def acquire(self, priority: Priority) -> None:
        """Return when one request may be sent. Raises `SourceRateLimited` or `Overloaded` when none may be soon."""

    def refused(self, retry_after: timedelta | None) -> None:
        """Take note that the store throttled us, and what it said about when to come back."""

    def answered(self) -> None:
        """Take note that the store answered normally."""


class Imprint(Struct, frozen=True, gc=False):
    """An observation as this process keeps it: what tells it from any other under its name, and how long it is kept."""

    packed: bytes
    observed_at: datetime
    keep_until: datetime


class Remembered(Struct, frozen=True):
    """An observation that a tier still had, with its `imprint` if that tier was this process."""

    observation: Observation
    tier: CacheTier
    imprint: Imprint | None = None


Unread: TypeAlias = Any
"""What was read from where replicas share what they remember; only the store that read it knows how to look at it."""


class ObservationCache(Protocol):
    """Remembers observations. Never fails: what cannot be read is not remembered, what cannot be kept is lost."""

    def peek(self, name: Fingerprint, *, again: bool = False) -> Remembered | None:
        """Return what this process remembers, without waiting; looking `again` for one question counts once."""

    def read_shared(self, name: Fingerprint) -> asyncio.Future[Unread] | None:
        """Begin to read what other replicas remember, where a `peek` has not helped; None if there is nothing to read.

        It is never cancelled but by whoever waits for it.
        """

    def take_over(self, name: Fingerprint, unread: Unread) -> Remembered | None:
        """Return what was read, which this process remembers from now on, or what it knows to be newer."""

    def still_has(self, name: Fingerprint, imprint: Imprint, *, now: datetime) -> bool:
        """Whether a `peek` at this moment would return what left that imprint; only `used_again` counts as a use."""

    def used_again(self) -> None:
        """Take note that what `still_has` found was used."""

    async def get(self, name: Fingerprint) -> Remembered | None:
        """Return what any tier remembers."""

    def put(self, name: Fingerprint, observation: Observation, *, keep_until: datetime) -> Observation:
        """Remember an observation in every tier, and return the newest one known under that name.

        A newer `observed_at` wins over an older one; at the same instant the store's no wins.
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
    """What has been invalidated: nothing observed before a name's floor may be used."""

    def invalidated_before(self, *names: Fingerprint) -> datetime | None:
        """Return the instant before which observations under any of these names are not to be used, if there is one."""

    def invalidate(self, name: Fingerprint, *, before: datetime) -> None:
        """Use nothing any more that was observed under this name before that instant, on any replica."""


class Fingerprints(Protocol):
    """Names for questions and credentials that reveal neither."""

    def of_question(self, game_id: GameId, subject: Subject, accept: Iterable[ProofKind]) -> Fingerprint:
        """Name a question about ownership: every input that can change the answer is in it."""

    def of_game(self, game_id: GameId) -> Fingerprint:
        """Name everything that is known about a game."""

    def of_jwt(self, jwt: AppJwt) -> Fingerprint:
        """Name the question whose a JWT is."""

    def of_credential(self, credential: Credential) -> str:
        """Name a credential for the log, as 16 hexadecimal digits."""
