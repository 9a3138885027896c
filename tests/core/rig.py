"""Verification with everything around it faked, and the people and games that its tests speak of."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from service.ownership import (
    AppJwt,
    AssertedUser,
    Credential,
    DownloadKey,
    GameId,
    Malformed,
    Observation,
    Player,
    PlayerId,
    Proof,
    ProofKind,
    Subject,
    VerifiedEmail,
)
from service.verification.interfaces import Invalidations, LookUpLease, NoLease, Priority, RevocationGuard, Tries
from service.verification.lookup import LookUps
from service.verification.policy import GameRules
from service.verification.question import Question, Verdict
from service.verification.singleflight import SingleFlight
from service.verification.verify import Verification
from tests.clock import FakeClock
from tests.core.fakes import (
    Call,
    ObedientQueue,
    PlainCache,
    PlainFingerprints,
    PlainInvalidations,
    PlainOverrides,
    ScriptedSource,
)

INSTANT: Final = timedelta(microseconds=1)
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
NO_TIME: Final = timedelta()

GAME: Final = GameId(3)
RULES: Final = GameRules(GAME, "x-moon")
SELLER: Final = PlayerId(1)
AMOS: Final = Player(PlayerId(1994), "amos", "Amos")

KEY: Final = DownloadKey("dBDGsR2tPqvKbUvFFZ3n")
JWT: Final = AppJwt("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxOTk0In0.c2lnbmF0dXJl")
EMAIL: Final = VerifiedEmail("amos@example.com")
USER: Final = AssertedUser(AMOS.id)

KEY_PROOF: Final = Proof(ProofKind.DOWNLOAD_KEY, 124)
PURCHASE_PROOF: Final = Proof(ProofKind.PURCHASE, 7)
WEB_PROOF: Final = Proof(ProofKind.WEB_PURCHASE, 8)


class Rig:
    """A verification, its surroundings, and short ways to ask it something."""

    def __init__(
        self,
        *,
        sandbox: bool = False,
        invalidations: Invalidations | None = None,
        lease: LookUpLease | None = None,
        guard: RevocationGuard | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.source = ScriptedSource(self.clock)
        self.source.sandbox = sandbox
        self.observations = PlainCache(self.clock)
        self.queue = ObedientQueue()
        self.joined = 0
        self.crashes: list[BaseException] = []
        flights: SingleFlight[Observation] = SingleFlight(joined=self._count_joined, crashed=self.crashes.append)
        self.invalidations = invalidations or PlainInvalidations()
        self.overrides = PlainOverrides()
        look_ups = LookUps(
            source=self.source,
            observations=self.observations,
            queue=self.queue,
            fingerprints=PlainFingerprints(),
            flights=flights,
            clock=self.clock,
            lease=lease or NoLease(),
            invalidations=self.invalidations,
            guard=guard,
        )
        self.verification = Verification(
            look_ups=look_ups,
            source=self.source,
            overrides=self.overrides,
            clock=self.clock,
            local_clock=self.clock,
            sandbox=lambda: sandbox,
        )

    @property
    def calls(self) -> list[Call]:
        """The requests to the source, in order."""
        return self.source.calls

    async def ask(
        self,
        credential: Credential | Malformed,
        rules: GameRules = RULES,
        *,
        max_age: timedelta | None = None,
        only_if_cached: bool = False,
        deadline: timedelta = 3 * SECOND,
        asked_at: datetime | None = None,
        caller: str = "",
        tries: Tries | None = None,
    ) -> Verdict:
        """Ask and wait for the verdict."""
        question = Question(rules, credential, deadline, max_age, only_if_cached, asked_at, caller, tries)
        return await self.verification.verify(question)

    def asking(
        self,
        credential: Credential | Malformed,
        rules: GameRules = RULES,
        *,
        max_age: timedelta | None = None,
        deadline: timedelta = 3 * SECOND,
        caller: str = "",
        tries: Tries | None = None,
    ) -> asyncio.Task[Verdict]:
        """Begin to ask; the verdict is there when the clock has been advanced far enough."""
        return asyncio.ensure_future(
            self.ask(credential, rules, max_age=max_age, deadline=deadline, caller=caller, tries=tries)
        )

    def invalidate(self, subject: Subject | None, rules: GameRules = RULES) -> datetime:
        """Forget the subject, or the whole game."""
        return self.verification.invalidate(rules, subject)

    async def ask_through(self, duration: timedelta, credential: Credential, rules: GameRules = RULES) -> Verdict:
        """Ask, let so much time pass meanwhile, and return the verdict."""
        task = self.asking(credential, rules, deadline=10 * SECOND)
        await self.clock.advance(duration)
        return task.result()

    async def settle(self) -> None:
        """Let what runs in the background finish, as far as it can without time passing."""
        await self.clock.advance(NO_TIME)

    def _count_joined(self) -> None:
        self.joined += 1


def rules(base: GameRules = RULES, **changes: object) -> GameRules:
    """Return the usual rules with some changed."""
    return replace(base, **changes)


BANNED: Final = rules(ban_user_ids=frozenset({AMOS.id}))
GRANTED: Final = rules(grant_user_ids=frozenset({AMOS.id}))
BOTH: Final = rules(ban_user_ids=frozenset({AMOS.id}), grant_user_ids=frozenset({AMOS.id}))


def foreground(credential: Credential) -> Call:
    """Return the call for a caller who waits."""
    return Call(credential, Priority.FOREGROUND)


def background(credential: Credential) -> Call:
    """Return the call of a refresh in the background."""
    return Call(credential, Priority.BACKGROUND)
