"""How itch.io writes its answers, in each of its two dialects."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TypeAlias

import msgspec
from msgspec import Struct

Json: TypeAlias = Mapping[str, "Json"] | Sequence["Json"] | str | int | bool


class Answer(Struct, frozen=True):
    """A whole HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class StoreRefusalError(Exception):
    """The store refuses; the text is its error string, `status` what the current dialect sends with it."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Dialect(Enum):
    """Which of itch.io's two APIs speaks."""

    CURRENT = "current"
    SERVER_SIDE = "server-side"

    def date(self, instant: datetime) -> str:
        """Write an instant: with nine fractional digits here, without even a zone there."""
        if self is Dialect.CURRENT:
            return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond:06d}000Z"
        return instant.strftime("%Y-%m-%d %H:%M:%S")

    def refuse(self, refusal: StoreRefusalError) -> Answer:
        """Write an error: the older API sends all but an unknown address with status 200."""
        kept = self is Dialect.CURRENT or refusal.status == 404  # noqa: PLR2004 - the status is its own name
        return say({"errors": [refusal.message]}, status=refusal.status if kept else 200)


def listed(rows: Sequence[Json]) -> Json:
    """Return a list as itch.io writes it: an empty one is an empty object (itchio/itch.io #1301)."""
    return rows or {}


def say(content: Json, *, status: int = 200) -> Answer:
    """Write JSON with escaped slashes, as itch.io does."""
    # Outside strings JSON has no slash, so every one of them may be escaped.
    return Answer(status, msgspec.json.encode(content).replace(b"/", rb"\/"))
