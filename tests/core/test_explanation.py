"""Decisions in sentences: each word of the API has its own, and what they say is true."""

from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from msgspec import Struct, structs

from service.advice import advice_on
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
from service.observability.labels import USUAL_ENDPOINTS, SourceEndpoint, SourceResult
from service.ownership import Caveat, Outcome, OverrideWord, Proof, ProofKind, Reason
from tests.clock import START


def told(reason: Reason, **more: Any) -> list[str]:
    """Return the sentences about a decision of now."""
    return tell(Story(reason=reason, now=START, **more)).sentences


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_told(reason: Reason) -> None:
    """The first sentence says whether the player is let in; no other reason has it; a refusal says what to do."""
    first, *others = told(reason)

    beginning = "Let in: " if reason.outcome.allowed else "Not let in: "
    assert first.startswith("Not decided: " if reason.outcome is Outcome.UNKNOWN else beginning)
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
    assert tell(Story(reason=Reason.NOT_CACHED, now=START, asked=False)).next_step is None
    assert tell(Story(reason=Reason.NOT_CACHED, now=START)).next_step == "The player should try again in a few minutes."
    assert tell(Story(reason=Reason.PURCHASE, now=START)).next_step is None
    assert told(Reason.OVERLOADED, asked=False) == told(Reason.OVERLOADED)


@pytest.mark.parametrize("reason", Reason)
def test_a_verdict_and_why_are_the_first_sentence(reason: Reason) -> None:
    """Apart, for a heading and what stands below it; the rest are details, and what the player can do."""
    story = tell(Story(reason=reason, now=START, observed_at=START))

    first, *others = story.sentences
    assert first.lower() == f"{story.verdict}: {story.why}".lower()
    assert (story.verdict, story.let_in) == {
        Outcome.UNKNOWN: ("Not decided", None),
        Outcome.OWNED: ("Let in", True),
        Outcome.GRANTED: ("Let in", True),
    }.get(reason.outcome, ("Not let in", False))
    assert story.why.startswith("itch.io") or story.why[0].isupper()
    assert others == [*story.details, *([story.next_step] if story.next_step else [])]


class Said(Struct, frozen=True):
    """The operator's word of now."""

    word: OverrideWord
    until: datetime | None = START + timedelta(hours=1)
    by: str | None = "anna"


def test_a_refusal_from_before_a_grant() -> None:
    """The heading says both; the player can try at once. A ban leaves the heading as it was."""
    past = Story(reason=Reason.NO_DOWNLOAD_KEY, now=START, is_past=True)
    granted = tell(structs.replace(past, operator=Said(OverrideWord.GRANT)))
    undecided = tell(structs.replace(past, reason=Reason.OVERLOADED, operator=Said(OverrideWord.GRANT)))
    banned = tell(structs.replace(past, operator=Said(OverrideWord.BAN, until=None)))

    assert (granted.verdict, granted.let_in) == ("Was not let in. Let in now", True)
    assert granted.sentences == [
        "Was not let in: itch.io knows neither a key nor a purchase that counts for this game.",
        "An override by anna lets this player in until 2026-11-20 15:03 UTC.",
        "The player should try again now.",
    ]
    assert (undecided.verdict, undecided.let_in) == ("Was not decided. Let in now", True)
    assert (banned.verdict, banned.let_in) == ("Not let in", False)
    assert banned.details == ["The configuration keeps this player out."]


def test_a_decision_of_now_follows_the_operators_word() -> None:
    """The word names its setter, and its end is said once."""
    now = Story(reason=Reason.OPERATOR_GRANT, now=START, usable_until=START + timedelta(hours=1))

    assert tell(structs.replace(now, operator=Said(OverrideWord.GRANT))).details == [
        "An override by anna lets this player in until 2026-11-20 15:03 UTC."
    ]
    assert tell(now).details == ["The operator's word holds until 2026-11-20 15:03 UTC."]
    past = structs.replace(now, reason=Reason.OPERATOR_BAN, is_past=True)
    assert tell(past).details == ["The operator's word was to hold until 2026-11-20 15:03 UTC."]


