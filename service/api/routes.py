"""The endpoints of the framework. Each converts, calls a service once, converts back; every error ends as a problem.

Bodies are read raw: the framework's own conversion takes `"3"` for a number and repeats the request in its errors.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from litestar import HttpMethod, Request, Response, delete, get, post, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from service.api.admin import AdminService
from service.api.callers import Caller
from service.api.content_type import is_json
from service.api.current_configuration import CurrentConfiguration
from service.api.dispatch import request_id_of, trace_id_of
from service.api.explain import ExplainService
from service.api.gateway_state import StateService
from service.api.openapi import DESCRIPTION_TYPE, describe_api
from service.api.overrides import OverrideService
from service.api.paths import (
    BATCH_PATH,
    CHANNEL_PATH,
    DESCRIPTION_PATH,
    EXPLAIN_PATH,
    INVALIDATE_PATH,
    OVERRIDES_PATH,
    REDEEM_PATH,
    REVOCATIONS_PATH,
    SETTING_FOR,
    STATE_PATH,
)
from service.api.problems import refusal_reply, status_reply
from service.api.verify_service import Asking, VerifyService
from service.errors import NotEnabled, QuestionRefused
from service.http.reply import Reply
from service.rights import Right
from service.verification.interfaces import Clock

if TYPE_CHECKING:  # off until configured: not even imported
    from service.api.channels import ChannelService
    from service.api.redeem import RedeemService

AnyRequest = Request[Any, Any, Any]


Answer = Callable[[bytes, Asking], Awaitable[Reply]]
"""The answer to a body, which is not read yet."""


def create_question_routes(gate: "CallerGate", *, batch: Answer, relay: bool = False) -> list[HTTPRouteHandler]:
    """Return the endpoints of game servers, and the description of all that there are."""

    @post(BATCH_PATH, status_code=200)
    async def verify_batch(request: AnyRequest) -> Response[bytes]:
        """Answer up to 100 questions."""
        # Each item is counted on its own, and also needs the right for its own method.
        return await gate.admit(request, [Right.VERIFY], batch, counted=False)

    @get(DESCRIPTION_PATH, sync_to_thread=False)
    def show_description() -> Response[bytes]:
        """Return the description of this API, in OpenAPI 3.1."""
        return Response(describe_api(relay=relay), media_type=DESCRIPTION_TYPE)

    return [verify_batch, show_description]


def create_admin_routes(
    gate: "CallerGate", *, admin: AdminService, overrides: OverrideService
) -> list[HTTPRouteHandler]:
    """Return the endpoints of operators."""

    @post(INVALIDATE_PATH, status_code=200)
    async def invalidate(request: AnyRequest) -> Response[bytes]:
        """Forget a subject, or a game."""
        return await gate.admit(request, [Right.ADMIN], admin.invalidate, counted=True)

    @post(REVOCATIONS_PATH, status_code=200)
    async def set_revocations(request: AnyRequest) -> Response[bytes]:
        """Believe the store's noes, or hold them back."""
        return await gate.admit(request, [Right.ADMIN], admin.set_revocations, counted=True)

    # One route for both: of two, the framework names only the methods of the first in `Allow`.
    @route(OVERRIDES_PATH, http_method=[HttpMethod.GET, HttpMethod.POST], status_code=200)
    async def set_or_list_overrides(request: AnyRequest) -> Response[bytes]:
        """Let one player in for a while, or keep it out; or list what holds for a game."""
        if request.method == HttpMethod.POST:
            return await gate.admit(request, [Right.OVERRIDE], overrides.set, counted=True)

        async def answer(asking: Asking) -> Reply:
            return await overrides.list(request.query_params.get("game"), asking)

        return await gate.admit_unread(request, _may_see_overrides, answer)

    @delete(f"{OVERRIDES_PATH}/{{override_id:str}}", status_code=200)  # as the framework has it; the reply has its own
    async def remove_override(request: AnyRequest) -> Response[bytes]:
        """Take an override back."""

        async def answer(asking: Asking) -> Reply:
            return await overrides.remove(request.path_params["override_id"], asking)

        return await gate.admit_unread(request, _may_set_overrides, answer)

    return [invalidate, set_revocations, set_or_list_overrides, remove_override]


def create_support_routes(
    gate: "CallerGate", *, explain: ExplainService, state: StateService
) -> list[HTTPRouteHandler]:
    """Return the endpoints by which support looks."""

    @post(EXPLAIN_PATH, status_code=200)
    async def explain_decision(request: AnyRequest) -> Response[bytes]:
        """Explain a decision, or what is known of a player."""
        return await gate.admit(request, [Right.SUPPORT], explain.explain, counted=True)

    @get(STATE_PATH)
    async def show_state(request: AnyRequest) -> Response[bytes]:
        """Say how the gateway is, and what the caller may do."""
        return await gate.admit_unread(request, _may_look, state.show)

    return [explain_decision, show_state]


