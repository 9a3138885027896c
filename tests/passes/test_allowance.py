"""The only thing that a pass can be made from."""

import pytest

from service.ownership import Decision, GameId, Method, Outcome, Reason
from service.verification import policy


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("method", Method)
def test_only_who_is_let_in_gets_an_allowance(reason: Reason, method: Method) -> None:
    """Every reason but those of `owned` and `granted` has none."""
    decision = Decision(reason, GameId(3), method)

    allowance = policy.allowance(decision)

    assert (allowance is not None) is (reason.outcome in {Outcome.OWNED, Outcome.GRANTED})
    assert allowance is None or allowance.decision is decision
