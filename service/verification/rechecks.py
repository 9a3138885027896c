"""The rule for how many noes about proven owners are too many to be believed.

A store that is wrong as a whole says no to all. One owner who is refunded cannot be told from one who is thrown out by
mistake, but many at once can: of the last 80 owners of a game who were asked about again, at most 19 may turn to no.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from msgspec import Struct

from service.ownership import Fingerprint

MOST_OWNERS: Final = 80
"""The owners whose last answers are compared."""

ENOUGH_NOES: Final = 20
"""The noes among them from which on they are held back: a quarter."""

WINDOW: Final = timedelta(minutes=10)
"""The age up to which an answer counts for this, and the time for which a proof is kept beside the no after it."""

CALM: Final = timedelta(minutes=10)
"""The time for which there must be fewer noes before they count again."""


class Recheck(Struct, frozen=True):
    """The store's last answer, given `at` that instant, about an owner who was proven before."""

    owner: Fingerprint
    at: datetime
    owned: bool


def hold_until(rechecks: Iterable[Recheck], now: datetime) -> datetime | None:
    """Return the instant until which these answers, one for each owner, have noes held back; None if they do not."""
    recent = sorted((recheck for recheck in rechecks if now - recheck.at < WINDOW), key=attrgetter("at"))[-MOST_OWNERS:]
    noes = [recheck.at for recheck in recent if not recheck.owned]
    return None if len(noes) < ENOUGH_NOES else noes[-ENOUGH_NOES] + WINDOW + CALM
