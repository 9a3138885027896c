"""The canary that is tried next, and when."""

from datetime import timedelta
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from service.canaries.canary import Canary, Expectation
from service.canaries.rota import PERIOD, SPACING, Rota
from service.ownership import GameId, PlayerId
from service.verification.policy import GameRules

CANARIES: Final = [
    Canary(GameRules(GameId(game), f"game-{game}"), expect, PlayerId(game * 10 + number))
    for game in range(1, 21)
    for number, expect in enumerate(Expectation)
]


def test_those_that_were_never_tried_come_first_and_in_order() -> None:
    """Each at once."""
    rota = Rota()
    tried = []
    for now in range(0, 400, 10):
        canary, wait = rota.first(CANARIES, now=now)
        assert wait == timedelta()
        tried.append(canary)
        rota.put_off(canary, until=now + 1000)

    assert tried == CANARIES


def test_the_wait_is_that_of_the_first() -> None:
    """Only those count that may be asked."""
    rota = Rota()
    for canary, until in zip(CANARIES, (70, 60, 90), strict=False):
        rota.put_off(canary, until=until)

    assert rota.first(CANARIES[:3], now=50) == (CANARIES[1], timedelta(seconds=10))
    assert rota.first([CANARIES[0], CANARIES[2]], now=50) == (CANARIES[0], timedelta(seconds=20))
    assert rota.first(CANARIES[:3], now=200) == (CANARIES[1], timedelta())


@given(st.integers(1, len(CANARIES)))
def test_none_is_forgotten(number: int) -> None:
    """Asked one in ten seconds, each comes back after five minutes, or after one round of all, if that is longer."""
    canaries = CANARIES[:number]
    rota = Rota()
    now, asked_at = 0.0, dict.fromkeys(canaries, 0.0)
    longest = max(PERIOD.total_seconds(), number * SPACING.total_seconds())
    while now < 4 * longest:
        canary, wait = rota.first(canaries, now=now)
        now += wait.total_seconds()
        assert now - asked_at[canary] <= longest
        assert asked_at[canary] == 0 or now - asked_at[canary] >= PERIOD.total_seconds()
        asked_at[canary] = now
        rota.put_off(canary, until=now + PERIOD.total_seconds())
        now += SPACING.total_seconds()


def test_other_rules_make_no_other_canary() -> None:
    """A canary keeps its turn when the rules of its game change; one that is gone is new when it comes back."""
    first, second, third = CANARIES[:3]
    changed = Canary(GameRules(first.rules.game_id, "game-1", grant_press=True), first.expect, first.player_id)
    rota = Rota()
    for canary in (first, second, third):
        rota.put_off(canary, until=60)

    rota.follow([changed, second])
    rota.follow([changed, second, third])

    assert rota.first([changed, second], now=50) == (changed, timedelta(seconds=10))
    assert rota.first([changed, second, third], now=50) == (third, timedelta())
