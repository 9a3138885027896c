"""Responses as they stand on the wire, for what the server's own response cycle is not needed for."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from service.api.problems import Reply

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}

CLOSE: Final = b"connection: close\r\n"
"""What a response says after which the connection is closed."""


def common_headers(request_id: str) -> dict[str, str]:
    """Return what every response has, whatever answers the request; prepared answers have it written out."""
    return {"x-request-id": request_id, "cache-control": "no-store"}


class Response(Struct, frozen=True):
    """A response that lacks only the server's own header fields, which `write` is given, each with its line break.

    If it `closes` the connection, it says so already.
    """

    write: Callable[[bytes], bytes]
    closes: bool = False


def response_bytes(reply: Reply, fields: bytes = b"") -> bytes:
    """Return a reply as a whole response; `fields` are header fields of the server, each with its line break."""
    own = "".join([f"{name}: {value}\r\n" for name, value in reply.headers.items()])
    length = f"content-type: {reply.media_type}\r\ncontent-length: {len(reply.body)}\r\n{own}\r\n"
    return _STATUS_LINES[reply.status].encode("ascii") + fields + length.encode("ascii") + reply.body
