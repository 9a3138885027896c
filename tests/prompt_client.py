"""A server's part for tests without one: plain questions are answered as there, the rest goes to the application."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from service.api.edge import Edge

_LARGEST: Final = 4096

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def as_served(edge: Edge) -> Callable[[Any, Receive, Send], Awaitable[None]]:
    """Return an application that answers as the gateway's own server does."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        messages = [await receive()]
        while messages[-1].get("more_body") and len(_request(scope, messages)) <= _LARGEST:
            messages.append(await receive())
        response = None
        if messages[-1]["type"] == "http.request" and not messages[-1]["more_body"]:
            response = edge.answer_at_once(_request(scope, messages), b"", scope["server"])
            soon = None if response else edge.answer_soon(_request(scope, messages), scope["server"])
            if soon is not None:
                response = (await soon).write(b"")
        if response is None:
            await edge(scope, _replaying(messages, receive), send)
            return
        status, headers, body = split(response)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def split(response: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, header fields and body of a whole response."""
    head, _, body = response.partition(b"\r\n\r\n")
    status, *fields = head.split(b"\r\n")
    pairs = [field.partition(b": ") for field in fields]
    return int(status.split()[1]), [(name, value) for name, _, value in pairs], body


def _request(scope: Any, messages: list[Any]) -> bytes:
    fields = [b"%b: %b\r\n" % header for header in scope["headers"]]
    line = b"%b %b HTTP/1.1\r\n" % (scope["method"].encode(), scope["raw_path"])
    return b"".join([line, *fields, b"\r\n", *(message["body"] for message in messages)])


def _replaying(messages: list[Any], receive: Receive) -> Receive:
    async def next_message() -> Any:
        return messages.pop(0) if messages else await receive()

    return next_message
