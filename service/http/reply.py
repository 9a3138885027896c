"""Replies, and their bytes on the wire."""

from http import HTTPStatus
from typing import Final

from msgspec import Struct

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value})
"""The statuses of responses without a body, and without a length (RFC 9110 8.6)."""
_CLOSE: Final = "connection: close\r\n"


class Reply(Struct, frozen=True):
    """A whole answer: status, body, its media type, and further header fields by lower-case name."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: dict[str, str] = {}


def reply_bytes(reply: Reply, *, date: str, close: bool, head_only: bool = False) -> bytes:
    """Return the reply as a whole response, or, for HEAD, the head that its GET would have.

    `date` is a whole `Date` field with its line break; `close` says that the connection ends with this response.
    """
    fields = ""
    for name, value in reply.headers.items():
        fields += f"{name}: {value}\r\n"
    closing = _CLOSE if close else ""
    if reply.status in _BODILESS:
        return f"{_STATUS_LINES[reply.status]}{date}{closing}{fields}\r\n".encode("latin-1")
    head = (
        f"{_STATUS_LINES[reply.status]}{date}{closing}"
        f"content-type: {reply.media_type}\r\ncontent-length: {len(reply.body)}\r\n{fields}\r\n"
    ).encode("latin-1")
    return head if head_only else head + reply.body
