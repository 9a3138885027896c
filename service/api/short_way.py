"""The short way: `POST /verify/<method>`, from a whole request to a reply, refusals included.

Single questions are answered here and nowhere else; no framework sees them.
"""

import asyncio
from typing import Final

from service.api.callers import Caller
from service.api.content_type import is_json
from service.api.current_configuration import CurrentConfiguration, Head
from service.api.identifiers import request_id_from, trace_id_from
from service.api.problems import LARGEST_BODY, status_reply
from service.api.questions import QUESTIONS, BodyReader
from service.api.verify_service import Asking, VerifyService
from service.eager import start
from service.errors import QuestionRefused
from service.http.connection import Request
from service.http.reply import Reply
from service.observability.labels import RefusalCause
from service.ownership import Method
from service.rights import RIGHTS_TO_BEGIN
from service.verification.interfaces import Clock

_READERS: Final = {method: BodyReader(question) for method, question in QUESTIONS.items()}

_MOST_KNOWN: Final = 1_000
"""Heads that are remembered: one for each caller, path and spelling of the content type. Then they are read again."""

_LONGEST_KNOWN: Final = 1024
"""Bytes of the fields of a head that is remembered; tokens have some fifty."""


class ShortWay:
    """Answers single questions."""

    def __init__(self, *, service: VerifyService, current: CurrentConfiguration, clock: Clock) -> None:
        self._service = service
        self._current = current
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    def answer(self, method: Method, request: Request) -> Reply | asyncio.Task[Reply]:
        """Return the reply, or the task that will have it where Redis or the store is asked."""
        return start(self._answer(method, request), self._loop)

    async def _answer(self, method: Method, request: Request) -> Reply:
        headers, now = request.headers, self._clock.now()
        request_id = request_id_from(headers.get(b"x-request-id"), at=now)
        caller: Caller | None = None
        configuration = self._current.configuration
        try:
            if request.method != b"POST":
                return status_reply(405, request_id=request_id, headers={"allow": "POST"})
            head = (
                method,
                headers.get(b"authorization"),
                headers.get(b"content-type"),
                headers.get(b"content-encoding"),
            )
            caller = configuration.known_heads.get(head)
            if caller is not None:
                caller.ask()
            else:
                caller = configuration.callers.identify(headers.get(b"authorization"))
                caller.require(*RIGHTS_TO_BEGIN[method])
                caller.ask()
                if not is_json(headers):
                    return status_reply(415, request_id=request_id)
                _remember(configuration.known_heads, head, caller)
            if len(request.body) > LARGEST_BODY:
                self._service.count_refused(RefusalCause.BODY_TOO_LARGE)
                return status_reply(413, request_id=request_id)
            question = _READERS[method].read(request.body)
            asking = Asking(configuration.games, caller, request_id, trace_id_from(headers.get(b"traceparent")), now)
            return await self._service.answer(question, asking)
        except QuestionRefused as refusal:
            return self._service.refuse(refusal, request_id=request_id, caller=caller)
        except Exception as bug:  # noqa: BLE001 - 500, and a line in the log
            return self._service.crashed(bug, request_id=request_id)


def _remember(known: dict[Head, Caller], head: Head, caller: Caller) -> None:
    """Remember the caller of such a head: to identify it takes a hash of the token and parsing the content type."""
    if len(known) >= _MOST_KNOWN:
        known.clear()
    if sum(len(part) for part in head[1:] if part is not None) <= _LONGEST_KNOWN:
        known[head] = caller
