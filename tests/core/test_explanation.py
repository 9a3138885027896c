"""Decisions in sentences: each word of the API has its own, and what they say is true."""

from datetime import timedelta
from typing import Any

import pytest

from service.causes import Cause
from service.explanation import (
    Story,
    age_in_words,
    next_step,
    tell,
    tell_operator,
    tell_refusal,
    tell_remembered,
    tell_request,
    tell_states,
)
from service.observability.labels import SourceEndpoint, SourceResult
from service.ownership import Caveat, Outcome, OverrideWord, Proof, ProofKind, Reason, advice_on
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
    """In words of its own."""
    with_cause = told(Reason.SOURCE_UNAVAILABLE, cause=cause)

    assert with_cause[1].startswith("The cause: ")
    assert len({told(Reason.SOURCE_UNAVAILABLE, cause=one)[1] for one in Cause}) == len(Cause)


@pytest.mark.parametrize("reason", Reason)
def test_a_cause_is_told_where_the_store_gave_no_answer(reason: Reason) -> None:
    """The trouble with the store explains neither a no nor an unknown that has another cause."""
    without_answer = reason in {
        Reason.SOURCE_UNAVAILABLE,
        Reason.SOURCE_RATE_LIMITED,
        Reason.SOURCE_PROTOCOL,
        Reason.DEADLINE_EXCEEDED,
    }

    assert (told(reason, cause=Cause.DNS) != told(reason)) is without_answer


def test_a_look_without_an_answer_is_no_outage() -> None:
    """Asking the store finds out; there is nothing for the player to do. Any other reason reads the same."""
    assert told(Reason.NOT_CACHED, asked=False) == [
        "Nothing is known: itch.io has not been asked about this lately.",
        "Ask itch.io now to find out.",
    ]
    assert next_step(Story(reason=Reason.NOT_CACHED, now=START, asked=False)) is None
    assert next_step(Story(reason=Reason.NOT_CACHED, now=START)) == "The player should try again in a few minutes."
    assert next_step(Story(reason=Reason.PURCHASE, now=START)) is None
    assert told(Reason.OVERLOADED, asked=False) == told(Reason.OVERLOADED)


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
    key, purchase = Proof(ProofKind.DOWNLOAD_KEY, 124), Proof(ProofKind.BUNDLE_PURCHASE)
    assert tell_remembered("redis", "ownership", "no", timedelta(), counts=True) == "redis: no, just now"
    assert tell_remembered("memory", "ownership", "yes", timedelta(days=3), proofs=(key, purchase), counts=False) == (
        "memory: yes, by download key 124 and bundle purchase, 3 days ago, which does not count any more"
    )
    assert tell_remembered("memory", "identity", "yes", timedelta(), counts=True) == (
        "memory: whose the JWT is: yes, just now"
    )
    assert tell_request("profile", "ok") == "itch.io was asked now about whose the JWT is: it answered."
    assert tell_request("purchases", "ok", (Proof(ProofKind.PURCHASE, 11561), key)) == (
        "itch.io was asked now about purchases: it answered with purchase 11561 and download key 124."
    )
    assert tell_refusal("01X", START, "user", "no_download_key", 1) == (
        "01X  2026-11-20 14:03 UTC  no_download_key by user"
    )
    assert tell_refusal("01X", START, "user", "no_download_key", 2).endswith(", 2 times")
