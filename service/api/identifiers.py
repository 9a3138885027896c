"""Names for requests and decisions, so that a person can follow one from log to log."""

import re
import secrets
from datetime import datetime
from typing import Final

_SAFE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}", re.ASCII)
"""No quotes, spaces or control characters: the id goes into headers and log lines as it is."""

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-(?P<trace_id>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?", re.ASCII)
"""W3C Trace Context, 3.2."""

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TEN_BITS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)


def make_ulid(at: datetime) -> str:
    """Return a ULID: 26 characters that sort by time, to the millisecond (github.com/ulid/spec)."""
    number = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join([_TEN_BITS[number >> shift & 0x3FF] for shift in range(120, -1, -10)])


def request_id_from(header: str | None, *, at: datetime) -> str:
    """Return the caller's own id for the request where it is safe to repeat, else a new one."""
    if header is not None and _SAFE_REQUEST_ID.fullmatch(header):
        return header
    return make_ulid(at)


def trace_id_from(traceparent: str | None) -> str | None:
    """Return the trace that the request belongs to, if it says so properly."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match["trace_id"] if match and match["trace_id"].strip("0") else None
