"""Advice for players who were refused."""

import pytest

from service.advice import Advice, advice_on
from service.ownership import Caveat, Outcome, Reason

UNCLAIMED = Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED
BY_EMAIL = Caveat.EMAIL_MISSES_CLAIMED_KEYS


@pytest.mark.parametrize("reason", Reason)
def test_players_are_advised_by_outcome(reason: Reason) -> None:
    """Players who are let in or banned need or get none; those without an answer try again, where that can help."""
    advice = advice_on(reason, (Caveat.SANDBOX,))

    match reason.outcome:
        case Outcome.OWNED | Outcome.GRANTED | Outcome.BANNED:
            assert advice is None
        case Outcome.UNKNOWN:
            operators = reason in {Reason.GATEWAY_CREDENTIAL, Reason.GAME_NOT_ACCESSIBLE}
            assert advice is (None if operators else Advice.TRY_AGAIN)
        case Outcome.REJECTED:
            assert advice not in {None, Advice.TRY_AGAIN}
        case Outcome.NOT_OWNED:
            assert advice is (None if reason is Reason.NO_DOWNLOAD_KEY else Advice.COPY_KEY_AGAIN)


@pytest.mark.parametrize(
    ("caveats", "advice"),
    [
        ((), None),
        ((UNCLAIMED,), Advice.OPEN_GAME_ONCE),
        ((Caveat.SANDBOX, UNCLAIMED), Advice.OPEN_GAME_ONCE),
        ((UNCLAIMED, BY_EMAIL), Advice.USE_ITCH_LOGIN),
        ((UNCLAIMED, BY_EMAIL, Caveat.REVOCATIONS_HELD), Advice.USE_ITCH_LOGIN),
    ],
)
def test_caveats_say_what_helps(caveats: tuple[Caveat, ...], advice: Advice | None) -> None:
    """A player who may own a game that the store did not show is told how to show it, whichever caveat is there."""
    assert advice_on(Reason.NO_DOWNLOAD_KEY, caveats) is advice
