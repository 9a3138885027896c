"""The failures of requests to a store: in time or not, heard or not, and their names in the metrics."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from service.causes import Cause
from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    GatewayInTheWay,
    NoAnswer,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.secret import Secret
from service.verification.interfaces import Clock

_EXCUSES_THE_STORE: Final = 1.0
"""Seconds for which the process stood still while a request was under way: then its failure may be our own."""


@asynccontextmanager
async def in_time(clock: Clock, give_up_at: float, otherwise: NoAnswer) -> AsyncIterator[None]:
    """Raise `otherwise` if the body has not ended by that instant (monotonic)."""
    try:
        async with clock.timeout(timedelta(seconds=give_up_at - clock.monotonic())):
            yield
    except TimeoutError:
        raise otherwise from None


@asynccontextmanager
async def heard(stood_still: Callable[[float], float], started: float) -> AsyncIterator[None]:
    """Raise `GatewayInTheWay` where the store gave no answer that this process was awake to hear."""
    try:
        yield
    except SourceUnavailable:
        if stood_still(started) < _EXCUSES_THE_STORE:
            raise
        raise GatewayInTheWay("the gateway's process stood still") from None


def name_of(credential: Secret | None) -> bytes:
    """Return the name of a credential by which it is paused, for this process alone."""
    return b"nobody" if credential is None else hashlib.sha256(credential.reveal().encode()).digest()


def lost_for(no_answer: NoAnswer) -> Cause | None:
    """Return the cause for which the store counts as lost; one answer that says nothing may be about one player."""
    lost = isinstance(no_answer, SourceUnavailable) or no_answer.cause is Cause.REDIRECT
    return no_answer.cause if lost else None


def result_of(no_answer: NoAnswer) -> str:
    """Return the result of a request that had no usable answer, in the words of the metrics."""
    match no_answer:
        case GatewayCredentialRefused():
            return "credential"
        case GameNotAccessible():
            return "not_accessible"
        case SourceProtocolError():
            return "protocol"
        case SourceRateLimited():
            return "rate_limited"
        case GatewayInTheWay():
            return "gateway"
        case _:
            return "unavailable"
