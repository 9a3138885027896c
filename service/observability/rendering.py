"""One event becomes one line: JSON for machines, text for a person at a terminal."""

from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Any, Final

import msgspec
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import ExceptionRenderer

from service.observability.redaction import cleaned, cleaned_text
from service.observability.tracebacks import describe
from service.verification.interfaces import Clock

Fields = dict[str, object]
"""The fields of one line in their order, plain data but for `exception`, a list of `Raised`."""

_CAUGHT: Final = ExceptionRenderer(describe)
_BELOW: Final = frozenset({"exception", "stack"})
"""Fields that structlog writes on lines of their own, and takes for text without a check."""

_ENCODER: Final = msgspec.json.Encoder()
_POINT: Final = len('"2026-11-20T14:03:11')


class LineMaker:
    """Turns events into lines; the last processor of every chain.

    Every line has `timestamp`, `level` and `event`, and `sandbox` where nothing comes from the real store. All other
    fields are redacted, reduced to plain data and bounded. Never raises.
    """

    def __init__(self, *, encode: Callable[[Fields], bytes], clock: Clock, sandbox: bool) -> None:
        self._encode = encode
        self._clock = clock
        self._always: Fields = {"sandbox": True} if sandbox else {}

    def __call__(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> bytes:
        """Return the line of an event that happens now, newline included; `event` is used up."""
        return self.line(method, event, now=self._clock.now())

    def line(self, method: str, event: MutableMapping[str, Any], *, now: datetime) -> bytes:
        """Return the line of an event that happened at `now`."""
        caught = _CAUGHT(None, method, {"exc_info": event.pop("exc_info", None)}).get("exception")
        fields: Fields = {
            "timestamp": timestamp(now).decode("ascii"),
            "level": event.pop("level", method),
            "event": cleaned(event.pop("event", "")),
            **self._always,
        }
        for key, value in event.items():
            fields.setdefault(cleaned_text(key), cleaned(value))
        if caught:
            fields["exception"] = caught
        return self._encode(fields)


def timestamp(instant: datetime) -> bytes:
    """Return a UTC instant as RFC 3339 with milliseconds."""
    # Six digits follow the point, unless they are all zero. (`isoformat` takes five times as long.)
    text = _ENCODER.encode(instant)
    return text[1 : _POINT + 4] + b"Z" if instant.microsecond else text[1:_POINT] + b".000Z"


def json_line(fields: Fields) -> bytes:
    """Return the fields as one line of JSON."""
    return _ENCODER.encode(fields) + b"\n"


class ConsoleLine:
    """Renders fields for a person; an exception follows on lines of its own."""

    def __init__(self, *, colors: bool) -> None:
        # The default formatter would show local variables.
        self._renderer = ConsoleRenderer(colors=colors, sort_keys=False, exception_formatter=plain_traceback)

    def __call__(self, fields: Fields) -> bytes:
        """Return the line, newline included."""
        shown = {_harmless(key): _harmless(value) if isinstance(value, str) else value for key, value in fields.items()}
        for key in _BELOW & shown.keys():
            shown[key] = _lines_of(shown[key])
        return f"{self._renderer(None, str(fields['level']), shown)}\n".encode()


def _lines_of(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(raised) for raised in value)
    return str(value)


def _harmless(text: str) -> str:
    """Text without characters that move the cursor, recolour the terminal or begin a forged line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
