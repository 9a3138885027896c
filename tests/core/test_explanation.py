"""Decisions in sentences: each word of the API has its own, and what they say is true."""

from datetime import timedelta
from typing import Any

import pytest

from service.causes import Cause
from service.explanation import (
    Story,
    age_in_words,
    tell,
    tell_operator,
    tell_refusal,
    tell_remembered,
    tell_request,
    tell_states,
)
from service.observability.labels import SourceEndpoint, SourceResult
from service.ownership import Caveat, Outcome, OverrideWord, Reason, advice_on
from tests.clock import START


def told(reason: Reason, **more: Any) -> list[str]:
    """Return the sentences about a decision of now."""
    return tell(Story(reason=reason, now=START, **more))


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_told(reason: Reason) -> None:
    """The first sentence says whether the player is let in; no other reason has it; a refusal says what to do."""
    first, *others = told(reason)

    beginning = "Let in: " if reason.outcome.allowed else "Not let in: "
    assert first.startswith("No answer, which is not a no: " if reason.outcome is Outcome.UNKNOWN else beginning)
    assert len({told(one)[0] for one in Reason}) == len(Reason)
    assert len(others) == (0 if reason.outcome.allowed else 1)
    if not reason.outcome.allowed and advice_on(reason, ()) is not None:
        assert others[0].startswith("The player should ")


@pytest.mark.parametrize("caveat", Caveat)
def test_each_caveat_is_told(caveat: Caveat) -> None:
    """As a sentence, or by what the player can do."""
    assert told(Reason.NO_DOWNLOAD_KEY, caveats=(caveat,)) != told(Reason.NO_DOWNLOAD_KEY)


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_is_told(cause: Cause) -> None:
    """Only in the sentences about a decision without an answer."""
    with_cause = told(Reason.SOURCE_UNAVAILABLE, cause=cause)

    assert with_cause[1].startswith("The cause: ")
    assert len({told(Reason.SOURCE_UNAVAILABLE, cause=one)[1] for one in Cause}) == len(Cause)
    assert told(Reason.NO_DOWNLOAD_KEY, cause=cause) == told(Reason.NO_DOWNLOAD_KEY)


def test_all_that_there_is() -> None:
    """In this order."""
    assert told(
        Reason.OPERATOR_BAN,
        caveats=(Caveat.SANDBOX,),
        observed_at=START - timedelta(hours=3),
        usable_until=START + timedelta(days=1),
        stale=True,
        count=3,
    ) == [
        "Not let in: the operator keeps this player out.",
        "itch.io was asked 3 hours ago.",
        "This rests on what itch.io said before.",
        "The operator's word holds until 2026-11-21 14:03 UTC.",
        "The question was asked 3 times within a minute.",
        "This comes from the sandbox, not from itch.io.",
        "There is nothing that the player can do.",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "just now"),
        (0, "just now"),
        (5, "5 seconds ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (150, "2 minutes ago"),
        (3600, "1 hour ago"),
        (47 * 3600, "47 hours ago"),
        (2 * 86_400, "2 days ago"),
    ],
)
def test_ages(seconds: int, words: str) -> None:
    """As people say them."""
    assert age_in_words(timedelta(seconds=seconds)) == words


def test_states() -> None:
    """A sentence for each that does not work."""
    components = {"source": "unavailable", "credential": "ok", "redis": "unavailable", "secrets": "unknown"}

    assert tell_states(components, {"source": Cause.DNS}) == {
        "source": "itch.io gives no usable answers at the moment: its name cannot be resolved.",
        "redis": "Replicas do not know what the others remember, for Redis does not answer.",
    }


@pytest.mark.parametrize("endpoint", SourceEndpoint)
def test_each_endpoint_is_told(endpoint: SourceEndpoint) -> None:
    """In words of its own."""
    assert tell_request(endpoint, "ok").startswith("itch.io was asked now about ")
    assert len({tell_request(one, "ok") for one in SourceEndpoint}) == len(SourceEndpoint)


@pytest.mark.parametrize("result", SourceResult)
def test_each_result_of_a_request_is_told(result: SourceResult) -> None:
    """In words of its own."""
    assert f": {result}." not in tell_request(SourceEndpoint.PURCHASES, result)
    assert len({tell_request("purchases", one) for one in SourceResult}) == len(SourceResult)


def test_the_rest() -> None:
    """One line for each thing."""
    assert tell_operator(OverrideWord.BAN, None) == "The configuration keeps this player out."
    assert tell_operator(OverrideWord.GRANT, START) == "An override lets this player in until 2026-11-20 14:03 UTC."
    assert tell_remembered("redis", "no", timedelta(), counts=True) == "redis: no, just now"
    assert tell_remembered("memory", "yes", timedelta(days=3), counts=False) == (
        "memory: yes, 3 days ago, which does not count any more"
    )
    assert tell_refusal("01X", START, "user", "no_download_key", 1) == (
        "01X  2026-11-20 14:03 UTC  no_download_key by user"
    )
    assert tell_refusal("01X", START, "user", "no_download_key", 2).endswith(", 2 times")
