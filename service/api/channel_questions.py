"""Questions about channels, read: by a gateway and by a relay alike."""

import re
from datetime import timedelta
from typing import Final

from service.errors import BadQuestion
from service.settings.values import CHANNEL

_LONGEST_MAX_AGE: Final = 86_400
_MOST_DIGITS: Final = len(str(_LONGEST_MAX_AGE))
"""Of more, reading the number alone could take long."""

_CHANNEL: Final = re.compile(CHANNEL, re.ASCII)


def can_be_channel(text: str) -> bool:
    """Whether a channel of that name can be configured."""
    return _CHANNEL.fullmatch(text) is not None


def read_max_age(text: str | None) -> timedelta | None:
    """Return the `max_age` of a query, None without one. Raises `BadQuestion`."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS or int(text) > _LONGEST_MAX_AGE:
        raise BadQuestion("/max_age", "out_of_range", f"whole seconds, 0 to {_LONGEST_MAX_AGE}, in the query")
    return timedelta(seconds=int(text))
