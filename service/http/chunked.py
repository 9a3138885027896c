"""A body in chunks (RFC 9112 §7.1): its bytes are put together, extensions and trailers are dropped.

It is not left to httptools, which makes no callback inside a chunk extension, takes trailers for header fields, and
does not say where the body ended: nothing behind the head could be counted exactly.
"""

import re
from typing import Final

from service.http.refused import Refused

_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*"
_TRAILER_LINE: Final = re.compile(_TRAILER)
_TRAILER_LINES: Final = re.compile(rb"(?:%b\r\n)+" % _TRAILER)
_SIZE_DIGITS: Final = 16
"""Digits that a size may have before a line is too long by itself: 64 bits, as elsewhere."""


class ChunkedBody:
    """A body that is being read."""

    __slots__ = ("_body_bytes", "_extension_room", "_in_trailers", "_size", "_trailer_room", "data")

    def __init__(self, *, body_bytes: int, extension_bytes: int, trailer_bytes: int) -> None:
        self.data = bytearray()
        self._size: int | None = None
        """The size of the chunk that has begun; None before its line is here."""
        self._in_trailers = False
        self._body_bytes = body_bytes
        self._extension_room = extension_bytes
        self._trailer_room = trailer_bytes

    def read(self, unread: bytearray) -> bool:
        """Take whole chunks and whole trailers out of the unread bytes; return whether the body is whole.

        Raises Refused.
        """
        while not self._in_trailers:
            if self._size is None:
                self._size = self._next_size(unread)
                if self._size is None:
                    return False
            if self._size == 0:
                self._in_trailers = True
            elif not self._took_chunk(unread, self._size):
                return False
        return self._dropped_trailers(unread)

    def _next_size(self, unread: bytearray) -> int | None:
        match = _CHUNK_LINE.match(unread)
        if match is None:
            if _line(unread, at_most=self._extension_room + _SIZE_DIGITS) is None:
                return None
            raise Refused(400)
        size = int(match[1], 16)
        # Only what the shortest form would not need is counted, and it is counted over the whole body: a body may come
        # in chunks of one byte each, but sixteen thousand chunks do not get a bucket each.
        self._extension_room -= match.end() - len(b"%x\r\n" % size)
        if self._extension_room < 0 or len(self.data) + size > self._body_bytes:
            raise Refused(413)
        del unread[: match.end()]
        return size

    def _took_chunk(self, unread: bytearray, size: int) -> bool:
        behind = unread[size : size + 2]
        if len(behind) < 2:  # noqa: PLR2004 - CRLF
            return False
        if behind != b"\r\n":
            raise Refused(400)
        self.data += unread[:size]
        del unread[: size + 2]
        self._size = None
        return True

    def _dropped_trailers(self, unread: bytearray) -> bool:
        # At once, as far as there is room: line by line, four kilobytes of them cost six times as much.
        if lines := _TRAILER_LINES.match(unread, 0, self._trailer_room):
            self._trailer_room -= lines.end()
            del unread[: lines.end()]
        line = _line(unread, at_most=self._trailer_room)
        if line:
            raise Refused(400 if _TRAILER_LINE.fullmatch(line) is None else 413)
        return line is not None


def _line(unread: bytearray, *, at_most: int) -> bytes | None:
    """Take a line out of the unread bytes, without its CRLF. None: it is not whole yet.

    Raises Refused, with the same status whether a line that is too long is whole or not.
    """
    end = unread.find(b"\n")
    length = (end if end >= 0 else len(unread)) - 1  # without the CR
    if length > at_most:
        raise Refused(413)
    if end < 0:
        return None
    line = bytes(unread[:end])
    del unread[: end + 1]
    if line[-1:] != b"\r":
        raise Refused(400)  # a bare LF ends a line for some and not for others
    return line[:-1]
