"""The requests to the store that one question led to, for those who want to see them one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from msgspec import Struct

from service.itch.dialect import Endpoint


class SentRequest(Struct, frozen=True):
    """A request to the store, with its result in the words of the metrics, and how long it took."""

    endpoint: Endpoint
    result: str
    seconds: float


_TRAIL: Final[ContextVar[list[SentRequest] | None]] = ContextVar("trail", default=None)


@contextmanager
def recorded_requests() -> Iterator[list[SentRequest]]:
    """Collect the requests that the code in here sends, also by tasks that it starts; not those that it joins."""
    trail: list[SentRequest] = []
    token = _TRAIL.set(trail)
    try:
        yield trail
    finally:
        _TRAIL.reset(token)


def record(endpoint: Endpoint, result: str, seconds: float) -> None:
    """Take note of a request that has ended, where they are collected."""
    trail = _TRAIL.get()
    if trail is not None:
        trail.append(SentRequest(endpoint, result, seconds))
