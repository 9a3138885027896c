"""Applications that stand in front of the gateway's own: broken variants answer there in ways of their own."""

import asyncio

from service.http.application import Answering, Application, Listener
from service.http.connection import HttpRefusal, Request
from service.http.reply import Reply


async def reply_of(application: Application, request: Request) -> Reply:
    """Return the reply of an application."""
    answer = application.answer(request, Listener.EVERYTHING)
    return answer if isinstance(answer, Reply) else await answer


def question_to(path: str, body: bytes, *, token: str | None = None) -> Request:
    """Return a request as a connection reads it, of the caller with that token."""
    headers = {b"host": b"gateway", b"content-type": b"application/json"}
    if token is not None:
        headers[b"authorization"] = b"Bearer " + token.encode()
    return Request(method=b"POST", target=path.encode(), headers=headers, body=body)


class InFront:
    """Answers as the application behind it; `reply` is what variants change."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def reply(self, request: Request) -> Reply:
        """Answer one request."""
        return await reply_of(self.application, request)

    def answer(self, request: Request, _listener: Listener, /) -> Answering:
        """Answer one request in a task."""
        return asyncio.get_running_loop().create_task(self.reply(request))

    def shed(self, request: Request, listener: Listener) -> Answering:
        """Shed as the application does."""
        return self.application.shed(request, listener)

    def refuse(self, refusal: HttpRefusal) -> Reply:
        """Refuse as the application does."""
        return self.application.refuse(refusal)

    def crashed(self, bug: BaseException) -> Reply:
        """Crash as the application does."""
        return self.application.crashed(bug)
