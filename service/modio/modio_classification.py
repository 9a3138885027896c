"""The classification of mod.io's HTTP answers: body first, status second; `error_ref` decides, never the message.

Everything that is not on the list here is no answer. A bare 401 is no refusal of a token: something in between may have
said it.
"""

from datetime import datetime, timedelta
from enum import Enum
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from service.causes import Cause
from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    NoAnswer,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.retry_after import read_http_date, read_retry_after
from service.stores.answer import StoreAnswer

ROLLING: Final = timedelta(seconds=60)
"""The wait that mod.io's documentation names for a `retry-after` of 0; one that is absent may be no shorter."""


class ModioNo(Enum):
    """mod.io understood the request and said no."""

    TOKEN_REFUSED = "token refused"  # noqa: S105 - no secret


class UnknownErrorRefError(SourceProtocolError):
    """mod.io answered with an error that is not on our list; `error_ref` is its number, None where there is none."""

    def __init__(self, error_ref: int | None) -> None:
        super().__init__("mod.io answered with an unknown error")
        self.error_ref = error_ref


class AddressThrottledError(SourceRateLimited):
    """Something that is not mod.io's API throttles us: that is about the address, not about one player."""


class AddressBannedError(SourceUnavailable):
    """mod.io has banned the address that the gateway asks from."""


class _Error(Struct, frozen=True):
    error_ref: int | None = None


class _Body(Struct, frozen=True):
    error: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


_TOKEN_REFUSED: Final = frozenset({11004, 11005, 11006, 11007})
"""Without the right to read; expired, revoked or malformed; of a deleted account; of a banned one."""

_API_KEY_REFUSED: Final = frozenset({11000, 11001, 11002})
_NO_GAME: Final = frozenset({14000, 14001, 14006, 14007, 900020, 900022})
_ADDRESS_BANNED: Final = 12003
_THROTTLED: Final = frozenset({11008, 11009})
_BROKEN: Final = frozenset({10000, 10002, 900000, 900001, 900002, 900012})


def classify(answer: StoreAnswer, *, with_token: bool, now: datetime) -> bytes | ModioNo:
    """Return the body of a normal answer, a JSON object, or mod.io's no. Raises `NoAnswer` for everything else.

    `with_token` says whether a player's token was sent: without one none can be refused.
    """
    body = _json_object(answer.body)
    if body is None:
        raise _by_status(answer, now) or SourceProtocolError("the answer is no JSON object")
    if body.error is UNSET:
        if answer.status == HTTPStatus.OK:
            return answer.body
        raise _by_status(answer, now) or SourceProtocolError(f"status {answer.status} without an error")
    if answer.status == HTTPStatus.OK or body.data is not UNSET:
        raise SourceProtocolError("an error that is none")
    error_ref = _error_ref(body.error)
    if error_ref in _TOKEN_REFUSED and with_token:
        return ModioNo.TOKEN_REFUSED
    raise _by_error_ref(error_ref, answer, now)


def _by_error_ref(error_ref: int | None, answer: StoreAnswer, now: datetime) -> NoAnswer:
    if error_ref in _API_KEY_REFUSED:
        return GatewayCredentialRefused("mod.io refuses the game's API key")
    if error_ref in _NO_GAME:
        return GameNotAccessible("mod.io has no such game, or no marketplace for it")
    if error_ref == _ADDRESS_BANNED:
        return AddressBannedError("mod.io has banned our address", cause=Cause.FORBIDDEN)
    if error_ref in _BROKEN:
        return SourceUnavailable("mod.io reports an error of its own", cause=Cause.SERVER_ERROR)
    if error_ref in _THROTTLED or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return SourceRateLimited("mod.io is throttling us", retry_after=_wait(answer, now))
    return UnknownErrorRefError(error_ref)


def _by_status(answer: StoreAnswer, now: datetime) -> NoAnswer | None:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return AddressThrottledError("something before mod.io is throttling us", retry_after=_wait(answer, now))
    if 300 <= answer.status < 400:  # noqa: PLR2004
        return SourceProtocolError("mod.io answered with a redirect, which is never followed", cause=Cause.REDIRECT)
    if "html" in answer.content_type.lower() or answer.body.lstrip()[:1] == b"<":
        return SourceUnavailable("mod.io answered with a web page", cause=Cause.WEB_PAGE)
    if answer.status >= 500:  # noqa: PLR2004
        return SourceUnavailable(f"mod.io answered with status {answer.status}", cause=Cause.SERVER_ERROR)
    return None


def _wait(answer: StoreAnswer, now: datetime) -> timedelta:
    # A date is by mod.io's clock, so it counts from mod.io's own idea of now where that is known.
    return read_retry_after(answer.retry_after, now=read_http_date(answer.date) or now) or ROLLING


def _json_object(text: bytes) -> _Body | None:
    try:
        return msgspec.json.decode(text, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _error_ref(error: Raw) -> int | None:
    try:
        return msgspec.json.decode(error, type=_Error).error_ref
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
