"""The fast path: well-formed single questions of known callers are answered before the framework hears of them.

They come by the server's parser: because they are large, in chunks or in pieces, behind another request, ask for the
connection to be closed, or because the gateway is draining. Most questions do not, see `service.prompt_protocol`.

1. Only a POST to one of the four `/verify` paths, whose body is JSON, small and already there, may take it.
2. Only a caller who is known, and has the right to ask by that method, may take it.
3. From there on it is the same as everywhere: the caller's rate, the desk, and what it says to whom it refuses.

Whatever else comes is handed on untouched, its body included, so that only the framework has to know what is wrong with
it. The framework itself takes three times as long for a question as all the rest.
"""

from collections.abc import Callable
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from service.api.admission import admitted
from service.api.callers import Caller, CallerDirectory
from service.api.early_body import EarlyBody
from service.api.edge import request_id_of, send_reply, trace_id_of
from service.api.paths import LARGEST_BODY, PATHS
from service.api.problems import Reply
from service.api.questions import QUESTIONS, AnyQuestion, BodyReader
from service.api.verify import Asking, VerifyDesk
from service.errors import QuestionRefused
from service.ownership import Method
from service.verification.interfaces import Clock


class _Counter:
    """Where questions of one method are taken in."""

    def __init__(self, method: Method) -> None:
        self.method: Final = method
        self.reader: Final = BodyReader(QUESTIONS[method])


class FastPath:
    """Wraps the framework. `crashed` turns what no question should ever raise into a reply."""

    def __init__(
        self,
        framework: ASGIApp,
        *,
        desk: VerifyDesk,
        callers: CallerDirectory,
        clock: Clock,
        crashed: Callable[[Exception, str], Reply],
    ) -> None:
        self._framework = framework
        self._desk = desk
        self._callers = callers
        self._clock = clock
        self._crashed = crashed
        self._counters = {path: _Counter(method) for method, path in PATHS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "POST" or scope["path"] not in self._counters:
            await self._framework(scope, receive, send)
            return
        counter = self._counters[scope["path"]]
        caller = self._known_caller(scope, counter)
        if caller is None:
            await self._framework(scope, receive, send)
            return
        body = EarlyBody(receive)
        text = body.read(at_most=LARGEST_BODY)
        asked = None if text is None else _question_in(text, counter.reader)
        if text is None or asked is None:
            await self._framework(scope, body.receive, send)
            return
        asking = Asking(caller, request_id_of(scope), trace_id_of(scope), self._clock.now())
        await send_reply(await self._answer(asked, asking), send)

    def _known_caller(self, scope: HTTPScope, counter: _Counter) -> Caller | None:
        given = list(scope["headers"])
        headers = dict(given)
        if len(headers) != len(given):
            return None
        return admitted(self._callers, counter.method, headers)

    async def _answer(self, asked: AnyQuestion, asking: Asking) -> Reply:
        caller = asking.caller
        try:
            caller.ask()
            return await self._desk.answer(asked, asking)
        except QuestionRefused as refusal:
            return self._desk.refuse(refusal, request_id=asking.request_id, caller=caller)
        except Exception as bug:  # noqa: BLE001 - what the framework does with it, too
            return self._crashed(bug, asking.request_id)


def _question_in(body: bytes, reader: BodyReader) -> AnyQuestion | None:
    try:
        question: AnyQuestion = reader.read(body)
    except QuestionRefused:
        return None  # the framework's handler finds the same, and says so
    return question
