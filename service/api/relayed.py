"""The endpoints that a relay hands on to its hub and does not remember, by one table; and those that it has not.

Callers, rights, rates, games and the form of bodies are the relay's own, as everywhere. The hub gets the fields that
came, with the game's number in place of the relay's name for it, and its answer is passed on as it is.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from litestar import Response, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from service.api.answers import TITLES_OF_RELAY, AnswerWriter, no_answer_reply
from service.api.challenge_bodies import ChallengeRequest, CodeRequest
from service.api.dispatch import request_id_of
from service.api.identifiers import make_ulid
from service.api.pass_bodies import Order
from service.api.paths import CHALLENGES_PATH, CONFIRM_PATH, PASSES_PATH, REDEEM_PATH, is_absent_from_relays
from service.api.problems import MEDIA_TYPE, problem_reply, whole_seconds
from service.api.questions import BodyReader
from service.api.redeem_bodies import RedeemQuestion
from service.api.routes import AnyRequest, CallerGate, refuse_request, response
from service.api.verify_service import Asking
from service.errors import DeadlineExceeded, NoAnswer, SourceProtocolError
from service.http.reply import Reply
from service.hub.hub_answers import GOOD, HubAnswer, no_answer_in, problem_in
from service.observability.logs import Logging
from service.ownership import CacheTier, Method, Reason
from service.rights import RIGHTS_FOR, RIGHTS_TO_BEGIN, Right
from service.verification import policy
from service.verification.interfaces import Clock
from service.verification.policy import GameRules
from service.verification.question import Verdict
from service.verification.told import deadline_of_hub

_SILENT_AFTER: Final = timedelta(seconds=1)
_RETRY_SOON: Final = timedelta(seconds=1)


class HandedOn(Struct, frozen=True):
    """One endpoint: `rights` are those that its caller needs, and `reader` reads the body.

    With `decides` the body is a question with fields of its own, whose method needs its rights, too, and the answer is
    a decision about it. `problems` are the codes of the hub's problems that are for the caller to see as they are.
    `method` is that of answers that are about a game, and no decision about a player. With `once` the hub is never sent
    a body twice, because it has an effect. `takes` is the longest that it may take; without it a question's deadline
    is.
    """

    path: str
    rights: Sequence[Right]
    reader: BodyReader
    decides: bool = True
    problems: frozenset[str] = frozenset()
    method: str | None = None
    once: bool = False
    takes: timedelta | None = None


HANDED_ON: Final = (
    HandedOn(PASSES_PATH, (Right.PASS,), BodyReader(Order)),
    HandedOn(
        CHALLENGES_PATH,
        (Right.CHALLENGE,),
        BodyReader(ChallengeRequest),
        decides=False,
        problems=frozenset({"too_many_challenges", "mail_unavailable", "malformed_email"}),
        once=True,
        takes=timedelta(seconds=6),  # a second more than the hub gives its mail server
    ),
    HandedOn(CONFIRM_PATH, (Right.CHALLENGE,), BodyReader(CodeRequest), decides=False, once=True),
    HandedOn(REDEEM_PATH, (Right.VERIFY,), BodyReader(RedeemQuestion), decides=False, method="redeem"),
)
"""All endpoints with a body that are handed on. One more is one more line."""


class HubEndpoints(Protocol):
    """The hub's endpoints."""

    async def post(
        self, path: str, fields: Mapping[str, object], within: timedelta, *, once: bool = False
    ) -> HubAnswer:
        """Return its answer to a body, of any status. Raises `NoAnswer` if there is none.

        The body may be sent twice, unless it is to be sent `once`.
        """


class _Echo(Struct, frozen=True):
    """As much of an answer as says what was asked."""

    game_id: int
    method: str


_read_echo: Final = msgspec.json.Decoder(_Echo).decode


