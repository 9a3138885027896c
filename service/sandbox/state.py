"""One sandbox: its world, its faults and what it has seen."""

from datetime import timedelta

from msgspec import Struct

from service.interfaces import Clock
from service.sandbox import jwts, seed
from service.sandbox.faults import Fault, FaultPlan
from service.sandbox.journal import Journal, Seen
from service.sandbox.jwts import MintedJwt
from service.sandbox.mistakes import SandboxError
from service.sandbox.paths import find_place
from service.sandbox.store import Store, StoreRequest
from service.sandbox.wire import Answer
from service.sandbox.world import World


class Delivery(Struct, frozen=True):
    """What to send, and which fault to send it with."""

    answer: Answer
    fault: Fault | None


class Sandbox:
    """What the store's endpoints and the control endpoints share."""

    def __init__(self, *, clock: Clock, world: World | None = None) -> None:
        self.clock = clock
        self.world = World(seed.WORLD, now=clock.now) if world is None else world
        self.faults = FaultPlan()
        self.journal = Journal()
        self._store = Store(world=self.world, now=clock.now)

    def receive(self, request: StoreRequest) -> Delivery:
        """Answer one request to the store, spoilt by the fault that it meets, and note it."""
        place = find_place(request.path)
        fault = self.faults.take(place.endpoint)
        answer = self._store.answer(request)
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
        """Sign a JWT for a user of the world, from now on. Raises `SandboxError` for anybody else."""
        if user_id not in self.world.accounts:
            raise SandboxError("the sandbox has no such user")
        return jwts.mint(user_id=user_id, issued_at=self.clock.now(), lifetime=lifetime)

    def reset(self) -> None:
        """Return to the seeded world, without faults, having seen nothing."""
        self.world.reset()
        self.faults.replace(())
        self.journal.clear()
