"""The hub's answers, read: a decision, or the `NoAnswer` that each refusal of the hub is to a relay.

Fields that are not known are ignored, caveats that are not known are left out. An outcome or a reason that is not known
is no answer, nor is one about another game or by another method than was asked.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from service.causes import Cause
from service.errors import (
    DeadlineExceeded,
    GameNotAccessible,
    GatewayCredentialRefused,
    HubSilent,
    IssuerUnavailable,
    NoAnswer,
    NotCached,
    NotEnabled,
    Overloaded,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.ownership import LARGEST_ID, Caveat, Outcome, Player, PlayerId, Proof, ProofKind, Reason
from service.retry_after import read_http_date
from service.verification.told import Inquiry, ToldDecision

OK: Final = 200
GOOD: Final = frozenset({OK, 202})
"""The statuses of answers that are no problems: a code is mailed with 202."""
NOT_AUTHENTICATED: Final = 401
NOT_PERMITTED: Final = 403
NOT_FOUND: Final = 404
TOO_MANY: Final = 429
UNAVAILABLE: Final = 503
_REDIRECTS: Final = range(300, 400)

_NO_ANSWERS: Final[Mapping[Reason, type[NoAnswer]]] = {
    kind.reason: kind
    for kind in (
        SourceUnavailable,
        SourceRateLimited,
        SourceProtocolError,
        GatewayCredentialRefused,
        GameNotAccessible,
        NotCached,
        DeadlineExceeded,
        Overloaded,
        IssuerUnavailable,
    )
}
_CAVEATS: Final = {str(caveat): caveat for caveat in Caveat}

_LONGEST_WAIT: Final = 24 * 3600
"""Seconds that are believed of a `Retry-After`."""

_DATES: Final = 64

Id: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]


class HubAnswer(Struct, frozen=True):
    """The hub's answer to one question, alone or in a batch. `date` is the hub's time when it was sent, if it says.

    `kept` and `etag` are the text of `Cache-Control` and `ETag`.
    """

    status: int
    body: bytes
    date: datetime | None = None
    kept: str | None = None
    etag: str | None = None


class _Player(Struct, frozen=True):
    id: Id
    username: str | None = None
    display_name: str | None = None


class _Evidence(Struct, frozen=True):
    kind: ProofKind
    id: Id | None = None
    acquired_at: Instant | None = None


class _Decided(Struct, frozen=True, kw_only=True):
    allowed: bool
    outcome: Outcome
    reason: Reason
    game_id: int
    method: str
    player: _Player | None = None
    evidence: _Evidence | None = None
    observed_at: Instant | None = None
    fresh_until: Instant | None = None
    usable_until: Instant | None = None
    stale: bool = False
    caveats: tuple[str, ...] = ()


class HubProblem(Struct, frozen=True, kw_only=True):
    """A problem, as far as a relay acts on it; a refusal of what was not read has neither game nor method."""

    code: str
    allowed: bool = False
    outcome: str = "unknown"
    reason: str = ""
    game_id: int | None = None
    method: str | None = None
    retry_after_seconds: Annotated[int, Meta(ge=0)] | None = None

    @property
    def retry_after(self) -> timedelta | None:
        """The time after which asking again makes sense."""
        seconds = self.retry_after_seconds
        return None if seconds is None else timedelta(seconds=min(seconds, _LONGEST_WAIT))


_read_decided: Final = msgspec.json.Decoder(_Decided).decode
_read_refused: Final = msgspec.json.Decoder(HubProblem).decode


def read_told(answer: HubAnswer, inquiry: Inquiry, *, asked_at: datetime, heard_at: datetime) -> ToldDecision:
    """Return the decision. Raises `NoAnswer` for all that is none; `NotEnabled` where the method is off at the hub."""
    if answer.status != OK:
        raise no_answer_in(answer, inquiry)
    decided = _decoded(_read_decided, answer.body)
    outcome = decided.reason.outcome
    if decided.outcome is not outcome or decided.allowed is not outcome.allowed or outcome is Outcome.UNKNOWN:
        raise SourceProtocolError("the hub's answer contradicts itself")
    if decided.game_id != inquiry.game_id or decided.method != inquiry.method:
        raise SourceProtocolError("the hub's answer is to another question")
    try:
        observed_at, fresh_until, usable_until = _by_our_clock(decided, answer.date, asked_at, heard_at)
        proof = None if decided.evidence is None else _proof_in(decided.evidence)
    except OverflowError:
        raise SourceProtocolError("the hub's answer names an instant that cannot be") from None
    player = decided.player
    return ToldDecision(
        reason=decided.reason,
        asked_at=asked_at,
        heard_at=heard_at,
        player=None if player is None else Player(PlayerId(player.id), player.username, player.display_name),
        proof=proof,
        observed_at=observed_at,
        fresh_until=fresh_until,
        usable_until=usable_until,
        stale=decided.stale,
        caveats=tuple(_CAVEATS[caveat] for caveat in decided.caveats if caveat in _CAVEATS),
    )


def no_answer_in(answer: HubAnswer, inquiry: Inquiry | None) -> NoAnswer | NotEnabled:
    """Return what an answer that is no decision is to a relay."""
    match answer.status:
        case 401:
            return GatewayCredentialRefused("the hub does not know the relay's token")
        case 403:
            return GatewayCredentialRefused("the hub does not let the relay ask this")
        case 502 | 504:
            return HubSilent("what is in front of the hub has no answer", cause=Cause.SERVER_ERROR)
        case status if status in _REDIRECTS:
            return SourceProtocolError("the hub leads elsewhere", cause=Cause.REDIRECT)
        case 404 | 429 | 503:
            return _of_problem(answer, inquiry)
    return SourceProtocolError(f"the hub answered with {answer.status}")


def _of_problem(answer: HubAnswer, inquiry: Inquiry | None) -> NoAnswer | NotEnabled:
    try:
        refused = _decoded(_read_refused, answer.body)
    except SourceProtocolError as unfit:
        if answer.status != UNAVAILABLE:
            return unfit
        return HubSilent("what is in front of the hub has no answer", cause=Cause.SERVER_ERROR)
    told: NoAnswer | NotEnabled = SourceProtocolError(f"the hub answered with {answer.status}")
    match answer.status, refused.code:
        case 404, "unknown_game":
            told = GameNotAccessible("the hub does not know the game")
        case 404, "not_enabled":
            told = NotEnabled("the hub's configuration")
        case 429, _:
            told = Overloaded("the hub lets the relay ask no more now", retry_after=refused.retry_after)
        case 503, code if code in _NO_ANSWERS and refused.reason == code and not refused.allowed:
            told = _NO_ANSWERS[Reason(code)](f"the hub says: {code}", retry_after=refused.retry_after)
            if inquiry is not None and _is_of_another(refused, inquiry):
                told = SourceProtocolError("the hub's answer is to another question")
    return told


def problem_in(answer: HubAnswer) -> HubProblem:
    """Return the problem in an answer, one without a code where there is none."""
    try:
        refused: HubProblem = _decoded(_read_refused, answer.body)
    except SourceProtocolError:
        return HubProblem(code="")
    return refused


def clock_ahead(date: datetime | None, asked_at: datetime, heard_at: datetime) -> timedelta:
    """Return by how much the hub's clock is ahead of ours: nothing where they may agree, else the most that it may be.

    Its time has whole seconds, and was read between the two instants. Instants of the hub less that are never later
    than they should be. Without its time the clocks have to be taken as equal.
    """
    if date is None:
        return timedelta()
    least, most = date - heard_at, date + timedelta(seconds=1) - asked_at
    return timedelta() if least <= timedelta() <= most else most


@lru_cache(maxsize=_DATES)
def read_date(text: str | None) -> datetime | None:
    """Return the instant in a `Date` field."""
    return read_http_date(text)


def _by_our_clock(
    decided: _Decided, date: datetime | None, asked_at: datetime, heard_at: datetime
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Return when it was observed, and until when it is fresh and usable. Raises `OverflowError`."""
    given = (decided.observed_at, decided.fresh_until, decided.usable_until)
    ahead = clock_ahead(date, asked_at, heard_at)
    if decided.observed_at is not None:
        ahead = max(ahead, decided.observed_at - heard_at)  # nothing was observed after it was heard
    observed_at, fresh_until, usable_until = (
        None if each is None else (each - ahead).astimezone(UTC) for each in given
    )
    return observed_at, fresh_until, usable_until


def _proof_in(evidence: _Evidence) -> Proof:
    """Return the proof. Raises `OverflowError`."""
    acquired_at = None if evidence.acquired_at is None else evidence.acquired_at.astimezone(UTC)
    return Proof(evidence.kind, evidence.id, acquired_at)


def _is_of_another(refused: HubProblem, inquiry: Inquiry) -> bool:
    return refused.game_id not in (None, inquiry.game_id) or refused.method not in (None, inquiry.method)


def _decoded(read: Any, body: bytes) -> Any:  # noqa: ANN401 - what the decoder makes
    try:
        return read(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # `ValidationError` is one of the first
        raise SourceProtocolError("the hub's answer has another form than it should have") from None
