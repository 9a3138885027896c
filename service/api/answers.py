"""Verdicts as callers see them: bodies and headers."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from service.api.answer_bodies import (
    TITLES,
    Answer,
    NoAnswerProblem,
    ShedProblem,
    evidence_body,
    player_body,
    to_the_second,
)
from service.api.problems import MEDIA_TYPE, Reply, problem_type, whole_seconds
from service.observability.verified_lines import Given
from service.ownership import CacheTier, Decision, Outcome, Reason
from service.verification.question import Verdict

_END: Final = b'"}'
"""What follows the decision's id, the last member of an answer."""

_UNKNOWN_WAIT_SECONDS: Final = 1.0
_UNKNOWN_WAIT_SPREAD_SECONDS: Final = 4.0

_DAY: Final = 86_400
_RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\nage: %d\r\n"
    b"cache-status: ownership-gateway; hit; ttl=%d; detail=%b\r\nx-request-id: %b\r\ncache-control: no-store\r\n"
    b"\r\n%b%b%b"
)
_TIERS: Final = {tier: tier.encode("ascii") for tier in CacheTier}


class AnswerForm(Struct, frozen=True, gc=False):
    """An answer from a cache, but for what is about whoever gets it, and when; `body` goes up to the decision's id."""

    body: bytes
    observed_at: datetime
    fresh_until: datetime
    tier: bytes


class AnswerWriter:
    """Makes replies. `jitter` returns numbers from 0 to 1, so that those who must come back do not come all at once."""

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._encoder = msgspec.json.Encoder()

    def reply(self, verdict: Verdict, *, now: datetime, decision_id: str, request_id: str) -> Reply:
        """Return 200 for every outcome but `unknown`, which is 503 with `Retry-After`."""
        if verdict.decision.outcome is Outcome.UNKNOWN:
            return self._no_answer(verdict, decision_id, request_id)
        return self._answer(verdict, now, decision_id)

    def prepare(self, verdict: Verdict) -> AnswerForm:
        """Return what of the answer to a verdict from a cache is the same for whoever gets it."""
        decision = verdict.decision
        if decision.observed_at is None or decision.fresh_until is None:
            raise AssertionError("what was observed, was observed at some time")
        body = self._body(verdict, "").removesuffix(_END)
        return AnswerForm(body, decision.observed_at, decision.fresh_until, _TIERS[verdict.cache])

    def fill_in(self, form: AnswerForm, given: Given, fields: bytes) -> bytes:
        """Return the answer as a whole response, with the headers that any has, and these `fields`."""
        age, left = given.at - form.observed_at, form.fresh_until - given.at
        return _RESPONSE % (
            fields,
            len(form.body) + len(given.decision_id) + len(_END),
            max(0, age.days * _DAY + age.seconds),
            left.days * _DAY + left.seconds,
            form.tier,
            given.request_id.encode("ascii"),
            form.body,
            given.decision_id.encode("ascii"),
            _END,
        )

    def _answer(self, verdict: Verdict, now: datetime, decision_id: str) -> Reply:
        headers = _cache_headers(verdict.decision, verdict.cache, now)
        return Reply(200, self._body(verdict, decision_id), headers=headers)

    def _body(self, verdict: Verdict, decision_id: str) -> bytes:
        decision, outcome = verdict.decision, verdict.decision.outcome
        body = Answer(
            allowed=outcome.allowed,
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
            decision_id=decision_id,
        )
        return self._encoder.encode(body)

    def _no_answer(self, verdict: Verdict, decision_id: str, request_id: str) -> Reply:
        decision = verdict.decision
        wait = verdict.retry_after or timedelta(
            seconds=_UNKNOWN_WAIT_SECONDS + _UNKNOWN_WAIT_SPREAD_SECONDS * self._jitter()
        )
        seconds = whole_seconds(wait)
        body = NoAnswerProblem(
            type=problem_type(decision.reason),
            title=TITLES[decision.reason],
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
            decision_id=decision_id,
        )
        return Reply(503, self._encoder.encode(body), MEDIA_TYPE, {"retry-after": str(seconds)})


def shed_reply(*, request_id: str, retry_after_seconds: int) -> Reply:
    """Return what is told to whoever comes on top of what can be taken on."""
    body = ShedProblem(
        type=problem_type(Reason.OVERLOADED),
        title="The gateway has more to do than it can take on",
        status=503,
        code=Reason.OVERLOADED,
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
    )
    return Reply(503, msgspec.json.encode(body), MEDIA_TYPE, {"retry-after": str(retry_after_seconds)})


def _cache_headers(decision: Decision, cache: CacheTier, now: datetime) -> dict[str, str]:
    """Return `Age` (RFC 9111 5.1) and `Cache-Status` (RFC 9211); a negative `ttl` says that the answer is stale."""
    if decision.observed_at is None or decision.fresh_until is None:
        return {"cache-status": "ownership-gateway"}
    age = max(0, int((now - decision.observed_at).total_seconds()))
    if cache is CacheTier.NONE:
        return {"age": str(age), "cache-status": "ownership-gateway; fwd=miss; stored"}
    left = int((decision.fresh_until - now).total_seconds())
    return {"age": str(age), "cache-status": f"ownership-gateway; hit; ttl={left}; detail={cache}"}
