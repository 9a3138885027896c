"""Requests taken in whole and answers held back, for applications that stand in front of the gateway's own."""

import asyncio
from typing import Any


async def body_of(receive: Any) -> bytes:
    """Return the whole body of a request."""
    body = b""
    while True:
        message: Any = await receive()
        piece: bytes = message.get("body", b"")
        body += piece
        if not message.get("more_body", False):
            return body


async def answer_of(app: Any, scope: Any, body: bytes) -> list[Any]:
    """Return the messages that answer a request with this body; its caller does not hang up meanwhile."""
    given = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        if given:
            return given.pop()
        return await asyncio.Event().wait()

    async def keep(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, keep)
    return sent
