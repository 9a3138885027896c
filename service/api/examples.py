"""An example of each body in the description of the API, made by the code that makes the bodies.

The questions are ones that the sandbox answers as their examples say.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from service.advice import Advice
from service.api.admin import Invalidated, RevocationsSet
from service.api.answers import Answer, AnswerWithPass, EvidenceBody, NoAnswerProblem, PassBody, PlayerBody, shed_reply
from service.api.challenge_bodies import ChallengeBegun, CodeAnswer
from service.api.channel_body import ChannelAnswer
from service.api.explained import ExplainedDecision, Explanation, PastRefusal, RememberedAnswer
from service.api.gateway_state import BudgetState, CallerState, GameState, GatewayState, RecentAnswers
from service.api.operations import Alive, Health, RunningVersion
from service.api.overrides import OverrideBody, OverrideSet
from service.api.pass_bodies import PublicKey, PublicKeys, VoidPassesBody
from service.api.problems import mail_unavailable_reply, problem_type, refusal_reply, status_reply
from service.api.redeem_bodies import RedeemAnswer, SubProductPurchase
from service.causes import Cause
from service.challenge_reason import ChallengeReason
from service.errors import (
    BadQuestion,
    NotAuthenticated,
    NotPermitted,
    QuestionRefused,
    TooManyOverrides,
    TooManyQuestions,
    UnknownChannel,
    UnknownDecision,
    UnknownGame,
    UnknownOverride,
)
from service.explanation import Story, meaning_of, tell, tell_causes, tell_states
from service.ownership import CacheTier, Caveat, Method, Outcome, OverrideWord, ProofKind, Reason
from service.redeem.redeem_reason import RedeemReason
from service.rights import Right

_REQUEST_ID: Final = "01M7Y5ND2H23KRH53CYKY6VVKM"
_DECISION_ID: Final = "01M7Y5NCZWHYPPN1HH559FP964"
_ASKED_AT: Final = datetime(2026, 11, 21, 4, 26, 5, tzinfo=UTC)
_PAID_AT: Final = datetime(2014, 2, 28, 0, 25, 9, tzinfo=UTC)
_GAME_ID: Final = 3
_PLAYER_ID: Final = 1994
_KEY: Final = "YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z"
_ACCESS_TOKEN: Final = "3e1b2c5a9d8f7e6b5a4c3d2e1f0a9b8c7d6e5f4a"  # noqa: S105 - an example
_SEALED: Final = "cNQEkLo5w2AfGx5AyCMYFIwfRBHTKPJM0KwiPoXP5RVGL52oMie6FbHj…"
_JWT: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxOTk0In0.c2lnbmF0dXJl"

_OWNED: Final = Answer(
    allowed=True,
    outcome=Outcome.OWNED,
    reason=Reason.DOWNLOAD_KEY,
    game_id=_GAME_ID,
    method=Method.DOWNLOAD_KEY,
    player=PlayerBody(_PLAYER_ID, "amos", "Amos"),
    evidence=EvidenceBody(ProofKind.DOWNLOAD_KEY, 124, _PAID_AT),
    observed_at=_ASKED_AT,
    fresh_until=_ASKED_AT + timedelta(hours=1),
    usable_until=_ASKED_AT + timedelta(days=1),
    stale=False,
    cache=CacheTier.NONE,
    caveats=(Caveat.SANDBOX,),
    advice=None,
    decision_id=_DECISION_ID,
)
_NO_EVIDENCE: Final = msgspec.structs.replace(
    _OWNED, player=None, evidence=None, observed_at=None, fresh_until=None, usable_until=None
)
_NOT_OWNED: Final = msgspec.structs.replace(
    _NO_EVIDENCE,
    allowed=False,
    outcome=Outcome.NOT_OWNED,
    reason=Reason.NO_DOWNLOAD_KEY,
    method=Method.USER,
    player=PlayerBody(2007, None, None),
    observed_at=_ASKED_AT,
    fresh_until=_ASKED_AT + timedelta(seconds=45),
    usable_until=_ASKED_AT + timedelta(seconds=45),
    caveats=(Caveat.SANDBOX, Caveat.BUNDLE_KEY_MAY_BE_UNCLAIMED),
    advice=Advice.OPEN_GAME_ONCE,
)
_ANSWERS: Final = (
    _OWNED,
    msgspec.structs.replace(
        _NO_EVIDENCE,
        outcome=Outcome.GRANTED,
        reason=Reason.SELLER_ACCOUNT,
        method=Method.USER,
        player=PlayerBody(29789, None, None),
    ),
    _NOT_OWNED,
    msgspec.structs.replace(
        _NO_EVIDENCE,
        allowed=False,
        outcome=Outcome.BANNED,
        reason=Reason.OPERATOR_BAN,
        method=Method.USER,
        player=PlayerBody(_PLAYER_ID, None, None),
    ),
    msgspec.structs.replace(
        _NO_EVIDENCE,
        allowed=False,
        outcome=Outcome.REJECTED,
        reason=Reason.MALFORMED_DOWNLOAD_KEY,
        advice=Advice.COPY_KEY_AGAIN,
    ),
)
_NO_ANSWER: Final = NoAnswerProblem(
    type=problem_type(Reason.SOURCE_RATE_LIMITED),
    title="itch.io is throttling us",
    status=503,
    code=Reason.SOURCE_RATE_LIMITED,
    request_id=_REQUEST_ID,
    retry_after_seconds=7,
    allowed=False,
    outcome=Outcome.UNKNOWN,
    reason=Reason.SOURCE_RATE_LIMITED,
    game_id=_GAME_ID,
    method=Method.USER,
    player=None,
    evidence=None,
    caveats=(Caveat.SANDBOX,),
    advice=Advice.TRY_AGAIN,
    decision_id=_DECISION_ID,
)
_SHED: Final = shed_reply(request_id=_REQUEST_ID, retry_after_seconds=1).body

_REFUSALS: Final[Mapping[str, QuestionRefused]] = {
    "400": BadQuestion("/game", "missing_field", "this field is required"),
    "401": NotAuthenticated(),
    "403": NotPermitted("the right verify"),
    "404": UnknownGame("configured are: x-moon"),
    "409": TooManyOverrides(),
    "unknown_channel": UnknownChannel(),
    "unknown_decision": UnknownDecision(),
    "unknown_override": UnknownOverride(),
    "429": TooManyQuestions("rate", retry_after=timedelta(seconds=1)),
}

_HEALTH: Final = {"source": "ok", "credential": "ok", "revocations": "ok", "redis": "disabled", "secrets": "disabled"}

OVERRIDE_ID: Final = "4f0c2f6d6d5b4c0e9a1d3b7c8e2f1a90"
_OVERRIDE: Final = OverrideBody(
    id=OVERRIDE_ID,
    game_id=_GAME_ID,
    method=Method.USER,
    user_id=2007,
    subject="9f1c2ab34d5e6f70",
    word=OverrideWord.GRANT,
    until=_ASKED_AT + timedelta(days=7),
    by="support",
    note="ticket 4711",
    at=_ASKED_AT,
)

_EXPLAINED_AT: Final = _ASKED_AT + timedelta(minutes=3)
_STORY: Final = Story(
    reason=_NOT_OWNED.reason,
    now=_EXPLAINED_AT,
    caveats=_NOT_OWNED.caveats,
    observed_at=_NOT_OWNED.observed_at,
    count=2,
)
_EXPLANATION: Final = Explanation(
    **msgspec.structs.asdict(tell(_STORY)),
    missing_rights=[],
    decision=ExplainedDecision(
        decision_id=_DECISION_ID,
        at=_ASKED_AT,
        last_at=_ASKED_AT + timedelta(seconds=6),
        count=2,
        caller="lobby",
        allowed=False,
        outcome=_NOT_OWNED.outcome,
        reason=_NOT_OWNED.reason,
        game_id=_GAME_ID,
        game="x-moon",
        method=Method.USER,
        player=_NOT_OWNED.player,
        evidence=None,
        observed_at=_NOT_OWNED.observed_at,
        fresh_until=_NOT_OWNED.fresh_until,
        usable_until=_NOT_OWNED.usable_until,
        stale=False,
        cache=CacheTier.NONE,
        caveats=_NOT_OWNED.caveats,
        advice=_NOT_OWNED.advice,
        subject="9f1c2ab34d5e6f70",
        account="9f1c2ab34d5e6f70",
    ),
    remembered=[
        RememberedAnswer(
            tier=CacheTier.MEMORY,
            about="ownership",
            says="no",
            proofs=[],
            observed_at=_ASKED_AT,
            age_seconds=180,
            counts=False,
        )
    ],
    operator=None,
    requests=[],
    refusals=[
        PastRefusal(
            decision_id=_DECISION_ID,
            at=_ASKED_AT,
            last_at=_ASKED_AT + timedelta(seconds=6),
            count=2,
            caller="lobby",
            method=Method.USER,
            outcome=_NOT_OWNED.outcome,
            reason=_NOT_OWNED.reason,
            sentence=meaning_of(_NOT_OWNED.reason),
            subject="9f1c2ab34d5e6f70",
            account="9f1c2ab34d5e6f70",
        )
    ],
    components=_HEALTH,
    causes={},
)
_KID: Final = "3fAWuBvTDfHR9KSLOPXjhAcnVGTrC6nUv7kJJmNQXfs"
_PASS: Final = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJpdGNoOjE5OTQifQ.c2lnbmF0dXJl"  # noqa: S105 - an example
_WITH_PASS: Final = AnswerWithPass(
    **msgspec.structs.asdict(_OWNED), issued=PassBody(_PASS, _ASKED_AT + timedelta(minutes=15))
)
_WITHOUT_PASS: Final = AnswerWithPass(**msgspec.structs.asdict(_NOT_OWNED), issued=None)

_VERSION: Final = ChannelAnswer(
    game_id=_GAME_ID,
    channel="windows",
    latest="1.2.3",
    observed_at=_ASKED_AT,
    fresh_until=_ASKED_AT + timedelta(seconds=60),
    stale=False,
    cache=CacheTier.NONE,
)

_REDEEMED: Final = RedeemAnswer(
    allowed=True,
    outcome=Outcome.OWNED,
    reason=RedeemReason.SUB_PRODUCT_PURCHASE,
    game_id=_GAME_ID,
    product=101,
    evidence=SubProductPurchase(100),
    external_id="moon-map-pack",
    metadata={"account": "7f3a"},
    caveats=(Caveat.RECORD_PURCHASE_ID_BEFORE_GRANTING,),
    advice=None,
    decision_id=_DECISION_ID,
)
_NOT_REDEEMED: Final = RedeemAnswer(
    allowed=False,
    outcome=Outcome.REJECTED,
    reason=RedeemReason.EXPIRED_REDEEM_JWT,
    game_id=_GAME_ID,
    caveats=(),
    advice=Advice.OPEN_REDEEM_LINK_AGAIN,
    decision_id=_DECISION_ID,
)

Examples = Mapping[str, object]
"""Values by name, as they are in JSON."""


def examples_of(schema: str) -> Examples:
    """Return the examples of a body, by names that say what each is about."""
    return _EXAMPLES[schema]


def problem_examples(kind: str) -> Examples:
    """Return the example of a refusal, by its status, or by its code where it is a rarer one of the same status."""
    refusal = _REFUSALS.get(kind)
    reply = (
        status_reply(int(kind), request_id=_REQUEST_ID)
        if refusal is None
        else refusal_reply(refusal, request_id=_REQUEST_ID)
    )
    problem = msgspec.json.decode(reply.body)
    return {problem["code"]: problem}


def _plain(value: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(value))


_EXAMPLES: Final[Mapping[str, Examples]] = {
    "DownloadKeyQuestion": {
        "key": {"game": "x-moon", "download_key": _KEY},
        "url": {"game": _GAME_ID, "download_key": f"https://leafo.itch.io/x-moon/download/{_KEY}", "deadline_ms": 2000},
    },
    "JwtQuestion": {"jwt": {"game": "x-moon", "jwt": _JWT}},
    "AccessTokenQuestion": {"token": {"game": "x-moon", "access_token": _ACCESS_TOKEN}},
    "EmailQuestion": {"address": {"game": "x-moon", "email": "bea@example.com"}},
    "UserQuestion": {"user": {"game": "x-moon", "user_id": _PLAYER_ID, "max_age": 3600}},
    "PassQuestion": {"pass": {"game": "x-moon", "pass": _PASS, "player_ref": "lobby:7f3a"}},
    "Order": {
        "key": {"method": "download_key", "game": "x-moon", "download_key": _KEY, "player_ref": "lobby:7f3a"},
        "renewal": {"method": "pass", "game": "x-moon", "pass": _PASS, "audience": "server-42"},
    },
    "AnswerWithPass": {"pass": _plain(_WITH_PASS), "none": _plain(_WITHOUT_PASS)},
    "ChallengeRequest": {"code": {"game": "x-moon", "email": "player@example.com", "player_ref": "lobby:7f3a"}},
    "ChallengeBegun": {
        "begun": _plain(
            ChallengeBegun(_SEALED, _ASKED_AT + timedelta(minutes=10), _ASKED_AT + timedelta(seconds=61)),
        )
    },
    "CodeRequest": {"code": {"challenge": _SEALED, "code": "29747754"}},
    "CodeAnswer": {
        "confirmed": _plain(
            CodeAnswer(confirmed=True, proof=_SEALED, expires_at=_ASKED_AT + timedelta(minutes=30)),
        ),
        "wrong": _plain(CodeAnswer(confirmed=False, reason=ChallengeReason.WRONG_CODE, tries_left=4)),
    },
    "MailProblem": {
        "overloaded": msgspec.json.decode(_SHED),
        "mail_unavailable": msgspec.json.decode(mail_unavailable_reply(_REQUEST_ID, timedelta(seconds=10)).body),
    },
    "PublicKeys": {
        "one": _plain(PublicKeys([PublicKey("RSA", "sig", "RS256", _KID, "u1SU1LfVLPHCozMxH2Mo…", "AQAB")]))
    },
    "VoidPassesBody": {"one": _plain(VoidPassesBody(1_795_235_165, {"q83vEjRWeJAB": 1_795_235_160.25}))},
    "Batch": {
        "two": {
            "items": [
                {"id": "a", "method": "download_key", "game": _GAME_ID, "download_key": _KEY},
                {"id": "b", "method": "user", "game": _GAME_ID, "user_id": 2007},
            ]
        }
    },
    "Invalidation": {
        "player": {"game": "x-moon", "user_id": _PLAYER_ID},
        "everybody": {"game": "x-moon"},
    },
    "Revocations": {"believe": {"game": "x-moon", "believe": True, "seconds": 3600}},
    "Answer": {str(answer.outcome): _plain(answer) for answer in _ANSWERS},
    "NoAnswerProblem": {"unknown": _plain(_NO_ANSWER), "overloaded": msgspec.json.decode(_SHED)},
    "RedeemQuestion": {"token": {"game": "x-moon", "redeem_jwt": _JWT}},
    "RedeemAnswer": {"sold": _plain(_REDEEMED), "expired": _plain(_NOT_REDEEMED)},
    "ChannelAnswer": {"newest": _plain(_VERSION)},
    "BatchAnswer": {
        "three": {
            "results": [
                {"id": "a", "status": 200, "decision": _plain(_OWNED)},
                {"id": "b", "status": 503, "problem": _plain(_NO_ANSWER)},
                {"id": "c", "status": 404, "problem": problem_examples("404")["unknown_game"]},
            ]
        }
    },
    "Invalidated": {"player": _plain(Invalidated(_GAME_ID, "9f1c2ab34d5e6f70", _ASKED_AT))},
    "RevocationsSet": {"believe": _plain(RevocationsSet(_GAME_ID, believe=True, until=_ASKED_AT))},
    "OverrideRequest": {
        "grant": {"game": "x-moon", "user_id": 2007, "word": "grant", "seconds": 604_800, "note": "ticket 4711"},
    },
    "OverrideSet": {"grant": _plain(OverrideSet(**msgspec.structs.asdict(_OVERRIDE), replicas="all"))},
    "ExplainRequest": {
        "decision": {"decision_id": _DECISION_ID},
        "player": {"game": "x-moon", "user_id": 2007},
        "asked": {"game": "x-moon", "download_key": _KEY, "ask": True},
    },
    "Explanation": {"refused": _plain(_EXPLANATION)},
    "overrides": {"one": [_plain(_OVERRIDE)]},
    "Alive": {"alive": _plain(Alive())},
    "Health": {
        "ready": _plain(Health("ready", _HEALTH)),
        "draining": _plain(Health("draining", _HEALTH | {"redis": "unavailable"}, {"redis": Cause.REFUSED})),
    },
    "GatewayState": {
        "outage": _plain(
            GatewayState(
                version="0.1.0",
                sandbox=False,
                caller=CallerState("support-anna", (Right.OVERRIDE, Right.SUPPORT)),
                games=(GameState(_GAME_ID, "x-moon"),),
                status="ready",
                components=_HEALTH | {"source": "unavailable"},
                causes={"source": Cause.TIMEOUT},
                sentences=tell_states({"source": "unavailable"}, {"source": Cause.TIMEOUT}),
                why=tell_causes({"source": Cause.TIMEOUT}),
                source_asked_at=datetime(2026, 11, 21, 4, 26, 5, tzinfo=UTC),
                budget=BudgetState(paused_seconds=0.0, waiting=4),
                answers=RecentAnswers(seconds=300, given=1203, unknown=17),
            )
        )
    },
    "RunningVersion": {"version": _plain(RunningVersion("0.1.0", sandbox=False))},
}
