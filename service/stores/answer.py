"""An answer of a store, before anything has judged it."""

from typing import Final

from msgspec import Struct

from service.errors import SourceProtocolError

LARGEST_BODY: Final = 256 * 1024
"""Bytes. A key of itch.io's takes half a kilobyte, a list of games some tens; a bomb of 300 kB has been 300 MB."""


class AnswerTooLargeError(SourceProtocolError):
    """The answer is longer than was to be read of it."""


class StoreAnswer(Struct, frozen=True):
    """An HTTP answer as it came, its body read whole. `date` and `retry_after` are the headers' text."""

    status: int
    content_type: str
    body: bytes
    retry_after: str | None = None
    date: str | None = None
    sandbox: bool = False