class HandingOn:
    """Hands bodies on to the hub."""

    def __init__(
        self, *, hub: HubEndpoints, writer: AnswerWriter, log: Logging, clock: Clock, default_deadline: timedelta
    ) -> None:
        self._hub = hub
        self._writer = writer
        self._log = log
        self._clock = clock
        self._default_deadline = default_deadline

    async def answer(self, route: HandedOn, body: bytes, asking: Asking) -> Reply:
        """Return the hub's answer, or `unknown` where it has none. Raises `QuestionRefused`."""
        asked = route.reader.read(body)
        rules = self._rules(asked, asking)
        try:
            if route.decides:
                # An address with a proof needs no word of the caller's.
                needed = RIGHTS_FOR if getattr(asked, "proof", None) is None else RIGHTS_TO_BEGIN
                asking.caller.require(*needed[asked.asked_by])
                answer = await self._ask(route, body, rules, asked.deadline_ms)
                _check(answer, rules, asked.asked_by)
            else:
                answer = await self._ask(route, body, rules, None)
                if route.method is not None and answer.status in GOOD:
                    _check(answer, rules, route.method)
        except NoAnswer as no_answer:
            self._say(route, rules, asking, status=503, reason=no_answer.reason)
            return self._unknown(rules, asked.asked_by if route.decides else None, no_answer, asking)
        self._say(route, rules, asking, status=answer.status, reason=None)
        return _passed_on(answer, asking.request_id)

    def _say(
        self, route: HandedOn, rules: GameRules | None, asking: Asking, *, status: int, reason: Reason | None
    ) -> None:
        self._log.logger.info(
            "handed_on",
            path=route.path,
            game=None if rules is None else rules.label,
            caller=asking.caller.name,
            status=status,
            reason=reason,
            request_id=asking.request_id,
        )

    def _rules(self, asked: Any, asking: Asking) -> GameRules | None:  # noqa: ANN401 - what the reader of the route reads
        """Return the rules of the game that the body names, if it does. Raises if it is not the caller's."""
        game = getattr(asked, "game", None)
        if game is None:
            return None
        rules = asking.games.find(game)
        asking.caller.require_game(rules.game_id)
        return rules

    async def _ask(self, route: HandedOn, body: bytes, rules: GameRules | None, deadline_ms: int | None) -> HubAnswer:
        """Return the hub's answer, if it is one for the caller."""
        usual = route.takes or self._default_deadline
        deadline = usual if deadline_ms is None else timedelta(milliseconds=deadline_ms)
        given = deadline_of_hub(deadline)
        fields = msgspec.json.decode(body)
        if rules is not None:
            fields["game"] = rules.game_id
        if route.decides:
            fields["deadline_ms"] = int(given.total_seconds() * 1000)
        try:
            async with self._clock.timeout(deadline):
                answer = await self._hub.post(route.path, fields, given + _SILENT_AFTER, once=route.once)
        except TimeoutError:
            raise DeadlineExceeded(retry_after=_RETRY_SOON) from None
        if answer.status not in GOOD and problem_in(answer).code not in route.problems:
            raise no_answer_in(answer, None)
        return answer

    def _unknown(self, rules: GameRules | None, method: Method | None, no_answer: NoAnswer, asking: Asking) -> Reply:
        reason, now = no_answer.reason, self._clock.now()
        if rules is None or method is None:
            seconds = whole_seconds(no_answer.retry_after or _RETRY_SOON)
            title = TITLES_OF_RELAY[reason]
            return no_answer_reply(reason, title, request_id=asking.request_id, retry_after_seconds=seconds)
        decision = policy.decide_without_evidence(rules, method, reason)
        verdict = Verdict(decision, CacheTier.NONE, no_answer.retry_after)
        return self._writer.reply(verdict, now=now, decision_id=make_ulid(now), request_id=asking.request_id)


def _check(answer: HubAnswer, rules: GameRules | None, method: str) -> None:
    """Raise `SourceProtocolError` unless an answer is about that game, and by that method."""
    try:
        echo = _read_echo(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceProtocolError("the hub's answer has another form than it should have") from None
    if rules is None or (echo.game_id, echo.method) != (rules.game_id, method):
        raise SourceProtocolError("the hub's answer is to another question")


def _passed_on(answer: HubAnswer, request_id: str) -> Reply:
    """Return the hub's answer as it is, with the relay's own name for the request."""
    if answer.status in GOOD:
        return Reply(answer.status, answer.body, headers={"x-request-id": request_id})
    wait = problem_in(answer).retry_after
    fields = {} if wait is None else {"retry-after": str(whole_seconds(wait))}
    problem = msgspec.json.decode(answer.body) | {"request_id": request_id}
    return Reply(answer.status, msgspec.json.encode(problem), MEDIA_TYPE, {"x-request-id": request_id} | fields)


def create_handed_on_routes(
    gate: CallerGate, handing_on: HandingOn, routes: Sequence[HandedOn] = HANDED_ON
) -> list[HTTPRouteHandler]:
    """Return these endpoints."""

    def create(route: HandedOn) -> HTTPRouteHandler:
        async def answer(body: bytes, asking: Asking) -> Reply:
            return await handing_on.answer(route, body, asking)

        @post(route.path, status_code=200)
        async def hand_on(request: AnyRequest) -> Response[bytes]:
            """Hand a body on."""
            return await gate.admit(request, route.rights, answer, counted=True)

        return hand_on

    return [create(route) for route in routes]


def refuse_at_relay(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses; also what a relay has not, and its hub may have."""
    if error.status_code == HTTPStatus.NOT_FOUND and is_absent_from_relays(request.scope["path"]):
        title, detail = "This is not turned on here", "a relay has none: its hub may have it"
        request_id = request_id_of(request.scope)
        return response(problem_reply(404, "not_enabled", title, request_id=request_id, detail=detail))
    return refuse_request(request, error)
