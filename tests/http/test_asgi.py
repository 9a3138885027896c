"""ASGI applications as functions from a whole request to a whole reply."""

from typing import Any

from service.http.asgi import reply_of
from service.http.connection import Request


async def test_request_ends_with_its_body() -> None:
    """An application that waits for more is told that there is none; the parts of its answer are put together."""
    received: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        received.extend([await receive(), await receive()])
        headers = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"2"), (b"X-A", b"b")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    request = Request(method=b"POST", target=b"/a?b=c", headers={b"host": b"a"}, body=b"body")
    reply = await reply_of(application, request, {})

    assert received == [{"type": "http.request", "body": b"body", "more_body": False}, {"type": "http.disconnect"}]
    assert (reply.status, reply.body, reply.media_type, reply.headers) == (201, b"ab", "text/plain", {"x-a": "b"})
