"""The words are those of the contract."""

from itertools import chain

import pytest

from service.ownership import (
    AssertedUser,
    CacheTier,
    Caveat,
    Decision,
    DownloadKey,
    GameId,
    Malformed,
    Method,
    Outcome,
    PlayerId,
    ProofKind,
    Reason,
)
from service.rights import Right

REASONS = {
    "owned": ["download_key", "purchase", "bundle_purchase", "web_purchase"],
    "granted": ["seller_account", "operator_grant", "press"],
    "banned": ["operator_ban"],
    "not_owned": ["invalid_download_key", "no_download_key"],
    "rejected": [
        "malformed_download_key",
        "temporary_download_link",
        "bundle_link",
        "malformed_jwt",
        "expired_jwt",
        "refused_jwt",
        "api_key_not_accepted",
        "email_not_verified",
        "malformed_pass",
        "expired_pass",
        "refused_pass",
        "shared_download_key",
        "malformed_access_token",
        "refused_access_token",
    ],
    "unknown": [
        "source_unavailable",
        "source_rate_limited",
        "source_protocol",
        "gateway_credential",
        "game_not_accessible",
        "not_cached",
        "deadline_exceeded",
        "overloaded",
        "issuer_unavailable",
    ],
}
"""Design, section 3: callers act on these words."""


def test_the_outcomes_are_those_of_the_contract() -> None:
    """No more and no fewer."""
    assert {outcome.value for outcome in Outcome} == set(REASONS)


def test_the_reasons_are_those_of_the_contract() -> None:
    """No more and no fewer, and each stands once."""
    assert sorted(reason.value for reason in Reason) == sorted(chain.from_iterable(REASONS.values()))


@pytest.mark.parametrize(
    ("outcome", "reason"), [(outcome, reason) for outcome, reasons in REASONS.items() for reason in reasons]
)
def test_every_reason_has_one_outcome(outcome: str, reason: str) -> None:
    """The one under which the contract lists it."""
    assert Reason(reason).outcome is Outcome(outcome)


@pytest.mark.parametrize("outcome", Outcome)
def test_only_owned_and_granted_are_allowed(outcome: Outcome) -> None:
    """Absent, unclear and refused are all no."""
    assert outcome.allowed == (outcome.value in {"owned", "granted"})


@pytest.mark.parametrize("reason", Reason)
def test_a_decision_is_what_its_reason_amounts_to(reason: Reason) -> None:
    """There is no second place to say it, which could disagree."""
    decision = Decision(reason, GameId(3), Method.USER)

    assert (decision.outcome, decision.allowed) == (reason.outcome, reason.outcome.allowed)


def test_every_kind_of_proof_is_a_reason_to_own() -> None:
    """The two lists name the same things by the same words."""
    assert {kind.value for kind in ProofKind} == set(REASONS["owned"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (Method, {"download_key", "jwt", "email", "user", "pass", "access_token"}),
        (CacheTier, {"memory", "redis", "none"}),
        (
            Caveat,
            {
                "sandbox",
                "bundle_key_may_be_unclaimed",
                "email_misses_claimed_keys",
                "revocations_held",
                "shared_download_key",
                "record_purchase_id_before_granting",
            },
        ),
        (Right, {"verify", "assert:user", "assert:email", "admin", "override", "support", "pass", "challenge"}),
    ],
)
def test_the_other_words_are_those_of_the_contract(
    words: type[Method] | type[CacheTier] | type[Caveat] | type[Right], expected: set[str]
) -> None:
    """The words stand in answers, logs, metrics and settings."""
    assert {word.value for word in words} == expected


@pytest.mark.parametrize(
    ("credential", "method"),
    [
        (DownloadKey("dBDGsR2tPqvKbUvFFZ3n"), Method.DOWNLOAD_KEY),
        (AssertedUser(PlayerId(1994)), Method.USER),
        (Malformed(Method.JWT, Reason.MALFORMED_JWT), Method.JWT),
    ],
)
def test_a_credential_knows_its_method(credential: DownloadKey | AssertedUser | Malformed, method: Method) -> None:
    """The kind of credential decides the method in the answer."""
    assert credential.method is method
