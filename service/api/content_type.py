"""The form of a body, as RFC 9110 8.3 and 8.4 have it said in headers."""

from collections.abc import Mapping
from email.message import Message
from typing import Final

_UTF_8: Final = frozenset({None, "utf-8", "utf8"})
"""RFC 8259 8.1: JSON is UTF-8, whether or not its content type says so."""

_LONGEST: Final = 256
"""More is no content type that a caller needs. The standard library's parser takes a second for 28 000 semicolons, and
raises for parameters with a number of 5 000 digits."""

_NOT_ENCODED: Final = frozenset({None, b"identity"})


def is_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body with these headers is JSON in UTF-8, not compressed; parameters but `charset` mean nothing."""
    content_type = headers.get(b"content-type", b"")
    if len(content_type) > _LONGEST or headers.get(b"content-encoding") not in _NOT_ENCODED:
        return False
    message = Message()
    message["content-type"] = content_type.decode("latin-1")
    return message.get_content_type() == "application/json" and message.get_content_charset() in _UTF_8
