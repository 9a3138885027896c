"""Forward-auth: a proxy asks whether the request of a player may pass. The second entry of the short way.

The question stands in the head: the policy is the first segment of the path, the proxy's token and the player's
credential are fields. Nothing else of it is read: no body, no query, no `Host`, no `X-Forwarded-*`.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from service.api.answers import TITLES, seconds_to_wait
from service.api.callers import LOCAL_CALLER, Caller
from service.api.current_configuration import Configuration, CurrentConfiguration
from service.api.identifiers import request_id_from, trace_id_from
from service.api.paths import FORWARD_AUTH_BELOW
from service.api.policies import Policy
from service.api.problems import MEDIA_TYPE, common_headers, problem_type
from service.api.verify_service import Asking, VerifyService
from service.eager import start
from service.errors import NotAuthenticated, NotPermitted, ProxyRefused, QuestionRefused, UnknownGame
from service.http.connection import Request
from service.http.reply import Reply
from service.ownership import Decision, Method, Outcome, Reason
from service.verification.interfaces import Clock
from service.verification.question import Verdict

PROXY_TOKEN: Final = b"x-ownership-caller"

_KEPT_OUT: Final = {
    Outcome.NOT_OWNED: (403, "The player does not own the game"),
    Outcome.BANNED: (403, "The player is kept out"),
    Outcome.REJECTED: (401, "The credential is no good"),
}

_NAMES_THE_PLAYER: Final = frozenset({Method.JWT, Method.PASS, Method.ACCESS_TOKEN})
"""The methods that say who the player is. Who holds a download key need not be its owner, nor does a pass say so."""


class ForwardAuth:
    """Answers proxies."""

    def __init__(
        self, *, service: VerifyService, current: CurrentConfiguration, clock: Clock, jitter: Callable[[], float]
    ) -> None:
        self._service = service
        self._current = current
        self._clock = clock
        self._writer = ProxyReplyWriter(jitter=jitter)
        self._loop = asyncio.get_running_loop()

    def answer(self, request: Request) -> Reply | asyncio.Task[Reply]:
        """Return the reply, or the task that will have it where Redis or the store is asked."""
        return start(self._answer(request), self._loop)

    async def _answer(self, request: Request) -> Reply:
        headers, now = request.headers, self._clock.now()
        request_id = request_id_from(headers.get(b"x-request-id"), at=now)
        caller: Caller | None = None
        configuration = self._current.configuration
        try:
            caller = _identify(configuration, headers.get(PROXY_TOKEN))
            policy = _policy_at(request.target, configuration, caller)
            caller.ask()
            asking = Asking(
                configuration.games,
                caller,
                request_id,
                trace_id_from(headers.get(b"traceparent")),
                now,
                policy=policy.name,
                writer=self._writer,
            )
            return await self._service.answer(policy.question(headers), asking)
        except QuestionRefused as refusal:
            # 401, 403 and 404 are about the proxy, and would tell players to log in.
            of_proxy = isinstance(refusal, NotAuthenticated | NotPermitted | UnknownGame)
            refused = ProxyRefused(str(refusal)) if of_proxy else refusal
            return _not_allowed(self._service.refuse(refused, request_id=request_id, caller=caller))
        except Exception as bug:  # noqa: BLE001 - 500, and a line in the log
            return self._service.crashed(bug, request_id=request_id)


def _identify(configuration: Configuration, token: bytes | None) -> Caller:
    if not configuration.callers:
        return LOCAL_CALLER
    if token is None:
        raise ProxyRefused("the proxy sent no X-Ownership-Caller")
    return configuration.callers.of_token(token)


def _policy_at(target: bytes, configuration: Configuration, caller: Caller) -> Policy:
    """Return the policy that the first segment names: a proxy may have appended the player's own path to it."""
    name = target[len(FORWARD_AUTH_BELOW) :].partition(b"?")[0].partition(b"/")[0]
    policy = configuration.policies.get(name)
    if policy is None:
        raise ProxyRefused("there is no policy of the name in the path")
    if policy.caller != caller.name:
        raise ProxyRefused(f"the policy {policy.name} is for another caller")
    return policy


def _not_allowed(refusal: Reply) -> Reply:
    """Return a problem without a decision that says in its last field, too, that the player is not let in."""
    return Reply(refusal.status, refusal.body[:-1] + b',"allowed":false}', refusal.media_type, refusal.headers)


class RefusedPlayer(Struct, frozen=True, kw_only=True):
    """The problem of a player who is kept out, or about whom there is no answer."""

    type: str
    title: str
    status: int
    code: Reason
    request_id: str
    retry_after_seconds: int | UnsetType = UNSET
    allowed: bool
    outcome: Outcome
    reason: Reason
    decision_id: str


class ProxyReplyWriter:
    """Makes replies for proxies, which act on the status alone."""

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._encoder = msgspec.json.Encoder()

    def reply(self, verdict: Verdict, *, now: datetime, decision_id: str, request_id: str) -> Reply:  # noqa: ARG002 - nothing in it has an age
        """Return 200 without a body to let a player in, with what the place behind the proxy may know; else a problem.

        What keeps a player out has no field for that place: some proxies hand all fields on to the player.
        """
        decision = verdict.decision
        headers = common_headers(request_id)
        if decision.allowed:
            headers |= {
                # All of them, none empty: where one is missing, some proxies let the player's own through.
                "x-ownership-player": _player(decision),
                "x-ownership-outcome": decision.outcome,
                "x-ownership-reason": decision.reason,
                "x-ownership-decision": decision_id,
            }
            return Reply(200, b"", headers=headers)
        outcome, reason = decision.outcome, decision.reason
        seconds: int | UnsetType = UNSET
        if outcome is Outcome.UNKNOWN:
            status, title = 503, TITLES[reason]
            seconds = seconds_to_wait(verdict, self._jitter)
            headers["retry-after"] = str(seconds)
        else:
            status, title = _KEPT_OUT[outcome]
        if outcome is Outcome.REJECTED:
            headers["www-authenticate"] = 'Bearer error="invalid_token"'
        body = RefusedPlayer(
            type=problem_type(reason),
            title=title,
            status=status,
            code=reason,
            request_id=request_id,
            retry_after_seconds=seconds,
            allowed=False,
            outcome=outcome,
            reason=reason,
            decision_id=decision_id,
        )
        return Reply(status, self._encoder.encode(body), MEDIA_TYPE, headers)


def _player(decision: Decision) -> str:
    if decision.player is None or decision.method not in _NAMES_THE_PLAYER:
        return "none"
    return str(decision.player.id)
