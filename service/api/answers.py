"""Answers as callers see them: bodies, the headers that go with them, and how both are made from verdicts."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeAlias, overload

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.advice import Advice, advice_on
from service.api.problems import MEDIA_TYPE, common_headers, problem_type, whole_seconds
from service.http.reply import Reply
from service.ownership import (
    CacheTier,
    Caveat,
    Decision,
    Method,
    Outcome,
    Player,
    Proof,
    ProofKind,
    Reason,
)
from service.verification.question import Verdict

_UNKNOWN_WAIT_SECONDS: Final = 1.0
_UNKNOWN_WAIT_JITTER_SECONDS: Final = 4.0


Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An instant in UTC."""


class PlayerBody(Struct, frozen=True):
    """The player, as far as the store has named them."""

    id: int
    username: str | None
    display_name: str | None


class EvidenceBody(Struct, frozen=True):
    """The proof of ownership; times are in UTC."""

    kind: ProofKind
    id: int | None
    acquired_at: Instant | None


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a question; act on `allowed` alone, the rest says why. Times are in UTC."""

    allowed: bool
    outcome: Outcome
    reason: Reason
    game_id: int
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
    decision_id: str


class PassBody(Struct, frozen=True):
    """A pass: `value` is a JWT that others check with the published keys."""

    value: str
    expires_at: Instant


class AnswerWithPass(Answer, frozen=True, kw_only=True):
    """The answer to a question, and the pass that was asked for: null unless `allowed`, or if it would end at once."""

    issued: PassBody | None = msgspec.field(name="pass")


class NoAnswerProblem(Struct, frozen=True, kw_only=True):
    """No usable answer: a problem and a decision in one, so that either reading of it is right.

    A gateway with too much to do has not read the question: then all is absent that only the question says.
    """

    type: str
    title: str
    status: int
    code: Reason
    request_id: str
    retry_after_seconds: int
    allowed: bool
    outcome: Outcome
    reason: Reason
    advice: Advice | None
    game_id: int | UnsetType = UNSET
    method: Method | UnsetType = UNSET
    player: PlayerBody | UnsetType | None = UNSET
    evidence: EvidenceBody | UnsetType | None = UNSET
    caveats: tuple[Caveat, ...] | UnsetType = UNSET
    decision_id: str | UnsetType = UNSET


TITLES: Final = {
    Reason.SOURCE_UNAVAILABLE: "itch.io cannot be reached or is broken",
    Reason.SOURCE_RATE_LIMITED: "itch.io is throttling us",
    Reason.SOURCE_PROTOCOL: "itch.io answered in a way that no decision can be built on",
    Reason.GATEWAY_CREDENTIAL: "itch.io refuses the gateway's own API key",
    Reason.GAME_NOT_ACCESSIBLE: "The gateway's API key cannot see this game",
    Reason.NOT_CACHED: "Nothing recent enough is known, and itch.io was not to be asked",
    Reason.DEADLINE_EXCEEDED: "itch.io had not answered when the time was up",
    Reason.OVERLOADED: "More is being asked than itch.io may be asked",
    Reason.ISSUER_UNAVAILABLE: "The keys of the id token's issuer cannot be had",
}


TITLES_OF_RELAY: Final = TITLES | {
    Reason.SOURCE_UNAVAILABLE: "The hub of this relay, or itch.io behind it, cannot be reached or is broken",
    Reason.SOURCE_PROTOCOL: "The hub of this relay, or itch.io behind it, gave an answer to build no decision on",
    Reason.GATEWAY_CREDENTIAL: "The hub refuses this relay's token or question, or itch.io the hub's API key",
    Reason.GAME_NOT_ACCESSIBLE: "The hub of this relay does not know the game, or its API key cannot see it",
    Reason.OVERLOADED: "More is being asked than the hub, or itch.io, may be asked",
}


class AnswerWriter:
    """Makes replies. `jitter` returns numbers from 0 to 1: callers that must ask again shall not all ask at once."""

    def __init__(self, *, jitter: Callable[[], float], titles: Mapping[Reason, str] = TITLES) -> None:
        self._jitter = jitter
        self._titles = titles
        self._encoder = msgspec.json.Encoder()

    def reply(self, verdict: Verdict, *, now: datetime, decision_id: str, request_id: str) -> Reply:
        """Return 200 for every outcome but `unknown`, which is 503 with `Retry-After`."""
        decision = verdict.decision
        outcome = decision.outcome
        if outcome is Outcome.UNKNOWN:
            return self._no_answer(verdict, decision_id, request_id)
        allowed = outcome.allowed
        body = Answer(
            allowed=allowed,
            outcome=outcome,
            reason=decision.reason,
            game_id=decision.game_id,
            method=decision.method,
            player=player_body(decision.player),
            evidence=evidence_body(decision.proof),
            observed_at=to_the_second(decision.observed_at),
            fresh_until=to_the_second(decision.fresh_until),
            usable_until=to_the_second(decision.usable_until),
            stale=decision.stale,
            cache=verdict.cache,
            caveats=decision.caveats,
            advice=None if allowed else advice_on(decision.reason, decision.caveats),
            decision_id=decision_id,
        )
        headers = common_headers(request_id) | _cache_headers(decision, verdict.cache, now)
        return Reply(200, self._encoder.encode(body), headers=headers)

    def with_pass(self, reply: Reply, issued: PassBody | None) -> Reply:
        """Return an answer with the pass as its last field; what is no answer stays as it is."""
        if reply.status != 200:  # noqa: PLR2004 - HTTP's own number
            return reply
        body = reply.body[:-1] + b',"pass":' + self._encoder.encode(issued) + b"}"
        return Reply(reply.status, body, reply.media_type, reply.headers)

    def _no_answer(self, verdict: Verdict, decision_id: str, request_id: str) -> Reply:
        decision = verdict.decision
        seconds = seconds_to_wait(verdict, self._jitter)
        body = NoAnswerProblem(
            type=problem_type(decision.reason),
            title=self._titles[decision.reason],
            status=503,
            code=decision.reason,
            request_id=request_id,
            retry_after_seconds=seconds,
            allowed=decision.allowed,
            outcome=decision.outcome,
            reason=decision.reason,
            game_id=decision.game_id,
            method=decision.method,
            player=player_body(decision.player),
            evidence=evidence_body(decision.proof),
            caveats=decision.caveats,
            advice=advice_on(decision.reason, decision.caveats),
            decision_id=decision_id,
        )
        return Reply(
            503, self._encoder.encode(body), MEDIA_TYPE, common_headers(request_id) | {"retry-after": str(seconds)}
        )


def seconds_to_wait(verdict: Verdict, jitter: Callable[[], float]) -> int:
    """Return the seconds after which a question without an answer should be asked again."""
    wait = verdict.retry_after or timedelta(seconds=_UNKNOWN_WAIT_SECONDS + _UNKNOWN_WAIT_JITTER_SECONDS * jitter())
    return whole_seconds(wait)


def shed_reply(*, request_id: str, retry_after_seconds: int) -> Reply:
    """Return the reply to a request on top of what can be taken on."""
    title = "The gateway has more to do than it can take on"
    return no_answer_reply(Reason.OVERLOADED, title, request_id=request_id, retry_after_seconds=retry_after_seconds)


def no_answer_reply(reason: Reason, title: str, *, request_id: str, retry_after_seconds: int) -> Reply:
    """Return the reply to a request without an answer, which was about no player, or was not read."""
    body = NoAnswerProblem(
        type=problem_type(reason),
        title=title,
        status=503,
        code=reason,
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
        allowed=False,
        outcome=Outcome.UNKNOWN,
        reason=reason,
        advice=Advice.TRY_AGAIN,
    )
    headers = common_headers(request_id) | {"retry-after": str(retry_after_seconds)}
    return Reply(503, msgspec.json.encode(body), MEDIA_TYPE, headers)


def _cache_headers(decision: Decision, cache: CacheTier, now: datetime) -> dict[str, str]:
    """Return `Age` (RFC 9111 5.1) and `Cache-Status` (RFC 9211); a negative `ttl` says that the answer is stale."""
    if decision.observed_at is None or decision.fresh_until is None:
        return {"cache-status": "ownership-gateway"}
    age = max(0, int((now - decision.observed_at).total_seconds()))
    if cache is CacheTier.NONE:
        return {"age": str(age), "cache-status": "ownership-gateway; fwd=miss; stored"}
    left = int((decision.fresh_until - now).total_seconds())
    return {"age": str(age), "cache-status": f"ownership-gateway; hit; ttl={left}; detail={cache}"}


def player_body(player: Player | None) -> PlayerBody | None:
    """Return the player as callers see them."""
    return None if player is None else PlayerBody(player.id, player.username, player.display_name)


def evidence_body(proof: Proof | None) -> EvidenceBody | None:
    """Return the proof as callers see it."""
    return None if proof is None else EvidenceBody(proof.kind, proof.id, to_the_second(proof.acquired_at))


@overload
def to_the_second(at: datetime) -> datetime: ...
@overload
def to_the_second(at: datetime | None) -> datetime | None: ...
def to_the_second(at: datetime | None) -> datetime | None:
    """Return the instant without its fraction of a second: no answer is as precise as that."""
    return at if at is None or not at.microsecond else at - timedelta(0, 0, at.microsecond)
