"""The canary that this replica tries next, and when: no I/O, and no clock."""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from service.canaries.canary import Canary

SPACING: Final = timedelta(seconds=10)
"""The shortest time between two look-ups about canaries, of all games and replicas: a sixtieth of the default rate."""

PERIOD: Final = timedelta(minutes=5)
"""The shortest time between two look-ups about one canary. With more than 30 canaries it is longer."""


class Rota:
    """The instant (monotonic) from which each canary is to be tried; the one that is due for longest comes first.

    One that was never put off is due.
    """

    def __init__(self) -> None:
        self._due_at: dict[Canary, float] = {}

    def first(self, canaries: Iterable[Canary], *, now: float) -> tuple[Canary, timedelta]:
        """Return which of these comes first, and the time until then; of two the one that was configured first."""
        canary = min(canaries, key=self._due)
        return canary, timedelta(seconds=max(0.0, self._due(canary) - now))

    def put_off(self, canary: Canary, *, until: float) -> None:
        """Try it again from that instant on."""
        self._due_at[canary] = until

    def follow(self, canaries: Iterable[Canary]) -> None:
        """Forget all but these; the rules of their games may be others now."""
        due_at = {canary.account: due_at for canary, due_at in self._due_at.items()}
        self._due_at = {canary: due_at[canary.account] for canary in canaries if canary.account in due_at}

    def _due(self, canary: Canary) -> float:
        return self._due_at.get(canary, -math.inf)
