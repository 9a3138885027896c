"""What is measured beside each other, and how each proves that it measured what it says."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.laboratory import Laboratory, Target
from benchmarks.load import CONNECTIONS, ENOUGH_OF_ITS_CORE, Questions, Sample, measure, warm_up
from benchmarks.processes import BenchmarkError

PLAYERS: Final = 1000
"""As many as fit into any first tier."""
MANY_PLAYERS: Final = 20_000
SMALL_TIER: Final = 2_668
"""Entries, of which three quarters may be owners: fewer than `MANY_PLAYERS`, so that asking about each of those in
turn finds none of them in memory; more than the 500 that the mix asks about again and again."""
BATCH: Final = 50
_STRANGERS_FROM: Final = 10_000_000
"""Identities from here on own nothing. Every round gets others: a no is kept for seconds only."""
_STRANGERS: Final = 500
_WARM_UP_SECONDS: Final = 1.0
_TOLERANCE: Final = 0.04
"""Share of the answers that may have come from elsewhere than the mode says: a busy machine makes Redis late."""
_TRIES: Final = 5
VOID_TRIES: Final = 3
"""How often a round is measured whose server shared its core with others, before the best of them is reported."""


class Mode(Struct, frozen=True):
    """One row of the table: a server, what it is asked, and where its answers must come from.

    `questions` is called before each round: it puts into Redis what the round will ask about.
    """

    name: str
    title: str
    target: Target
    questions: Callable[[], Questions]
    shares: dict[tuple[str, str], float] = {}
    """Of a gateway, or the far limit: which share of its decisions has which outcome, from which tier."""
    answers: int = 1
    """In one response."""
    connections: int = CONNECTIONS
    waits: bool = False
    """Whether so few connections ask that all of them may wait for Redis at once: the core then stands still in
    between, and its share says nothing about neighbours."""


class Summary(Struct, frozen=True):
    """The median of all rounds, each figure for itself. Times in microseconds."""

    name: str
    title: str
    requests_per_second: float
    answers_per_second: float
    cpu_us: float
    core: float
    p50_us: float
    p99_us: float
    resident_mebibytes: float
    failed: float
    """Share of the answers that were no 200."""
    discarded: int
    """Tries that did not measure what they should have, in all rounds together."""
    void: int
    """Rounds whose server never had its core to itself, however often they were measured."""
    rounds: tuple[Sample, ...]


class Measured(Struct, frozen=True):
    """What was measured, and in whole lines what could not be."""

    summaries: tuple[Summary, ...]
    failures: tuple[str, ...]


def open_floor(laboratory: Laboratory) -> list[Mode]:
    """Start what does nothing."""
    return [
        _bare("raw", "raw ASGI app", laboratory.contender("raw")),
        _bare("litestar", "empty Litestar handler", laboratory.contender("empty_litestar")),
    ]


def open_peer(laboratory: Laboratory) -> Mode:
    """Start the peer, all its answers in Redis."""
    laboratory.warm_for_peer(range(MANY_PLAYERS))
    return _bare("peer", "afternoon peer, Redis hit", laboratory.peer(), Questions("cycle", MANY_PLAYERS))


def open_memory_hit(laboratory: Laboratory, target: Target | None = None) -> Mode:
    """Start a gateway that remembers everybody it is asked about."""

    def questions() -> Questions:
        laboratory.warm(range(PLAYERS))
        return Questions("cycle", PLAYERS)

    return Mode(
        "memory",
        "gateway, memory hit",
        target or laboratory.gateway(),
        questions,
        {("owned", "memory"): 1.0},
    )


def open_redis_hit(laboratory: Laboratory, target: Target | None = None) -> Mode:
    """Start a gateway that remembers fewer than it is asked about."""

    def questions() -> Questions:
        laboratory.warm(range(MANY_PLAYERS))
        return Questions("cycle", MANY_PLAYERS)

    return Mode(
        "redis",
        "gateway, Redis hit",
        target or laboratory.gateway(max_entries=SMALL_TIER),
        questions,
        {("owned", "redis"): 1.0},
    )


def open_gateway_modes(laboratory: Laboratory) -> list[Mode]:
    """Start two gateways, and return all that is asked of them."""
    roomy, small = laboratory.gateway(), laboratory.gateway(max_entries=SMALL_TIER)
    strangers = _Strangers(laboratory)

    def mix() -> Questions:
        laboratory.warm(range(MANY_PLAYERS))
        return Questions("mix", MANY_PLAYERS)

    return [
        open_memory_hit(laboratory, roomy),
        Mode("not-owned", "gateway, memory hit, not owned", roomy, strangers.next, {("not_owned", "memory"): 1.0}),
        Mode(
            "mix",
            "gateway, 90 % memory, 10 % Redis",
            small,
            mix,
            {("owned", "memory"): 0.9, ("owned", "redis"): 0.1},
        ),
        open_redis_hit(laboratory, small),
        Mode(
            "batch",
            f"gateway, batch of {BATCH}, memory hits",
            roomy,
            lambda: Questions("batch", PLAYERS),
            {("owned", "memory"): 1.0},
            answers=BATCH,
        ),
    ]


def measure_rounds(
    modes: Sequence[Mode],
    *,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None] = lambda _: None,
    void_tries: int = VOID_TRIES,
) -> Measured:
    """Measure each mode once a round, one after the other, so that what disturbs the machine disturbs all of them.

    A mode whose answers, several times in a row, did not come from where it says is left out from then on.
    """
    samples: dict[str, list[Sample]] = {mode.name: [] for mode in modes}
    failures: dict[str, str] = {}
    for number in range(1, rounds + 1):
        tell(f"round {number} of {rounds}")
        for mode in modes:
            if mode.name in failures:
                continue
            try:
                samples[mode.name].append(_measure_undisturbed(mode, seconds=seconds, tell=tell, tries=void_tries))
            except BenchmarkError as error:
                tell(f"given up: {error}")
                failures[mode.name] = str(error)
    done = [mode for mode in modes if mode.name not in failures]
    return Measured(tuple(summarise(mode, samples[mode.name]) for mode in done), tuple(failures.values()))


def _measure_undisturbed(mode: Mode, *, seconds: float, tell: Callable[[str], None], tries: int) -> Sample:
    """Measure until the server had its core to itself; after a few tries return the one that came closest."""
    disturbed: list[Sample] = []
    while True:
        sample = measure_once(mode, seconds=seconds, connections=mode.connections, tell=tell)
        if not is_void(mode, sample):
            return sample
        disturbed.append(sample)
        if len(disturbed) == tries:
            best = max(disturbed, key=lambda one: one.core)
            tell(f"void, and given up: {mode.title}: the server had {best.core:.0%} of its core at best")
            return best
        tell(f"void, once more: {mode.title}: the server had {sample.core:.0%} of its core")


def is_void(mode: Mode, sample: Sample) -> bool:
    """Whether others used the server's core, too: its caches were cold then, and the figures are theirs as well."""
    return sample.core < ENOUGH_OF_ITS_CORE and not mode.waits


