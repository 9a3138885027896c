"""The time at which a server may be asked again (RFC 9110 10.2.3): seconds, or a date, or nonsense."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def read_retry_after(text: str | None, *, now: datetime) -> timedelta | None:
    """Return how long to wait, never negative; None where the header is absent or makes no sense."""
    if text is None:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    at = read_http_date(text)
    return None if at is None else max(timedelta(), at - now)


def read_http_date(text: str | None) -> datetime | None:
    """Return the instant that a header names (RFC 9110 5.6.7); None where it is absent or makes no sense."""
    if text is None:
        return None
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)  # "-0000": in UTC, the zone unstated
