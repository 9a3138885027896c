"""One sandbox: its world, its faults and a journal of the requests to its store."""

import asyncio
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from service.sandbox import jwts, seed
from service.sandbox.faults import Fault, FaultName, FaultPlan
from service.sandbox.id_token_issuer import IdTokenIssuer
from service.sandbox.jwts import MintedJwt
from service.sandbox.mail_outbox import MailOutbox
from service.sandbox.sandbox_clock import SandboxClock, first_of
from service.sandbox.store_answers import SandboxAnswer
from service.sandbox.store_endpoints import StandInStore, StoreEndpoint, StoreRequest, find_place
from service.sandbox.world import World
from service.sandbox.world_content import WorldContent
from service.verification.interfaces import Clock


class Delivery(Struct, frozen=True):
    """An answer and the fault to send it with."""

    answer: SandboxAnswer
    fault: Fault | None


class GatewayInFront(Protocol):
    """The gateway whose sandbox this is: it has the sandbox's time, and no other store."""

    def forget_failures(self) -> None:
        """Have the store asked at once about what it gave no usable answer to."""

    async def reset(self) -> None:
        """Forget everything, and begin again in front of a sandbox that has begun again."""


class Sandbox:
    """The state that the store's endpoints and the control endpoints share.

    `clock` is the machine's; that of the sandbox can be moved forward. `gateway` is None for a sandbox that stands
    alone. `world_number` counts the resets.
    """

    def __init__(self, *, clock: Clock, content: WorldContent = seed.WORLD) -> None:
        self._machine = clock
        self.clock = SandboxClock(clock)
        self.world = World(content, now=self.now)
        self.world_number = 0
        self.faults = FaultPlan()
        self.journal = Journal()
        self.outbox = MailOutbox(self.now)
        self.issuer = IdTokenIssuer()
        self.gateway: GatewayInFront | None = None
        self._mended = asyncio.Event()
        self._store = StandInStore(world=self.world, now=self.now)

    def now(self) -> datetime:
        """Return the time of the sandbox."""
        return self.clock.now()

    def receive(self, request: StoreRequest) -> Delivery:
        """Answer one request to the store, spoilt by the fault that it meets, and note it."""
        if request.path.startswith(_MODIO_BELOW):
            return self._receive_as_modio(request)
        place = find_place(request.path)
        fault = self.faults.spend(place.endpoint)
        answer = self._store.answer(
            request,
            deny=fault is not None and fault.deny,
            key_revoked=fault is not None and fault.name is FaultName.KEY_REVOKED,
        )
        return self._note(place.endpoint, place.shown, request, answer, fault)

    def _receive_as_modio(self, request: StoreRequest) -> Delivery:
        from service.sandbox.modio_store import answer_as_modio  # noqa: PLC0415 - for those alone who ask it

        fault = self.faults.spend(None)
        answer = answer_as_modio(request, deny=fault is not None and fault.deny)
        return self._note(None, request.path, request, answer, fault)

    def _note(
        self,
        endpoint: StoreEndpoint | None,
        shown: str,
        request: StoreRequest,
        answer: SandboxAnswer,
        fault: Fault | None,
    ) -> Delivery:
        if fault is not None:
            answer = fault.spoil(answer)
        seen = Seen(
            at=self.now(),
            method=request.method,
            path=shown,
            query=request.query,
            authorization=request.authorization is not None,
            status=answer.status,
            fault=fault is not None,
        )
        self.journal.note(endpoint, seen)
        return Delivery(answer, fault)

    def mint_jwt(self, user_id: int, *, lifetime: timedelta = jwts.USUAL_LIFETIME) -> MintedJwt:
        """Sign a JWT for a user of the world, from now on."""
        self.world.account(user_id)
        return jwts.mint(user_id=user_id, issued_at=self.now(), lifetime=lifetime)

    def mend(self) -> None:
        """End what faults have caused: the gateway asks again at once. What it remembers of players stays."""
        self._end_waits()
        if self.gateway is not None:
            self.gateway.forget_failures()

    async def wait(self, duration: timedelta) -> None:
        """Return once so much time has passed, or the sandbox is well again."""
        await first_of(self.clock.sleep(duration), self._mended.wait())

    async def lapse(self, duration: timedelta) -> None:
        """Do the same, in a hundredth of the time where the gateway has the sandbox's time."""
        if self.gateway is None:
            await self.wait(duration)
        else:
            await self.clock.lapse(duration, unless=self._mended)

    def _end_waits(self) -> None:
        self._mended.set()
        self._mended = asyncio.Event()

    async def reset(self) -> None:
        """Begin again, and the gateway too."""
        if self.gateway is None:
            self.begin_again()
        else:
            await self.gateway.reset()

    def begin_again(self) -> None:
        """Return to the first world and the machine's time, without faults and with an empty journal."""
        self._end_waits()
        self.clock = SandboxClock(self._machine)
        self.world.reset()
        self.world_number += 1
        self.faults.replace(())
        self.journal.clear()
        self.outbox.clear()


_MODIO_BELOW: Final = "/modio/v1/"

LONGEST: Final = 200
_OTHER: Final = "other"


class Seen(Struct, frozen=True):
    """A request and the status of its answer. `path` does not hold a key that was part of it."""

    at: datetime
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    authorization: bool
    """Whether there was such a header."""
    status: int
    fault: bool
    """Whether it met a fault."""


class JournalReport(Struct, frozen=True):
    """The requests since the last reset: counts by endpoint, and the last ones, oldest first."""

    total: int
    counts: dict[str, int]
    last: list[Seen]


class Journal:
    """A list of the last requests, and counts of all, so that tests can look. It never holds a credential."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._counts: Counter[str] = Counter()
        self._last: deque[Seen] = deque(maxlen=LONGEST)

    def note(self, endpoint: StoreEndpoint | None, seen: Seen) -> None:
        """Remember a request; without an endpoint it went nowhere that the store knows."""
        self._counts[endpoint or _OTHER] += 1
        self._last.append(seen)

    def report(self) -> JournalReport:
        """Return the journal so far; every endpoint has a count, if only zero."""
        counts = {name: self._counts[name] for name in (*StoreEndpoint, _OTHER)}
        return JournalReport(self._counts.total(), counts, list(self._last))