def measure_once(
    mode: Mode,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    tell: Callable[[str], None] = lambda _: None,
) -> Sample:
    """Warm up, measure, and check where the answers came from; what went wrong is measured again, a few times."""
    discarded = 0
    while True:
        try:
            return replace(_measure(mode, seconds=seconds, connections=connections), discarded=discarded)
        except BenchmarkError as error:
            discarded += 1
            if discarded == _TRIES:
                raise
            tell(f"once more: {error}")


def _measure(mode: Mode, *, seconds: float, connections: int) -> Sample:
    questions, target = mode.questions(), mode.target
    before: dict[tuple[str, str], float] = {}
    try:
        target.asked += connections + warm_up(
            target.base_url,
            replace(questions, start=target.asked),
            seconds=_WARM_UP_SECONDS,
            connections=connections,
        )
        before = target.decisions() if mode.shares else {}
        sample = measure(
            target.server,
            target.base_url,
            replace(questions, start=target.asked),
            seconds=seconds,
            connections=connections,
        )
    except BenchmarkError as error:
        made = _made(target, before) if mode.shares else {}
        raise BenchmarkError(f"{mode.title}: {error}; {_shown(made)}") from None
    target.asked += connections + sample.requests
    if mode.shares:
        _check_shares(mode, _made(target, before), sample.requests * mode.answers)
    return sample


