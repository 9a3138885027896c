"""One sandbox: its world, its faults and a journal of the requests to its store."""

from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from service.sandbox import jwts, seed
from service.sandbox.faults import Fault, FaultPlan
from service.sandbox.jwts import MintedJwt
from service.sandbox.store_answers import SandboxAnswer
from service.sandbox.store_endpoints import StandInStore, StoreEndpoint, StoreRequest, find_place
from service.sandbox.world import SandboxError, World
from service.verification.interfaces import Clock


class Delivery(Struct, frozen=True):
    """An answer and the fault to send it with."""

    answer: SandboxAnswer
    fault: Fault | None


class Sandbox:
    """The state that the store's endpoints and the control endpoints share."""

    def __init__(self, *, clock: Clock, world: World | None = None) -> None:
        self.clock = clock
        self.world = World(seed.WORLD, now=clock.now) if world is None else world
        self.faults = FaultPlan()
        self.journal = Journal()
        self._store = StandInStore(world=self.world, now=clock.now)

    def receive(self, request: StoreRequest) -> Delivery:
        """Answer one request to the store, spoilt by the fault that it meets, and note it."""
        place = find_place(request.path)
        fault = self.faults.spend(place.endpoint)
        answer = self._store.answer(request, deny=fault is not None and fault.deny)
        if fault is not None:
            answer = fault.spoil(answer)
        seen = Seen(
            at=self.clock.now(),
            method=request.method,
            path=place.shown,
            query=request.query,
            authorization=request.authorization is not None,
            status=answer.status,
            fault=fault is not None,
        )
        self.journal.note(place.endpoint, seen)
        return Delivery(answer, fault)

    def mint_jwt(self, user_id: int, *, lifetime: timedelta = jwts.USUAL_LIFETIME) -> MintedJwt:
        """Sign a JWT for a user of the world, from now on. Raises `SandboxError` for an unknown user."""
        if user_id not in self.world.accounts:
            raise SandboxError("the sandbox has no such user")
        return jwts.mint(user_id=user_id, issued_at=self.clock.now(), lifetime=lifetime)

    def reset(self) -> None:
        """Return to the first world, without faults and with an empty journal."""
        self.world.reset()
        self.faults.replace(())
        self.journal.clear()


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
