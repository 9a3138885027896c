"""The parts that all others are built with."""

from contextlib import AsyncExitStack

from msgspec import Struct

from service.cache.keys import Keys, derive_keys
from service.observability.events import Events
from service.observability.logs import Logging
from service.observability.metrics import Metrics
from service.settings import Settings
from service.verification.interfaces import Clock
from service.wiring.version import VERSION


class Basics(Struct, frozen=True):
    """The settings, the time, the log, the metrics, the derived keys, and the stack that closes what was opened."""

    settings: Settings
    clock: Clock
    log: Logging
    metrics: Metrics
    events: Events
    keys: Keys
    stack: AsyncExitStack


def build_basics(settings: Settings, stack: AsyncExitStack, *, log: Logging, clock: Clock) -> Basics:
    """Return them; nothing is opened yet."""
    metrics = Metrics(games=[game.slug for game in settings.games], version=VERSION, sandbox=settings.sandbox)
    events = Events(metrics=metrics, log=log)
    keys = derive_keys(settings.secret)
    return Basics(settings=settings, clock=clock, log=log, metrics=metrics, events=events, keys=keys, stack=stack)
