"""The honest load: many players in turn, and an `X-Request-ID` and a `traceparent` of its own for each request.

Game servers ask about a player when the player joins, so that most questions are first questions, and no two heads are
alike. What asks about the same thousand players over and over, with the same bytes of head, measures what a gateway
remembers of its answers instead of what an answer costs.

A *first question from memory* needs the observation in memory and no answer made from it before. So the gateway learns
the players from batches, whose items are answered without keeping anything but the observation, and is then asked about
all of them in turn. A gateway that remembers answers as well, as many as its memory for them holds (some 9 000), has
forgotten each of 20 000 again when its turn comes.
"""

import time
from collections.abc import Callable
from typing import Final

from benchmarks.laboratory import Laboratory, Target
from benchmarks.load import Questions, warm_up
from benchmarks.modes import BATCH, MANY_PLAYERS, PLAYERS, SMALL_TIER, Mode
from benchmarks.processes import BenchmarkError

MANY: Final = 64
FEW: Final = 8
_FIRST: Final = 1_000_000
"""Players whom only these modes ask about."""
_REPEATED_FROM: Final = _FIRST + MANY_PLAYERS
_FILLING_CONNECTIONS: Final = 4
_FILLING_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 60.0


def open_honest_modes(laboratory: Laboratory, *, litestar: Target, peer: Target) -> list[Mode]:
    """Start two gateways; return what is asked of them, and the same questions to the empty handler and the peer.

    Rows that are compared stand beside each other, so that what disturbs the machine disturbs both.
    """
    small = laboratory.gateway(max_entries=SMALL_TIER)
    roomy = laboratory.gateway()
    laboratory.warm_for_peer(_players())
    return [
        _empty(litestar, MANY),
        _first(laboratory, roomy, MANY),
        _redis(laboratory, small, MANY),
        _empty(litestar, FEW),
        _first(laboratory, roomy, FEW),
        _redis(laboratory, small, FEW),
        _repeated(laboratory, roomy),
        _batch(laboratory, roomy),
        Mode("peer-honest", "peer, Redis hit", peer, _cycle),
    ]


def open_guarded_modes(laboratory: Laboratory, *, litestar: Target) -> list[Mode]:
    """Return what the guard compares: a first question from memory, and the empty handler on the same load."""
    return [_empty(litestar, MANY), _first(laboratory, laboratory.gateway(), MANY)]


def _players() -> range:
    return range(_FIRST, _FIRST + MANY_PLAYERS)


def _cycle() -> Questions:
    return Questions("cycle", MANY_PLAYERS, _FIRST, own_heads=True)


def _empty(litestar: Target, connections: int) -> Mode:
    name, title = f"litestar-{connections}", f"empty Litestar handler, {connections}"
    return Mode(name, title, litestar, _cycle, connections=connections)


def _first(laboratory: Laboratory, roomy: Target, connections: int) -> Mode:
    return Mode(
        f"first-{connections}",
        f"first question from memory, {connections}",
        roomy,
        _remembered(laboratory, roomy),
        {("owned", "memory"): 1.0},
        connections=connections,
    )


def _redis(laboratory: Laboratory, small: Target, connections: int) -> Mode:
    def questions() -> Questions:
        laboratory.warm(_players())
        return _cycle()

    return Mode(
        f"redis-{connections}",
        f"Redis hit, {connections}",
        small,
        questions,
        {("owned", "redis"): 1.0},
        connections=connections,
        waits=connections < MANY,
    )


def _repeated(laboratory: Laboratory, roomy: Target) -> Mode:
    def questions() -> Questions:
        laboratory.warm(range(_REPEATED_FROM, _REPEATED_FROM + PLAYERS))
        return Questions("cycle", PLAYERS, _REPEATED_FROM, own_heads=True)

    return Mode("repeated", "repeated question from memory", roomy, questions, {("owned", "memory"): 1.0})


def _batch(laboratory: Laboratory, roomy: Target) -> Mode:
    fill = _remembered(laboratory, roomy)

    def questions() -> Questions:
        fill()
        return Questions("batch", MANY_PLAYERS, _FIRST, own_heads=True)

    title = f"batch of {BATCH} first questions"
    return Mode("batch-first", title, roomy, questions, {("owned", "memory"): 1.0}, answers=BATCH)


def _remembered(laboratory: Laboratory, target: Target) -> Callable[[], Questions]:
    """Return what makes the gateway remember all players, once, and then the questions about them."""
    full = False

    def questions() -> Questions:
        nonlocal full
        if not full:
            laboratory.warm(_players())
            _fill(target)
            full = True
        return _cycle()

    return questions


def _fill(target: Target) -> None:
    """Ask about all players in batches until, for as many as there are, none had to be read from Redis."""
    asked, remembered = 0, 0
    before = 0.0
    give_up_at = time.monotonic() + _MOST_SECONDS
    while remembered < MANY_PLAYERS:
        if time.monotonic() > give_up_at:
            raise BenchmarkError(f"{target.base_url} does not come to remember {MANY_PLAYERS} players")
        questions = Questions("batch", MANY_PLAYERS, _FIRST, start=asked)
        more = warm_up(target.base_url, questions, seconds=_FILLING_SECONDS, connections=_FILLING_CONNECTIONS)
        asked += more
        read = target.decisions().get(("owned", "redis"), 0.0)
        remembered = remembered + more * BATCH if read == before else 0
        before = read
