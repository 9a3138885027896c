"""The bodies of `/admin/explain`, and how they are made: what is asked, and all that is known about a player."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from service.advice import Advice, advice_on
from service.api.answers import EvidenceBody, Instant, PlayerBody, player_body, to_the_second
from service.api.named_subject import SubjectFields
from service.api.questions import GameName, Presented
from service.cache.refusal_memory import RememberedRefusal
from service.causes import Cause
from service.explanation import meaning_of
from service.itch.dialect import Endpoint
from service.itch.request_trail import SentRequest
from service.ownership import (
    CacheTier,
    Caveat,
    Evidence,
    Identity,
    Method,
    Observation,
    Outcome,
    OverrideWord,
    Player,
    Proof,
    ProofKind,
    Reason,
)
from service.rights import Right
from service.verification.policy import GameRules
from service.verification.question import Verdict

LONGEST_DECISION_ID: Final = 128

Said: TypeAlias = Literal["yes", "no", "refused"]
"""The store's answer: a proof of ownership or whose a JWT is, none, or that the JWT is no good."""


class ExplainRequest(SubjectFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request to explain a decision, by its id, or what is known of a player: by the game and one credential."""

    decision_id: (
        Annotated[str, Meta(max_length=LONGEST_DECISION_ID, description="The player's support code.")] | None
    ) = None
    game: GameName | None = None
    jwt: Annotated[Presented, Meta(description="The JWT that the itch.io app gave to the game.")] | None = None
    access_token: Annotated[Presented, Meta(description="The access token that itch.io gave to the game.")] | None = (
        None
    )
    ask: Annotated[bool, Meta(description="Ask the store now; it needs the right of the method, too.")] = False

    @property
    def names_credential(self) -> bool:
        """Whether there is a credential in it."""
        return any(
            one is not None for one in (self.download_key, self.jwt, self.access_token, self.email, self.user_id)
        )


class ExplainedDecision(Struct, frozen=True, kw_only=True):
    """A decision: a remembered one, or the one that would be given now, which has no `decision_id`.

    `count` is how many times it was given within a minute, the last time at `last_at`. `subject` and `account` are the
    fingerprints in the log. Times are in UTC.
    """

    decision_id: str | None
    at: Instant
    last_at: Instant
    count: int
    caller: str
    allowed: bool
    outcome: Outcome
    reason: Reason
    game_id: int
    game: str
    method: Method
    player: PlayerBody | None
    evidence: EvidenceBody | None
    observed_at: Instant | None
    fresh_until: Instant | None
    usable_until: Instant | None
    stale: bool
    cache: CacheTier
    caveats: tuple[Caveat, ...]
    advice: Advice | None
    subject: str | None
    account: str | None


class RememberedAnswer(Struct, frozen=True, kw_only=True):
    """An answer of the store that a tier remembers: about ownership, or about whose a JWT is.

    `counts` is false if it was invalidated since, is too old to be used at all, or is a no that is held back: the proof
    that counts in its place comes after it.
    """

    tier: CacheTier
    about: Literal["ownership", "identity"]
    says: Said
    proofs: list[EvidenceBody]
    observed_at: Instant
    age_seconds: int
    counts: bool


class OperatorSaid(Struct, frozen=True, kw_only=True):
    """The operator's word about the player: from the configuration, or an override, which has all the rest.

    `by` is the caller that set it `at` that instant, and `note` why; both are null where Redis lost them.
    """

    word: OverrideWord
    source: Literal["configuration", "override"]
    until: Instant | None = None
    id: str | None = None
    by: str | None = None
    note: str | None = None
    at: Instant | None = None


class AskedRequest(Struct, frozen=True, kw_only=True):
    """A request to the store for this explanation: what was asked, what came of it, and the proofs that it showed."""

    endpoint: str
    result: str
    milliseconds: int
    proofs: list[EvidenceBody]


class PastRefusal(Struct, frozen=True, kw_only=True):
    """A refusal of the player's credential or account; `count` of them within a minute of the first.

    `sentence` is the reason for people.
    """

    decision_id: str
    at: Instant
    last_at: Instant
    count: int
    caller: str
    method: Method
    outcome: Outcome
    reason: Reason
    sentence: str
    subject: str
    account: str | None


class Explanation(Struct, frozen=True, kw_only=True):
    """All that is known. Keys and addresses are nowhere in it.

    `verdict`, `why`, `details`, `next_step` and `sentences`, all of it, are for people; programs go by the rest.
    `let_in` is null where nothing is decided. `next_step` is what the player can do, null for one who is let in, and
    where a look has found nothing. `missing_rights` are those that the caller lacks to have the store asked.
    """

    verdict: str
    let_in: bool | None
    why: str
    details: list[str]
    next_step: str | None
    sentences: list[str]
    missing_rights: list[Right]
    decision: ExplainedDecision
    remembered: list[RememberedAnswer]
    operator: OperatorSaid | None
    requests: list[AskedRequest]
    refusals: list[PastRefusal]
    components: dict[str, str]
    causes: dict[str, Cause]


def remembered_decision(refusal: RememberedRefusal, decision_id: str, rules: GameRules) -> ExplainedDecision:
    """Return a remembered decision, under the id that it was asked for by."""
    player = None if refusal.player_id is None else Player(refusal.player_id)
    return ExplainedDecision(
        decision_id=decision_id,
        at=to_the_second(refusal.at),
        last_at=to_the_second(refusal.last_at),
        count=refusal.count,
        caller=refusal.caller,
        allowed=False,
        outcome=refusal.reason.outcome,
        reason=refusal.reason,
        game_id=refusal.game_id,
        game=rules.label,
        method=refusal.method,
        player=player_body(player),
        evidence=None,
        observed_at=to_the_second(refusal.observed_at),
        fresh_until=to_the_second(refusal.fresh_until),
        usable_until=to_the_second(refusal.usable_until),
        stale=refusal.stale,
        cache=refusal.cache,
        caveats=refusal.caveats,
        advice=advice_on(refusal.reason, refusal.caveats),
        subject=refusal.subject,
        account=refusal.account,
    )


def present_decision(
    verdict: Verdict, rules: GameRules, *, caller: str, subject: str | None, account: str | None, now: datetime
) -> ExplainedDecision:
    """Return the decision that would be given now."""
    decision = verdict.decision
    return ExplainedDecision(
        decision_id=None,
        at=to_the_second(now),
        last_at=to_the_second(now),
        count=1,
        caller=caller,
        allowed=decision.allowed,
        outcome=decision.outcome,
        reason=decision.reason,
        game_id=decision.game_id,
        game=rules.label,
        method=decision.method,
        player=player_body(decision.player),
        evidence=None if decision.proof is None else _shown([decision.proof], decision.method)[0],
        observed_at=to_the_second(decision.observed_at),
        fresh_until=to_the_second(decision.fresh_until),
        usable_until=to_the_second(decision.usable_until),
        stale=decision.stale,
        cache=verdict.cache,
        caveats=decision.caveats,
        advice=None if decision.allowed else advice_on(decision.reason, decision.caveats),
        subject=subject,
        account=account,
    )


def remembered_answer(
    tier: CacheTier, observation: Observation, method: Method, *, counts: bool, now: datetime
) -> RememberedAnswer:
    """Return what a tier remembers, as it is shown about a credential of that method."""
    says, proofs = _said(observation)
    age = now - observation.observed_at
    return RememberedAnswer(
        tier=tier,
        about="ownership" if isinstance(observation, Evidence) else "identity",
        says=says,
        proofs=_shown(proofs, method),
        observed_at=to_the_second(observation.observed_at),
        age_seconds=max(0, int(age.total_seconds())),
        counts=counts,
    )


def _said(observation: Observation) -> tuple[Said, Sequence[Proof]]:
    """Return the store's answer in one word, and the proofs in it."""
    match observation:
        case Evidence(proofs=proofs):
            return ("yes" if proofs else "no"), proofs
        case Identity():
            return "yes", ()
        case _:
            return "refused", ()


def requests_of(sent: Sequence[SentRequest], proofs: Sequence[Proof], method: Method) -> list[AskedRequest]:
    """Return the requests, and beside each the proofs that it can have shown."""
    return [
        AskedRequest(
            endpoint=one.endpoint,
            result=one.result,
            milliseconds=int(one.seconds * 1000),
            proofs=_shown(proofs, method, by=one.endpoint) if one.result == "ok" else [],
        )
        for one in sent
    ]


_SHOWN_BY: Final = {
    kind: Endpoint.DOWNLOAD_KEYS if kind is ProofKind.DOWNLOAD_KEY else Endpoint.PURCHASES for kind in ProofKind
}


def _shown(proofs: Sequence[Proof], method: Method, *, by: Endpoint | None = None) -> list[EvidenceBody]:
    """Return the proofs as they are shown: all, or those that requests to one endpoint have.

    By e-mail only their kinds: the same purchase may be shown about an account, which its number or time would betray.
    """
    return [
        EvidenceBody(proof.kind, None, None)
        if method is Method.EMAIL
        else EvidenceBody(proof.kind, proof.id, to_the_second(proof.acquired_at))
        for proof in proofs
        if by is None or _SHOWN_BY[proof.kind] is by
    ]


def past_refusal(refusal: RememberedRefusal) -> PastRefusal:
    """Return a refusal as one of several."""
    return PastRefusal(
        decision_id=refusal.ids[-1],
        at=to_the_second(refusal.at),
        last_at=to_the_second(refusal.last_at),
        count=refusal.count,
        caller=refusal.caller,
        method=refusal.method,
        outcome=refusal.reason.outcome,
        reason=refusal.reason,
        sentence=meaning_of(refusal.reason),
        subject=refusal.subject,
        account=refusal.account,
    )