def test_a_look_that_finds_a_refusal_alone() -> None:
    """The refusal is told, when it was, and that itch.io can be asked, or which rights that needs."""
    look = Story(reason=Reason.SOURCE_UNAVAILABLE, now=START, is_past=True, found_from=START - timedelta(seconds=76))
    found = tell(look)
    lacking = tell(structs.replace(look, missing_rights=("verify", "assert:email")))

    assert (found.verdict, found.next_step) == ("Not decided", "The player should try again in a few minutes.")
    assert found.details == [
        "That was 1 minute ago, and nothing newer is known.",
        "Ask itch.io now to find out.",
    ]
    assert lacking.details[-1] == (
        "itch.io must be asked to find out, which needs `verify` and `assert:email` in the rights of your token, too."
    )


def test_a_no_names_each_way_to_the_purchase() -> None:
    """By an address both hints; by an account that of bundles, and what else may lead there."""
    bundle, address = Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED, Caveat.EMAIL_MISSES_CLAIMED_KEYS

    def step(*caveats: Caveat) -> str:
        return tell(Story(reason=Reason.NO_DOWNLOAD_KEY, now=START, caveats=caveats)).next_step or ""

    open_once = "If it came in a bundle, the player should open the game once on itch.io and try again. "
    assert step(Caveat.SANDBOX, bundle) == (
        open_once + "If not, the address on the receipt, or the download key, may lead to the purchase."
    )
    assert step(bundle, address) == (
        open_once + "The player should sign in with itch.io, or enter the download key, instead of an address."
    )
    assert step() == "There is a key, but not of a kind that counts for this game."


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
        "The player is kept out on purpose: trying again changes nothing, only the operator can.",
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


ABOUT_PLAYERS: Final = (*USUAL_ENDPOINTS, SourceEndpoint.OWNERSHIP)


@pytest.mark.parametrize("endpoint", ABOUT_PLAYERS)
def test_each_endpoint_is_told(endpoint: SourceEndpoint) -> None:
    """In words of its own."""
    assert tell_request(endpoint, "ok").startswith("itch.io was asked now about ")
    assert len({tell_request(one, "ok") for one in ABOUT_PLAYERS}) == len(ABOUT_PLAYERS)


@pytest.mark.parametrize("result", SourceResult)
def test_each_result_of_a_request_is_told(result: SourceResult) -> None:
    """In words of its own."""
    assert f": {result}." not in tell_request(SourceEndpoint.PURCHASES, result)
    assert len({tell_request("purchases", one) for one in SourceResult}) == len(SourceResult)


def test_the_rest() -> None:
    """One line for each thing."""
    assert tell_operator(OverrideWord.BAN, None) == "The configuration keeps this player out."
    assert tell_operator(OverrideWord.GRANT, START) == "An override lets this player in until 2026-11-20 14:03 UTC."
    assert tell_operator(OverrideWord.BAN, START, "anna").startswith("An override by anna keeps this player out until ")
    key, purchase = Proof(ProofKind.DOWNLOAD_KEY, 124), Proof(ProofKind.BUNDLE_PURCHASE)
    assert tell_remembered("redis", "ownership", "no", timedelta(), counts=True) == "redis: no, just now"
    assert tell_remembered("memory", "ownership", "yes", timedelta(days=3), proofs=(key, purchase), counts=False) == (
        "memory: yes, by download key 124 and bundle purchase, 3 days ago, which does not count any more"
    )
    assert tell_remembered("memory", "identity", "yes", timedelta(), counts=True) == (
        "memory: whose the JWT or access token is: yes, just now"
    )
    assert tell_request("profile", "ok") == "itch.io was asked now about whose the JWT or access token is: it answered."
    assert tell_request("purchases", "ok", (Proof(ProofKind.PURCHASE, 11561), key)) == (
        "itch.io was asked now about purchases: it answered with purchase 11561 and download key 124."
    )
    assert tell_refusal("01X", START, "user", "no_download_key", 1) == (
        "01X  2026-11-20 14:03 UTC  no_download_key by user"
    )
    assert tell_refusal("01X", START, "user", "no_download_key", 2).endswith(", 2 times")
