"""Stand-ins for the collaborators of verification, each scripted by the test."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final, NamedTuple

from msgspec.structs import replace

from service.errors import NoAnswer, Overloaded
from service.ownership import (
    AccessToken,
    AssertedUser,
    CacheTier,
    Credential,
    Evidence,
    Fingerprint,
    GameId,
    Identity,
    Observation,
    Player,
    PlayerId,
    PlayerToken,
    Proof,
    ProofKind,
    Reason,
    Refusal,
    Subject,
)
from service.verification.interfaces import Clock, Lane, Priority, Remembered
from service.verification.policy import Override

_MIDDLE: Final = b"\x80\0\0\0"
"""Names that start like this are staggered by nothing: an hour is an hour."""


class Call(NamedTuple):
    """One question that the source was asked."""

    about: Credential | None
    priority: Priority | None


SELLER_CALL: Final = Call(None, None)


class ScriptedSource:
    """Gives the answers that the test wrote down, `takes` after it was asked; to everything else the store says no.

    While `failing` is set it raises that instead of every answer, or only for the priority `failing_only`; `crash` is a
    bug of ours.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.calls: list[Call] = []
        self.accepted: list[frozenset[ProofKind]] = []
        self.takes = timedelta()
        self.failing: NoAnswer | None = None
        self.failing_only: Priority | None = None
        self.crash: Exception | None = None
        self.seller: PlayerId | None = PlayerId(1)
        self.seller_when_asked = PlayerId(1)
        self.seller_takes = timedelta()
        self.seller_key_changes = False
        """Whether the seller's key is replaced at the moment at which the store says whose the old one is."""
        self.sandbox = False
        self.turn_takes = timedelta()
        self.no_turn_for: set[str] = set()
        """Callers whose lane has no room once it is their turn."""
        self._owned: dict[tuple[GameId, Subject], tuple[tuple[Proof, ...], Player | None]] = {}
        self._identities: dict[PlayerToken, Identity] = {}
        self._refused: dict[PlayerToken, Reason] = {}

    def owns(self, game_id: GameId, subject: Subject, *proofs: Proof, owner: Player | None = None) -> None:
        """From now on the store shows these proofs."""
        self._owned[game_id, subject] = (proofs, owner)

    def disowns(self, game_id: GameId, subject: Subject) -> None:
        """From now on the store says no, as after a refund."""
        del self._owned[game_id, subject]

    def belongs(
        self,
        token: PlayerToken,
        player: Player,
        *,
        press: bool = False,
        expires_at: datetime | None = None,
        only_game: GameId | None = None,
        owns: bool | None = None,
    ) -> None:
        """From now on the store knows whose the token is."""
        self._identities[token] = Identity(self._clock.now(), player, press, expires_at, only_game, owns=owns)

    def refuses(self, token: PlayerToken, reason: Reason) -> None:
        """From now on the store refuses the token."""
        self._refused[token] = reason

    async def look_up(self, game_id: GameId, subject: Subject, *, accept: frozenset[ProofKind], lane: Lane) -> Evidence:
        """Return what was written down about the subject when the answer is due; it counts from the asking."""
        await self._clock.sleep(self.turn_takes)
        if lane.caller in self.no_turn_for:
            raise Overloaded("no turn for this one", retry_after=timedelta(seconds=7))
        observed_at = await self._asked(Call(subject, lane.priority), self.takes)
        self.accepted.append(accept)
        proofs, owner = self._owned.get((game_id, subject), ((), None))
        return Evidence(observed_at, proofs, owner, self.sandbox)

    async def identify(self, token: PlayerToken, game_id: GameId, *, lane: Lane) -> Identity | Refusal:  # noqa: ARG002 - it is told by the token
        """Return what was written down about the token."""
        observed_at = await self._asked(Call(token, lane.priority), self.takes)
        if token in self._refused:
            return Refusal(observed_at, self._refused[token], self.sandbox)
        return replace(self._identities[token], observed_at=observed_at, sandbox=self.sandbox)

    async def identify_seller(self, *, lane: Lane) -> Identity:  # noqa: ARG002 - the seller is asked for at once
        """Return the seller, who is known from then on."""
        observed_at = await self._asked(SELLER_CALL, self.seller_takes)
        self.seller = None if self.seller_key_changes else self.seller_when_asked
        return Identity(observed_at, Player(self.seller_when_asked))

    def known_seller_account(self) -> PlayerId | None:
        """Return the seller without asking."""
        return self.seller

    async def _asked(self, call: Call, takes: timedelta) -> datetime:
        self.calls.append(call)
        observed_at = self._clock.now()
        await self._clock.sleep(takes)
        if self.crash is not None:
            raise self.crash
        if self.failing is not None and self.failing_only in (None, call.priority):
            raise type(self.failing)(self.failing.detail, retry_after=self.failing.retry_after)
        return observed_at


class _Kept(NamedTuple):
    observation: Observation
    keep_until: datetime


