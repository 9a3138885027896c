"""What a verdict rests on, so that the next one who asks the same can be given it again without another look."""

from datetime import datetime

from msgspec import Struct

from service.ownership import Fingerprint, PlayerId
from service.verification.interfaces import Imprint


class Ground(Struct, frozen=True, gc=False):
    """One observation as memory had it, and until when it needs no second look; `also` as it may be invalidated."""

    name: Fingerprint
    imprint: Imprint
    also: tuple[Fingerprint, ...]
    until: datetime


class Grounds(Struct, frozen=True, gc=False):
    """All that can change about a verdict from memory: while none of it has, the verdict stands."""

    grounds: tuple[Ground, ...]
    until: datetime
    seller_account: PlayerId
    sandbox: bool
