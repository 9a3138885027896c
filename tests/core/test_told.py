"""For how long a relay passes on what its hub has decided."""

from datetime import timedelta

import pytest

from service.ownership import AccessToken, DownloadKey, Fingerprint, GameId, Reason, VerifiedEmail
from service.verification.policy import HARD_MAXIMUM
from service.verification.told import UNDATED_KEPT, Inquiry, ToldDecision, deadline_of_hub
from tests.clock import START

FRESH = timedelta(seconds=30)
HOUR = timedelta(hours=1)
SEEN = START - timedelta(minutes=10)


def told(reason: Reason, *, dated: bool = True, **more: object) -> ToldDecision:
    """Return a decision that rests on what was seen ten minutes ago, or on nothing that has an instant."""
    instants: dict[str, object] = {}
    if dated:
        instants = {"observed_at": SEEN, "fresh_until": SEEN + HOUR, "usable_until": SEEN + 24 * HOUR}
    return ToldDecision(reason, START, START, **{**instants, **more})  # type: ignore[arg-type]  # as the tests name them


@pytest.mark.parametrize(
    ("decision", "served", "usable"),
    [
        (told(Reason.PURCHASE), FRESH, 24 * HOUR - (START - SEEN)),
        (told(Reason.SELLER_ACCOUNT), FRESH, 24 * HOUR - (START - SEEN)),
        (told(Reason.OPERATOR_BAN), FRESH, 24 * HOUR - (START - SEEN)),
        (told(Reason.PURCHASE, fresh_until=START + FRESH / 2), FRESH / 2, 24 * HOUR - (START - SEEN)),
        (told(Reason.PURCHASE, stale=True), timedelta(), 24 * HOUR - (START - SEEN)),
        (told(Reason.PURCHASE, usable_until=START + 1000 * HOUR), FRESH, HARD_MAXIMUM - (START - SEEN)),
        (told(Reason.PURCHASE, usable_until=None), FRESH, timedelta()),
        (told(Reason.PURCHASE, dated=False), timedelta(), timedelta()),
        (told(Reason.OPERATOR_GRANT, dated=False), FRESH, UNDATED_KEPT),
        (told(Reason.OPERATOR_BAN, dated=False), FRESH, UNDATED_KEPT),
        (told(Reason.OPERATOR_GRANT, dated=False, usable_until=START + FRESH / 3), FRESH / 3, FRESH / 3),
        (told(Reason.OPERATOR_GRANT, dated=False, usable_until=START + 1000 * HOUR), FRESH, UNDATED_KEPT),
        (told(Reason.NO_DOWNLOAD_KEY), FRESH, timedelta()),
        (told(Reason.REFUSED_JWT, fresh_until=START + FRESH / 2), FRESH / 2, timedelta()),
        (told(Reason.EXPIRED_JWT, dated=False), timedelta(), timedelta()),
    ],
)
def test_the_table(decision: ToldDecision, served: timedelta, usable: timedelta) -> None:
    """Alone for a while; longer while the hub says nothing, but never a no."""
    assert decision.served_until(FRESH) == START + served
    assert decision.usable_while_silent() == START + usable
    assert decision.keep_until(FRESH) == START + max(served, usable)


def test_what_stands_is_asked_for_anew_before_it_ends() -> None:
    """From four fifths of its time on; a no is not."""
    assert told(Reason.PURCHASE).refresh_from(FRESH) == START + FRESH * 0.8
    assert told(Reason.NO_DOWNLOAD_KEY).refresh_from(FRESH) is None


@pytest.mark.parametrize(
    ("reason", "no_good"),
    [
        (Reason.INVALID_DOWNLOAD_KEY, True),
        (Reason.REFUSED_JWT, True),
        (Reason.SHARED_DOWNLOAD_KEY, False),
        (Reason.NO_DOWNLOAD_KEY, False),
        (Reason.DOWNLOAD_KEY, False),
    ],
)
def test_only_what_is_no_good_costs_a_try(reason: Reason, *, no_good: bool) -> None:
    """A key that too many players show is good, and so is one of a kind that does not count."""
    key = Inquiry(Fingerprint(b""), GameId(3), DownloadKey("a-key-of-a-player"))
    token = Inquiry(Fingerprint(b""), GameId(3), AccessToken("a-token-of-a-player"))
    address = Inquiry(Fingerprint(b""), GameId(3), VerifiedEmail("amos@example.com"))

    assert told(reason).is_no_good(key) is told(reason).is_no_good(token) is no_good
    assert not told(reason).is_no_good(address)


@pytest.mark.parametrize(("left", "given"), [(3000, 2950), (110, 60), (60, 50), (50, 50)])
def test_the_hub_gets_less_time(left: int, given: int) -> None:
    """Fifty milliseconds are for the way; no gateway takes a shorter deadline."""
    assert deadline_of_hub(timedelta(milliseconds=left)) == timedelta(milliseconds=given)
