"""The newest versions of channels at a relay: the hub's answers, each for as long as it is fresh."""

from collections import OrderedDict
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from service.api.answers import TITLES_OF_RELAY, Instant, no_answer_reply
from service.api.callers import Caller
from service.api.channel_questions import can_be_channel, read_max_age
from service.api.paths import CHANNEL_PATH
from service.api.problems import whole_seconds
from service.api.public_copies import PublicHub
from service.api.routes import AnyRequest, CallerGate
from service.api.verify_service import Asking
from service.errors import NoAnswer, SourceProtocolError, UnknownChannel
from service.http.reply import Reply
from service.hub.hub_answers import HubAnswer, no_answer_in, problem_in
from service.ownership import GameId
from service.rights import Right
from service.verification.interfaces import Clock

_MOST: Final = 1_000
"""Copies that are kept: channels are few, and their names are the callers' to choose."""

_LONGEST_KEPT: Final = timedelta(hours=1)
_LARGEST: Final = 64 * 1024
_WITHIN: Final = timedelta(seconds=5)
_RETRY_SOON: Final = timedelta(seconds=5)
_NO_TIME: Final = timedelta()


class _CopiedVersion(Struct, frozen=True):
    body: bytes
    until: float


class _NewestVersion(Struct, frozen=True):
    game_id: int
    channel: str
    fresh_until: Instant


_read_version: Final = msgspec.json.Decoder(_NewestVersion).decode


class ChannelCopies:
    """Keeps the hub's answers about channels; a question with a `max_age` is always the hub's."""

    def __init__(self, *, hub: PublicHub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._copies: OrderedDict[tuple[GameId, str], _CopiedVersion] = OrderedDict()

    async def answer(self, game: str, channel: str, max_age: str | None, asking: Asking) -> Reply:
        """Return the newest version, or 503 if the hub has none to give. Raises `QuestionRefused`."""
        rules = asking.games.find(game)
        asking.caller.require_game(rules.game_id)
        if not can_be_channel(channel):
            raise UnknownChannel
        accepted = read_max_age(max_age)
        copy = self._copies.get((rules.game_id, channel))
        if copy is not None and accepted is None and self._clock.monotonic() < copy.until:
            return Reply(200, copy.body)
        try:
            return Reply(200, await self._ask(rules.game_id, channel, accepted))
        except NoAnswer as no_answer:
            title, seconds = TITLES_OF_RELAY[no_answer.reason], whole_seconds(no_answer.retry_after or _RETRY_SOON)
            return no_answer_reply(no_answer.reason, title, request_id=asking.request_id, retry_after_seconds=seconds)

    async def _ask(self, game_id: GameId, channel: str, max_age: timedelta | None) -> bytes:
        path = CHANNEL_PATH.format(game=game_id, channel=channel)
        if max_age is not None:
            path += f"?max_age={max_age // timedelta(seconds=1)}"
        asked_at = self._clock.monotonic()
        answer = await self._hub.get(path, within=_WITHIN, most=_LARGEST)
        if problem_in(answer).code == "unknown_channel":
            raise UnknownChannel
        if answer.status != HTTPStatus.OK:
            raise no_answer_in(answer, None)
        fresh_for = _fresh_for(answer, game_id, channel)
        self._copies[game_id, channel] = _CopiedVersion(answer.body, asked_at + fresh_for.total_seconds())
        if len(self._copies) > _MOST:
            self._copies.popitem(last=False)
        return answer.body


def _fresh_for(answer: HubAnswer, game_id: GameId, channel: str) -> timedelta:
    """Return for how long the hub's answer may be kept, by the hub's own clock."""
    try:
        version = _read_version(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceProtocolError("the hub's answer has another form than it should have") from None
    if (version.game_id, version.channel) != (game_id, channel):
        raise SourceProtocolError("the hub's answer is to another question")
    left = _NO_TIME if answer.date is None else version.fresh_until - answer.date
    return min(max(left, _NO_TIME), _LONGEST_KEPT)


def create_copied_channel_route(gate: CallerGate, copies: ChannelCopies) -> HTTPRouteHandler:
    """Return the endpoint."""

    @get(CHANNEL_PATH.replace("}", ":str}"))
    async def find_newest_version(request: AnyRequest) -> Response[bytes]:
        """Say which version of a channel is the newest."""

        async def answer(asking: Asking) -> Reply:
            game, channel = request.path_params["game"], request.path_params["channel"]
            return await copies.answer(game, channel, request.query_params.get("max_age"), asking)

        return await gate.admit_unread(request, _may_verify, answer)

    return find_newest_version


def _may_verify(caller: Caller) -> None:
    caller.require(Right.VERIFY)
