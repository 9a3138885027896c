"""What a verdict rests on, so that the next one who asks the same can be given it again without another look."""

from datetime import datetime

from msgspec import Struct

from service.interfaces import EvidenceStore, Floors
from service.ownership import Fingerprint, Observation, PlayerId


class Ground(Struct, frozen=True):
    """One observation as memory had it, and until when it needs no second look; `also` as it may be invalidated."""

    name: Fingerprint
    observation: Observation
    also: tuple[Fingerprint, ...]
    until: datetime


class Grounds(Struct, frozen=True):
    """All that can change about a verdict from memory: while none of it has, the verdict stands."""

    grounds: tuple[Ground, ...]
    seller_account: PlayerId
    sandbox: bool

    def hold(self, now: datetime, *, oldest: datetime | None) -> bool:
        """Whether none is due to be looked up again, and none was observed before `oldest`."""
        for ground in self.grounds:
            if now >= ground.until or (oldest is not None and ground.observation.observed_at < oldest):
                return False
        return True

    def above(self, floors: Floors) -> bool:
        """Whether none was invalidated."""
        for ground in self.grounds:
            floor = floors.floor(ground.name, *ground.also)
            if floor is not None and ground.observation.observed_at < floor:
                return False
        return True

    def are_in(self, store: EvidenceStore) -> bool:
        """Whether this process still remembers exactly these, and not something newer."""
        return all(store.still_has(ground.name, ground.observation) for ground in self.grounds)
