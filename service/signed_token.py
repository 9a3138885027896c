"""The outside of a signed token (RFC 7515, compact), looked at before a library decodes it.

No signature is checked here: what is read says nothing but which key is to check it.
"""

import base64
import binascii
import re
from typing import Final

import msgspec

_FORM: Final = re.compile(r"(?:[A-Za-z0-9_-]+\.){2}[A-Za-z0-9_-]+", re.ASCII)


def has_form(text: str, *, longest: int) -> bool:
    """Whether a text has the three parts of a signed token, and no more characters than that."""
    return len(text) <= longest and _FORM.fullmatch(text) is not None


def unverified_object(part: str, *, largest: int) -> dict[str, object] | None:
    """Return the JSON object in a part of a token, None if there is none, or one of more bytes than that."""
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = None if len(decoded) > largest else msgspec.json.decode(decoded)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
