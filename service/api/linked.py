"""Problem types as whole addresses, for a gateway whose operator has said where its documentation can be read."""

import asyncio

from msgspec import structs

from service.api.problems import PROBLEM_TYPES
from service.http.application import Answering, Application, Listener
from service.http.connection import HttpRefusal, Request
from service.http.reply import Reply

_FOUND = f'"type":"{PROBLEM_TYPES}'.encode()
"""The beginning of each problem's type. No text inside can hold it: in JSON a quotation mark is escaped there."""


class LinkedProblems:
    """An application whose problems have types below `base_url`, in batches and in the description of the API too."""

    def __init__(self, application: Application, *, base_url: str) -> None:
        self._application = application
        self._linked = f'"type":"{base_url.rstrip("/")}/docs/api.md#'.encode()
        self._loop = asyncio.get_running_loop()

    def answer(self, request: Request, listener: Listener, /) -> Answering:
        """Answer a whole request."""
        return self._link_later(self._application.answer(request, listener))

    def shed(self, request: Request, listener: Listener, /) -> Answering:
        """Answer a request that comes on top of what can be taken on."""
        return self._link_later(self._application.shed(request, listener))

    def refuse(self, refusal: HttpRefusal) -> Reply:
        """Answer bytes that are no request."""
        return self._link(self._application.refuse(refusal))

    def crashed(self, bug: BaseException) -> Reply:
        """Answer a request whose answering raised."""
        return self._link(self._application.crashed(bug))

    def _link_later(self, answering: Answering) -> Answering:
        if isinstance(answering, Reply):
            return self._link(answering)
        return self._loop.create_task(self._link_awaited(answering))

    async def _link_awaited(self, answering: "asyncio.Task[Reply]") -> Reply:
        return self._link(await answering)

    def _link(self, reply: Reply) -> Reply:
        if "json" not in reply.media_type or _FOUND not in reply.body:
            return reply
        return structs.replace(reply, body=reply.body.replace(_FOUND, self._linked))
