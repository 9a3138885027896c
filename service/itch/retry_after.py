"""When the store wants to be asked again (RFC 9110 10.2.3): seconds, or a date, or nonsense."""

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
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:  # "-0000": the time is in UTC, its zone unstated
        at = at.replace(tzinfo=UTC)
    return max(timedelta(), at - now)
