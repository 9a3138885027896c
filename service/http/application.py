"""The interface of what answers the requests that connections bring."""

import asyncio
from enum import Enum
from typing import Protocol, TypeAlias

from service.http.connection import HttpRefusal, Request
from service.http.reply import Reply


class Listener(Enum):
    """A listening socket by what it serves."""

    EVERYTHING = "everything"
    QUESTIONS = "questions"
    """All but the operational endpoints, which have a listener of their own."""
    OPERATIONS = "operations"


Answering: TypeAlias = Reply | asyncio.Task[Reply]
"""A reply, or the task that will have it where something must be waited for."""


class Application(Protocol):
    """Answers requests."""

    def answer(self, request: Request, listener: Listener, /) -> Answering:
        """Answer a whole request."""

    def shed(self, request: Request, listener: Listener, /) -> Answering:
        """Answer a request that comes on top of what can be taken on."""

    def refuse(self, refusal: HttpRefusal) -> Reply:
        """Answer bytes that are no request."""

    def crashed(self, bug: BaseException) -> Reply:
        """Answer a request whose answering raised."""
