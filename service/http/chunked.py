"""A body in chunks (RFC 9112 §7.1): its bytes are put together, extensions and trailers are dropped.

It is not left to httptools, which makes no callback inside a chunk extension, takes trailers for header fields, and
does not say where the body ended: nothing behind the head could be counted exactly.
"""

import re
from enum import Enum
from typing import Final

from service.http.refused import Refused

_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_SIZE_DIGITS: Final = 16
"""The longest size, before leading zeros and extensions: 64 bits, as elsewhere."""


class _Expected(Enum):
    SIZE = "the line that begins a chunk"
    DATA = "the bytes of a chunk"
    DATA_END = "the line break behind them"
    TRAILER = "a trailer, or the empty line that ends the body"
    NOTHING = "the body is whole"


class ChunkedBody:
    """A body that is being read."""

    __slots__ = ("_body_bytes", "_expected", "_extension_room", "_left", "_trailer_room", "data")

    def __init__(self, *, body_bytes: int, extension_bytes: int, trailer_bytes: int) -> None:
        self.data = bytearray()
        self._expected = _Expected.SIZE
        self._left = 0
        self._body_bytes = body_bytes
        self._extension_room = extension_bytes
        self._trailer_room = trailer_bytes

    def read(self, unread: bytearray) -> bool:
        """Take what belongs to the body out of the unread bytes, except half a line; return whether it is whole.

        Raises Refused.
        """
        while self._advance(unread):
            pass
        return self._expected is _Expected.NOTHING

    def _advance(self, unread: bytearray) -> bool:
        """Take a line or the bytes of a chunk; return whether there may be more to take."""
        match self._expected:
            case _Expected.SIZE:
                line = _line(unread, at_most=self._extension_room + _SIZE_DIGITS, else_status=413)
                if line is None:
                    return False
                self._begin_chunk(line)
            case _Expected.DATA:
                part = unread[: self._left]
                del unread[: len(part)]
                self.data += part
                self._left -= len(part)
                if self._left:
                    return False
                self._expected = _Expected.DATA_END
            case _Expected.DATA_END:
                if _line(unread, at_most=0, else_status=400) is None:
                    return False
                self._expected = _Expected.SIZE
            case _Expected.TRAILER:
                line = _line(unread, at_most=self._trailer_room, else_status=413)
                if line is None:
                    return False
                self._drop_trailer(line)
            case _Expected.NOTHING:
                return False
        return True

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise Refused(400)
        size = int(match[1], 16)
        # Only what the shortest form would not need is counted, and it is counted over the whole body: a body may come
        # in chunks of one byte each, but sixteen thousand chunks do not get an allowance each.
        self._extension_room -= len(line) - len(b"%x" % size)
        if self._extension_room < 0 or len(self.data) + size > self._body_bytes:
            raise Refused(413)
        self._left = size
        self._expected = _Expected.DATA if size else _Expected.TRAILER

    def _drop_trailer(self, line: bytes) -> None:
        if not line:
            self._expected = _Expected.NOTHING
            return
        if _TRAILER_LINE.fullmatch(line) is None:
            raise Refused(400)
        self._trailer_room -= len(line) + 2
        if self._trailer_room < 0:
            raise Refused(413)


def _line(unread: bytearray, *, at_most: int, else_status: int) -> bytes | None:
    """Take a line out of the unread bytes, without its CRLF. None: it is not whole yet.

    Raises Refused, with the same status whether a line that is too long is whole or not.
    """
    end = unread.find(b"\n")
    length = (end if end >= 0 else len(unread)) - 1  # without the CR
    if length > at_most:
        raise Refused(else_status)
    if end < 0:
        return None
    line = bytes(unread[:end])
    del unread[: end + 1]
    if line[-1:] != b"\r":
        raise Refused(400)  # a bare LF ends a line for some and not for others
    return line[:-1]
