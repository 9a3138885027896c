"""Errors as problem details (RFC 9457). The only place that knows which HTTP status an error has."""

import math
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from service.errors import (
    BadQuestion,
    NoCredential,
    NotAuthenticated,
    NotEnabled,
    NotPermitted,
    ProxyRefused,
    QuestionRefused,
    TooManyOverrides,
    TooManyQuestions,
    UnknownChannel,
    UnknownDecision,
    UnknownGame,
    UnknownOverride,
)
from service.http.reply import Reply
from service.observability.labels import RefusalCause

PROBLEM_TYPES: Final = "/docs#"
"""Relative references (RFC 9457 3.1.1): each ends in the code, which the page at `/docs` explains."""

MEDIA_TYPE: Final = "application/problem+json"


class Mistake(Struct, frozen=True):
    """One mistake in a body: a JSON pointer to it (RFC 6901), and its kind."""

    pointer: str
    code: str


class Problem(Struct, frozen=True, kw_only=True):
    """A problem. `code` is for programs, `title` and `detail` for people."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    detail: str | UnsetType = UNSET
    errors: list[Mistake] | UnsetType = UNSET
    retry_after_seconds: int | UnsetType = UNSET


LARGEST_BODY: Final = 16 * 1024
"""Of a question or a batch, in bytes; more is 413."""


def common_headers(request_id: str) -> dict[str, str]:
    """Return the headers that every response has."""
    return {"x-request-id": request_id, "cache-control": "no-store"}


def problem_type(code: str) -> str:
    """Return the reference that names a kind of problem."""
    return PROBLEM_TYPES + code


def problem_reply(
    status: int,
    code: str,
    title: str,
    *,
    request_id: str,
    detail: str | UnsetType = UNSET,
    errors: list[Mistake] | UnsetType = UNSET,
    retry_after: timedelta | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    """Return a problem as a reply."""
    seconds = UNSET if retry_after is None else whole_seconds(retry_after)
    problem = Problem(
        type=problem_type(code),
        title=title,
        status=status,
        code=code,
        request_id=request_id,
        detail=detail,
        errors=errors,
        retry_after_seconds=seconds,
    )
    waits = {} if seconds is UNSET else {"retry-after": str(seconds)}
    fields = common_headers(request_id) | waits | (headers or {})
    return Reply(status, msgspec.json.encode(problem), MEDIA_TYPE, fields)


def whole_seconds(wait: timedelta) -> int:
    """Return the seconds for `Retry-After`: rounded up, and never 0, which would invite a tight loop."""
    return max(1, math.ceil(wait.total_seconds()))


def refusal_reply(refusal: QuestionRefused, *, request_id: str) -> Reply:
    """Return the reply to a caller at fault."""
    match refusal:
        case BadQuestion(pointer=pointer, code=code, detail=detail):
            return problem_reply(
                400,
                code,
                "The body is not a question that the gateway understands",
                request_id=request_id,
                detail=detail,
                errors=[Mistake(pointer, code)],
            )
        case NotAuthenticated(hint=hint):
            return problem_reply(
                401,
                "not_authenticated",
                "This gateway answers only to callers with a token it knows",
                request_id=request_id,
                detail=hint or UNSET,
                headers={"www-authenticate": "Bearer"},
            )
        case NotPermitted(lacking=lacking):
            return problem_reply(
                403, "not_permitted", "The caller may not ask this", request_id=request_id, detail=f"it lacks {lacking}"
            )
        case UnknownGame() | UnknownChannel() | NotEnabled():
            return _not_found_reply(refusal, request_id)
        case UnknownDecision() | UnknownOverride() | TooManyOverrides() | ProxyRefused() | NoCredential():
            return _other_reply(refusal, request_id)
        case TooManyQuestions(limit=limit, retry_after=retry_after):
            code, title = _OVER[limit]
            return problem_reply(429, code, title, request_id=request_id, retry_after=retry_after)
        case _:
            raise AssertionError(f"no status for {type(refusal).__name__}")


def mail_unavailable_reply(request_id: str, retry_after: timedelta) -> Reply:
    """Return the reply to a caller whose mail was not taken by the mail server."""
    title = "The mail server has not taken the mail"
    return problem_reply(503, "mail_unavailable", title, request_id=request_id, retry_after=retry_after)


def _not_found_reply(refusal: UnknownGame | UnknownChannel | NotEnabled, request_id: str) -> Reply:
    if isinstance(refusal, UnknownChannel):
        title = "No such channel is configured for this game"
        return problem_reply(404, "unknown_channel", title, request_id=request_id)
    if isinstance(refusal, UnknownGame):
        title = "No such game is configured here"
        return problem_reply(404, "unknown_game", title, request_id=request_id, detail=refusal.hint)
    detail = f"{refusal.setting} turns it on"
    return problem_reply(404, "not_enabled", "This is not turned on here", request_id=request_id, detail=detail)


def _other_reply(
    refusal: UnknownDecision | UnknownOverride | TooManyOverrides | ProxyRefused | NoCredential, request_id: str
) -> Reply:
    """Return the reply to those who support players, or to a proxy."""
    if isinstance(refusal, ProxyRefused | NoCredential):
        return _proxy_reply(refusal, request_id)
    if isinstance(refusal, UnknownDecision):
        title = "No refusal of that id is remembered, or none any more"
        return problem_reply(404, "unknown_decision", title, request_id=request_id)
    if isinstance(refusal, UnknownOverride):
        title = "There is no such override, or none any more"
        return problem_reply(404, "unknown_override", title, request_id=request_id)
    title = "The game has as many overrides as it may have"
    return problem_reply(409, "too_many_overrides", title, request_id=request_id)


def _proxy_reply(refusal: ProxyRefused | NoCredential, request_id: str) -> Reply:
    if isinstance(refusal, ProxyRefused):  # not 401, which would tell players to log in; and no word about why to them
        title = "The proxy may not ask here; the log of the gateway says why, under this request id"
        return problem_reply(503, "forward_auth_refused", title, request_id=request_id)
    title = "The policy of this place demands a credential, and only one"
    headers = {"www-authenticate": "Bearer"}
    return problem_reply(401, "no_credential", title, request_id=request_id, detail=refusal.hint, headers=headers)


_OVER: Final = {
    "rate": ("too_many_questions", "The caller asks more than its rate allows"),
    "failed_keys": ("too_many_failed_keys", "Too many of the caller's download keys or JWTs were no good lately"),
    "challenges": ("too_many_challenges", "As many codes were mailed lately as may be"),
}


def cause_of(refusal: QuestionRefused) -> RefusalCause:
    """Return the cause under which a refusal is counted."""
    if isinstance(refusal, TooManyQuestions):
        return RefusalCause.FAILED_KEYS if refusal.limit == "failed_keys" else RefusalCause.RATE
    return _CAUSES[type(refusal)]


_CAUSES: Final[dict[type[QuestionRefused], RefusalCause]] = {
    BadQuestion: RefusalCause.BAD_QUESTION,
    NotAuthenticated: RefusalCause.NOT_AUTHENTICATED,
    NotPermitted: RefusalCause.NOT_PERMITTED,
    UnknownGame: RefusalCause.UNKNOWN_GAME,
    UnknownChannel: RefusalCause.UNKNOWN_GAME,
    UnknownDecision: RefusalCause.UNKNOWN_DECISION,
    NotEnabled: RefusalCause.BAD_QUESTION,
    UnknownOverride: RefusalCause.UNKNOWN_OVERRIDE,
    TooManyOverrides: RefusalCause.TOO_MANY_OVERRIDES,
    ProxyRefused: RefusalCause.FORWARD_AUTH,
    NoCredential: RefusalCause.NO_CREDENTIAL,
}


def status_reply(status: int, *, request_id: str, headers: dict[str, str] | None = None) -> Reply:
    """Return a problem for what the HTTP layer itself refuses: wrong route, method, media type or size."""
    code, title = _HTTP.get(status, ("internal_error", "A bug of the gateway's; the log has it under this request id"))
    if code == "internal_error":
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem_reply(status, code, title, request_id=request_id, headers=headers)


_HTTP: Final = {
    400: ("bad_request", "The request is not one that the gateway understands"),
    404: ("unknown_route", "There is nothing here"),
    405: ("method_not_allowed", "This endpoint does not take that method"),
    408: ("request_timeout", "The body did not arrive in time"),
    413: ("body_too_large", "The body is larger than 16 KiB"),
    415: ("unsupported_media_type", "The body must be sent as application/json, and not compressed"),
    505: ("unsupported_version", "The gateway speaks HTTP/1.1 and HTTP/1.0"),
}

REFUSED_WITH: Final = tuple(sorted({*_HTTP, 401, 403, 409, 429, 500}))
"""The statuses of all problems but those that are also decisions."""
