"""Prepared answers stay within their bound, and it means something."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from service.api.answers import AnswerWriter
from service.api.prepared import Prepared, PreparedAnswers
from service.observability.metrics import Metrics
from service.observability.verified_lines import line_form
from service.ownership import (
    CacheTier,
    Decision,
    Fingerprint,
    GameId,
    Method,
    Player,
    PlayerId,
    Proof,
    ProofKind,
    Reason,
)
from service.verification.grounds import Ground, Grounds
from service.verification.interfaces import Imprint
from service.verification.question import Verdict
from tests.clock import START

GAME = GameId(3)
GAME_NAME = Fingerprint(bytes(16))
HOUR = timedelta(hours=1)


def name_of(number: int) -> Fingerprint:
    """Return a name of its own for each."""
    return Fingerprint(number.to_bytes(16, "big"))


@pytest.fixture
def prepare() -> Callable[[int], Prepared]:
    """Make prepared answers to questions about players, with nothing in common that those of a gateway have not."""
    metrics, writer = Metrics(games=["x-moon"], version="1", sandbox=False), AnswerWriter(jitter=lambda: 0)

    def prepared(number: int) -> Prepared:
        at = START + number * timedelta(microseconds=1)
        until = at + HOUR
        decision = Decision(
            Reason.DOWNLOAD_KEY,
            GAME,
            Method.DOWNLOAD_KEY,
            player=Player(PlayerId(1994 + number), "amos", "Amos"),
            proof=Proof(ProofKind.DOWNLOAD_KEY, 124 + number, datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)),
            observed_at=at,
            fresh_until=until,
            usable_until=until + HOUR,
        )
        imprint = Imprint(name_of(number), at, until + HOUR)
        grounds = Grounds(
            (Ground(name_of(number), imprint, (GAME_NAME,), at + HOUR / 2),), at + HOUR / 2, PlayerId(1), sandbox=False
        )
        answer = writer.prepare(Verdict(decision, CacheTier.MEMORY, grounds=grounds))
        line = line_form("x-moon", decision, CacheTier.MEMORY, subject=f"{number:016x}")
        count = metrics.decision_counter("x-moon", Method.DOWNLOAD_KEY, Reason.DOWNLOAD_KEY, CacheTier.MEMORY)
        return Prepared(path="/verify", game_id=GAME, grounds=grounds, answer=answer, line=line, count=count)

    return prepared


def test_the_bound_is_about_what_they_take(prepare: Callable[[int], Prepared]) -> None:
    """What fills a mebibyte by the estimate takes between three quarters of it and a tenth more."""
    answers = PreparedAnswers(max_bytes=1024 * 1024)
    prepare(0)  # and with it what all have in common
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for number in range(2000):
        answers.keep(b"%d" % number, prepare(number))

    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.75 < (after - before) / (1024 * 1024) < 1.1
