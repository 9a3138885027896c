"""The last resort: text that looks like a secret is not written, from any source.

Types and the choice of fields keep secrets out of log lines. This catches what libraries write into
their messages: a URL with a query, a header, an address. It errs on the side of hiding too much.
"""

import re
from datetime import date, timedelta
from enum import Enum
from itertools import islice
from typing import Final

REDACTED: Final = "[redacted]"

_LONGEST_TEXT: Final = 2_000
_MOST_ITEMS: Final = 50
_DEEPEST: Final = 5
_LARGEST_INTEGER: Final = 2**63  # no JSON reader has room for more

# The characters on both sides of the @; wide on purpose, an address need not be valid to be a person's.
_MAIL = r"""[^\s@<>"(),:;=\[\]/\\|{}?&]"""

_NAME = r"[\w-]{0,32}(?:key|jwt|token|passw(?:or)?d|secret|e?mail|authorization)"
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"'&,;)}\]]+)"""

# No rule may take quadratic time on text from outside: each begins at a fixed word or at the start of a
# run, or is bounded. A rule is tried only on text that holds its marker.
_RULES: Final[tuple[tuple[str, re.Pattern[str], str], ...]] = (
    ("bearer", re.compile(r"(?i)\b(bearer\s+)[^\s\"',]+"), rf"\1{REDACTED}"),
    ("ogw_", re.compile(r"(?i)ogw_[a-z0-9_-]+"), REDACTED),
    # The whole rest of the path: a key, a temporary signed link, or a bundle's key.
    ("download", re.compile(r"(?i)((?:/|%2f)download(?:/|%2f))[^\s\"'<>]+"), rf"\1{REDACTED}"),
    # itch.io documents a form with the seller's key in the path; /key/ and /jwt/ are its other forms.
    ("/api/1/", re.compile(r"(?i)(/api/1/)(?!(?:key|jwt)(?![\w-]))[\w-]+"), rf"\1{REDACTED}"),
    ("?", re.compile(r"(\?)[\w.~%\[\]-]{1,64}=[^\s\"'<>]*"), rf"\1{REDACTED}"),
    ("=", re.compile(rf"(?i)\b({_NAME}[\"']?\s?=\s?){_VALUE}"), rf"\1{REDACTED}"),
    # Only after a quoted name: "invalid key: …" is a sentence.
    (":", re.compile(rf"(?i)\b({_NAME}[\"']\s?:\s?){_VALUE}"), rf"\1{REDACTED}"),
    ("://", re.compile(r"(://)[^\s\"'<>]{0,512}@"), rf"\1{REDACTED}@"),
    ("@", re.compile(rf"(?<!{_MAIL}){_MAIL}+@{_MAIL}+"), REDACTED),
    ("%40", re.compile(rf"(?<!{_MAIL}){_MAIL}+%40{_MAIL}+"), REDACTED),
    # A JSON object in base64 begins with "ey", or "ew" where a line break follows the brace.
    (".", re.compile(r"(?<![\w-])e[wy][\w-]{6,}\.[\w-]+(?:\.[\w-]*)?", re.ASCII), REDACTED),
    (".", re.compile(r"(?<![\w-])[\w-]{16,}\.[\w-]{16,}\.[\w-]{16,}", re.ASCII), REDACTED),
)

# itch.io's API keys and many download keys: exactly 40 characters. Plain words and hexadecimal digests are let through.
_KEY_LENGTH: Final = 40
_BARE_KEY: Final = re.compile(r"(?<![\w-])(?![0-9a-f-]{40})(?=[a-z_-]*[A-Z0-9])[\w-]{40}(?![\w-])", re.ASCII)


def redact(text: str) -> str:
    """Return the text with everything in it that looks like a secret replaced."""
    if len(text) < _KEY_LENGTH and text.isalnum():
        return text  # no rule is about so little: our own ids above all
    lowered = text.lower()
    for marker, pattern, replacement in _RULES:
        if marker in lowered:
            text = pattern.sub(replacement, text)
    if len(text) >= _KEY_LENGTH:
        text = _BARE_KEY.sub(REDACTED, text)
    return text


def cleaned(value: object, depth: int = 0) -> object:
    """Return the value as plain JSON data of bounded size, every text in it redacted. Never raises."""
    if isinstance(value, Enum):
        value = value.value
    match value:
        case dict() | list() | tuple() | set() | frozenset() if depth == _DEEPEST:
            return f"<{type(value).__qualname__} of {len(value)}>"
        case dict():
            items = islice(value.items(), _MOST_ITEMS)
            return {cleaned_text(str(_plain(key))): cleaned(item, depth + 1) for key, item in items}
        case list() | tuple() | set() | frozenset():
            return [cleaned(item, depth + 1) for item in islice(value, _MOST_ITEMS)]
        case _:
            return _plain(value)


def cleaned_text(text: str) -> str:
    """Return the text redacted, of bounded length, and such that it can be encoded."""
    text = redact(str.__str__(text))
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}..."
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    return text


def _plain(value: object) -> object:
    match value:
        case None | bool():
            return value
        # The encoder takes only the built-in types themselves, hence the conversions of what may be a subclass.
        case float():
            return float.__float__(value)
        case int():
            return int.__int__(value) if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else hex(value)
        case timedelta():
            return value.total_seconds()
        case str():
            return cleaned_text(value)
        case _:
            return cleaned_text(_shown(value))


def _shown(value: object) -> str:
    match value:
        case date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case BaseException():
            # What an exception says may hold a URL or a body; what it is called never does.
            return type(value).__qualname__
        case _:
            try:
                return repr(value)
            except Exception:  # noqa: BLE001 - a log line must not fail for what a foreign repr raises
                return f"<{type(value).__qualname__}>"
