"""Names for requests and decisions, so that a person can follow one from log to log."""

import re
from datetime import datetime
from os import urandom
from typing import Final

_SAFE_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")
"""No quotes, spaces or control characters: the id goes into headers and log lines as it is."""

_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-(?P<trace_id>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
"""W3C Trace Context, 3.2."""

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TEN_BITS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_FROM_ANY_BYTE: Final = bytes(_CROCKFORD[byte % len(_CROCKFORD)].encode()[0] for byte in range(256))
"""Each of the 32 characters for eight of the 256 bytes: random bytes become random characters."""

_RANDOM_CHARS: Final = 16
_DRAWN_AT_ONCE: Final = 256


class _Ulids:
    """Makes ULIDs of random characters drawn many at a time and of the last millisecond, already written down."""

    def __init__(self) -> None:
        self._drawn: list[str] = []
        self._millisecond = -1
        self._written = ""

    def make(self, at: datetime) -> str:
        """Return a ULID: 26 characters that sort by time, to the millisecond (github.com/ulid/spec)."""
        millisecond = int(at.timestamp() * 1000)
        if millisecond != self._millisecond:
            self._written = "".join([_TEN_BITS[millisecond >> shift & 0x3FF] for shift in range(40, -1, -10)])
            self._millisecond = millisecond
        if not self._drawn:
            text = urandom(_RANDOM_CHARS * _DRAWN_AT_ONCE).translate(_FROM_ANY_BYTE).decode("ascii")
            self._drawn = [text[start : start + _RANDOM_CHARS] for start in range(0, len(text), _RANDOM_CHARS)]
        return self._written + self._drawn.pop()


make_ulid: Final = _Ulids().make


def request_id_from(header: bytes | None, *, at: datetime) -> str:
    """Return the caller's own id for the request (`X-Request-ID`) where it is safe to repeat, else a new one."""
    if header is not None and _SAFE_REQUEST_ID.fullmatch(header):
        return header.decode("ascii")
    return make_ulid(at)


def trace_id_from(traceparent: bytes | None) -> str | None:
    """Return the trace that the request belongs to, if its `traceparent` is well-formed."""
    match = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    return match["trace_id"].decode("ascii") if match and match["trace_id"].strip(b"0") else None