def create_channel_route(gate: "CallerGate", *, open_channels: "Callable[[], ChannelService]") -> HTTPRouteHandler:
    """Return the endpoint for the newest version of a channel; `open_channels` is called while there are channels."""

    @get(CHANNEL_PATH.replace("}", ":str}"))
    async def find_newest_version(request: AnyRequest) -> Response[bytes]:
        """Say which version of a channel is the newest."""

        async def answer(asking: Asking) -> Reply:
            if not any(rules.channels for rules in asking.games.configured()):
                raise NotEnabled("games.<slug>.channels")
            game, channel = request.path_params["game"], request.path_params["channel"]
            return await open_channels().answer(game, channel, request.query_params.get("max_age"), asking)

        return await gate.admit_unread(request, _may_verify, answer)

    return find_newest_version


def create_redeem_route(gate: "CallerGate", *, open_redeem: "Callable[[], RedeemService]") -> HTTPRouteHandler:
    """Return the endpoint for redeem tokens; `open_redeem` is called while a game takes them."""

    async def answer(body: bytes, asking: Asking) -> Reply:
        if all(rules.redeem is None for rules in asking.games.configured()):
            raise NotEnabled("games.<slug>.redeem_secret")
        return await open_redeem().answer(body, asking)

    @post(REDEEM_PATH, status_code=200)
    async def verify_redeem(request: AnyRequest) -> Response[bytes]:
        """Say what a redeem token is good for."""
        return await gate.admit(request, [Right.VERIFY], answer, counted=True)

    return verify_redeem


def _may_verify(caller: Caller) -> None:
    caller.require(Right.VERIFY)


def _may_look(caller: Caller) -> None:
    caller.require(Right.SUPPORT)


def _may_see_overrides(caller: Caller) -> None:
    caller.require_any(Right.OVERRIDE, Right.SUPPORT)


def _may_set_overrides(caller: Caller) -> None:
    caller.require(Right.OVERRIDE)


class CallerGate:
    """The checks before a body is read: the caller, its rights, its rate, the form of the body."""

    def __init__(self, *, service: VerifyService, current: CurrentConfiguration, clock: Clock) -> None:
        self._service = service
        self._current = current
        self._clock = clock

    async def admit(
        self,
        request: AnyRequest,
        rights: Sequence[Right],
        answer: Answer,
        *,
        counted: bool,
    ) -> Response[bytes]:
        async def read_and_answer(asking: Asking) -> Reply:
            if not is_json(dict(request.scope["headers"])):
                return status_reply(415, request_id=asking.request_id)
            return await answer(await request.body(), asking)

        return await self.admit_unread(
            request, lambda caller: caller.require(*rights), read_and_answer, counted=counted
        )

    async def admit_unread(
        self,
        request: AnyRequest,
        permit: Callable[[Caller], None],
        answer: Callable[[Asking], Awaitable[Reply]],
        *,
        counted: bool = True,
    ) -> Response[bytes]:
        scope = request.scope
        request_id = request_id_of(scope)
        caller: Caller | None = None
        configuration = self._current.configuration
        try:
            caller = configuration.callers.identify(dict(scope["headers"]).get(b"authorization"))
            permit(caller)
            if counted:
                caller.ask()
            asking = Asking(configuration.games, caller, request_id, trace_id_of(scope), self._clock.now())
            reply = await answer(asking)
        except QuestionRefused as refusal:
            reply = self._service.refuse(refusal, request_id=request_id, caller=caller)
        return response(reply)


def refuse_request(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses; its own words would repeat the request."""
    setting = SETTING_FOR.get(request.scope["path"])
    if error.status_code == HTTPStatus.NOT_FOUND and setting is not None:
        return response(refusal_reply(NotEnabled(setting), request_id=request_id_of(request.scope)))
    return response(
        status_reply(error.status_code, request_id=request_id_of(request.scope), headers=dict(error.headers or {}))
    )


def create_crash_handler(service: VerifyService) -> Callable[[AnyRequest, Exception], Response[bytes]]:
    """Return the handler of bugs: 500, and the traceback in the log under the request's id."""

    def answer_crash(request: AnyRequest, bug: Exception) -> Response[bytes]:
        return response(service.crashed(bug, request_id=request_id_of(request.scope)))

    return answer_crash


def has_already(request: AnyRequest, etag: str) -> bool:
    """Whether the client says that it has the content of that entity tag (RFC 9110 13.1.2)."""
    known = request.headers.get("if-none-match", "").split(",")
    return etag in [tag.strip().removeprefix("W/") for tag in known]


def response(reply: Reply) -> Response[bytes]:
    """Return a reply as the framework sends it."""
    return Response(reply.body, status_code=reply.status, headers=reply.headers, media_type=reply.media_type)
