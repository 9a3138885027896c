"""An ASGI application as a function from a whole request to a whole reply."""

from typing import Any, cast
from urllib.parse import unquote

import httptools
from litestar.types import ASGIApp, Message, Scope

from service.http.connection import Request
from service.http.reply import Reply


def path_of(target: bytes) -> str:
    """Return the path that a request target names, decoded; the target may be a whole URL (RFC 9112 3.2.2)."""
    return unquote(_split(target)[0].decode("latin-1"))


async def reply_of(app: ASGIApp, request: Request, state: dict[str, Any]) -> Reply:
    """Return the answer of the application; `state` is in the scope that it sees.

    Nothing waits for more of the request, which is whole. HEAD is GET to the application: the protocol leaves out the
    body.
    """
    body: bytes | None = request.body
    start: Any = None
    parts: list[bytes] = []

    async def receive() -> Any:  # noqa: ANN401 - as ASGI has it
        nonlocal body
        if body is None:
            return {"type": "http.disconnect"}
        message, body = {"type": "http.request", "body": body, "more_body": False}, None
        return message

    async def send(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
        else:
            parts.append(cast("bytes", message.get("body", b"")))

    await app(_scope(request, state), receive, send)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    headers.pop("content-length", None)
    media_type = headers.pop("content-type", "application/octet-stream")
    return Reply(start["status"], b"".join(parts), media_type, headers)


def _scope(request: Request, state: dict[str, Any]) -> Scope:
    path, query = _split(request.target)
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET" if request.method == b"HEAD" else request.method.decode("ascii"),
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers.items()),
        "server": None,
        "client": None,
        "state": state,
        "extensions": {},
    }
    return scope  # type: ignore[no-any-return]  # litestar's own type is a union of typed dicts


def _split(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query as they stand in the target."""
    if target.startswith(b"/"):
        path, _, query = target.partition(b"#")[0].partition(b"?")
        return path, query
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target, b""
    return url.path or b"/", url.query or b""