class PlainCache:
    """Two dictionaries: `memory`, which can be peeked at, and `redis`, which can only be waited for.

    `forget` empties the first, as a restart does. There is no eviction and no clock skew.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memory: dict[Fingerprint, _Kept] = {}
        self._redis: dict[Fingerprint, _Kept] = {}

    async def get(self, name: Fingerprint) -> Remembered | None:
        """Return what either has; only Redis takes a turn of the event loop."""
        remembered = self.peek(name)
        if remembered is not None:
            return remembered
        await asyncio.sleep(0)
        return self._usable(self._redis.get(name), CacheTier.REDIS)

    async def get_shared(self, name: Fingerprint) -> Remembered | None:
        """Return what Redis has, or memory if that is newer."""
        await asyncio.sleep(0)
        shared, own = self._redis.get(name), self._memory.get(name)
        if shared is not None and (own is None or own.observation.observed_at < shared.observation.observed_at):
            self._memory[name] = shared
        return self.peek(name)

    def peek(self, name: Fingerprint) -> Remembered | None:
        """Return what memory has."""
        return self._usable(self._memory.get(name), CacheTier.MEMORY)

    def put(
        self,
        name: Fingerprint,
        observation: Observation,
        *,
        game_id: GameId | None,  # noqa: ARG002 - no other replica is told
        keep_until: datetime,
    ) -> Observation:
        """Keep the newer one in both."""
        known = self._memory.get(name)
        if known is not None and known.observation.observed_at > observation.observed_at:
            return known.observation
        self._memory[name] = self._redis[name] = _Kept(observation, keep_until)
        return observation

    def forget(self) -> None:
        """Leave only what Redis has."""
        self._memory.clear()

    def _usable(self, found: _Kept | None, tier: CacheTier) -> Remembered | None:
        if found is None or self._clock.now() >= found.keep_until:
            return None
        return Remembered(found.observation, tier)


class ObedientQueue:
    """Admits everything, or refuses a priority with what the test gives it."""

    def __init__(self) -> None:
        self.refusing: dict[Priority, NoAnswer] = {}
        self.admitted: list[tuple[Priority, timedelta]] = []

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Raise what the test said, for the priority of the lane."""
        if lane.priority in self.refusing:
            raise self.refusing[lane.priority]
        self.admitted.append((lane.priority, within))

    async def take_turn(self, lane: Lane, *, begun: bool = False) -> None:
        """Return at once: the scripted source does not wait for turns."""

    def end_turn(self, lane: Lane) -> None:
        """Ignore the report."""


class PlainFingerprints:
    """Names made of all that was asked, unkeyed, all staggered by nothing."""

    def of_question(self, game_id: GameId, subject: Subject, accept: Iterable[ProofKind]) -> Fingerprint:
        """Name a question about ownership."""
        return _name("ownership", game_id, sorted(accept), _text(subject))

    def of_token(self, token: PlayerToken, game_id: GameId) -> Fingerprint:
        """Name a question about a token."""
        return _name("identity", game_id if isinstance(token, AccessToken) else "", _text(token))

    def of_override(self, game_id: GameId, subject: Subject) -> Fingerprint:
        """Name the operator's word about a subject."""
        return _name("override", game_id, _text(subject))

    def of_credential(self, credential: Credential) -> str:
        """Name a credential for the log."""
        return _name(_text(credential)).hex()[-16:]

    def of_account(self, player_id: PlayerId, /) -> str:
        """Name an account for the log."""
        return self.of_credential(AssertedUser(player_id))


class PlainInvalidations:
    """Invalidations in a dictionary."""

    def __init__(self) -> None:
        self.known: dict[tuple[GameId | None, Fingerprint | None], datetime] = {}

    def invalidated_before(
        self,
        game_id: GameId | None,
        name: Fingerprint,
        *,
        by_operator: bool = False,  # noqa: ARG002 - all are the operator's
    ) -> datetime | None:
        """Return the later one of the name and the game."""
        places = ((game_id, name), (game_id, None))
        return max((self.known[place] for place in places if place in self.known), default=None)

    def invalidate(self, game_id: GameId, name: Fingerprint | None, *, before: datetime) -> None:
        """Remember it."""
        self.known[game_id, name] = before


class ScriptedGuard:
    """Holds back the noes that the store gave from `since` on, as the test says; counts none."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        self.believed: datetime | None = None
        """The end of an operator's word that noes count."""
        self.rechecks: list[tuple[Fingerprint, datetime | None]] = []
        """The owners and since when they are refused."""

    async def rechecked(
        self,
        game_id: GameId,  # noqa: ARG002 - there is one
        owner: Fingerprint,
        at: datetime,  # noqa: ARG002 - the order says enough
        *,
        refused_since: datetime | None,
    ) -> None:
        """Remember it."""
        self.rechecks.append((owner, refused_since))

    def held_since(self, game_id: GameId) -> datetime | None:  # noqa: ARG002 - there is one
        """Return what the test said."""
        return self.since

    def believed_until(self, game_id: GameId) -> datetime | None:  # noqa: ARG002 - there is one
        """Return what the test said."""
        return self.believed


class PlainOverrides:
    """The words that the test says, in a dictionary."""

    def __init__(self) -> None:
        self.known: dict[tuple[GameId, Subject], Override] = {}

    def about(self, game_id: GameId, subject: Subject) -> Override | None:
        """Return what was said, however long ago."""
        return self.known.get((game_id, subject))


def _name(*inputs: object) -> Fingerprint:
    return Fingerprint(_MIDDLE + blake2b(repr(inputs).encode(), digest_size=12).digest())


def _text(credential: Credential) -> tuple[str, str]:
    text = str(credential.player_id) if isinstance(credential, AssertedUser) else credential.reveal()
    return credential.method, text