def summarise(mode: Mode, samples: Sequence[Sample]) -> Summary:
    """Return the medians."""
    per_second = median(sample.requests_per_second for sample in samples)
    return Summary(
        name=mode.name,
        title=mode.title,
        requests_per_second=per_second,
        answers_per_second=per_second * mode.answers,
        cpu_us=median(sample.cpu_us for sample in samples),
        core=median(sample.core for sample in samples),
        p50_us=median(sample.p50_us for sample in samples),
        p99_us=median(sample.p99_us for sample in samples),
        resident_mebibytes=median(sample.resident_mebibytes for sample in samples),
        failed=sum(sample.failed for sample in samples) / sum(sample.requests for sample in samples),
        discarded=sum(sample.discarded for sample in samples),
        void=sum(is_void(mode, sample) for sample in samples),
        rounds=tuple(samples),
    )


class _Strangers:
    """People who own nothing, others each time."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._first = _STRANGERS_FROM

    def next(self) -> Questions:
        self._first += _STRANGERS
        self._laboratory.warm(range(self._first, self._first + _STRANGERS), owned=False)
        return Questions("cycle", _STRANGERS, self._first)


def _bare(name: str, title: str, target: Target, questions: Questions | None = None) -> Mode:
    asked = questions or Questions("cycle", PLAYERS)
    return Mode(name, title, target, lambda: asked)


def _made(target: Target, before: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return {key: count - before.get(key, 0) for key, count in target.decisions().items()}


def _check_shares(mode: Mode, made: dict[tuple[str, str], float], answers: int) -> None:
    total = sum(made.values())
    # Requests that wrk left behind when its time was up were answered, too, but are not in its count.
    if total < answers:
        raise BenchmarkError(f"{mode.title}: {answers} answers came, but only {total:.0f} decisions were counted")
    for key, share in mode.shares.items():
        actual = made.get(key, 0) / total
        if abs(actual - share) > _TOLERANCE:
            raise BenchmarkError(
                f"{mode.title}: {actual:.1%} of the answers were {' from '.join(key)} instead of {share:.0%}; all: "
                f"{_shown(made)}"
            )


def _shown(made: dict[tuple[str, str], float]) -> str:
    return ", ".join(f"{outcome} from {tier}: {count:.0f}" for (outcome, tier), count in made.items() if count)


def speed_ratio(one: Summary, other: Summary) -> float:
    """Return how many times the other's requests a second: the median of the rounds, each compared with its own."""
    pairs = zip(one.rounds, other.rounds, strict=True)
    return median(mine.requests_per_second / theirs.requests_per_second for mine, theirs in pairs)


def cost_ratio(one: Summary, other: Summary) -> float:
    """Return how many times this one's CPU time the other takes for a request.

    Where each has a core of its own that is the same as `speed_ratio`; where others use the machine, too, it still is
    what that would be.
    """
    pairs = zip(one.rounds, other.rounds, strict=True)
    return median(theirs.cpu_us / mine.cpu_us for mine, theirs in pairs)


def by_name(summaries: Iterable[Summary]) -> dict[str, Summary]:
    """Return the summaries by the name of their mode."""
    return {summary.name: summary for summary in summaries}
