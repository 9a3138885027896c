"""The classification of the store's HTTP answers: body first, status second, whole strings only.

Everything that is not on the list here is no answer: an unknown string, a page of HTML, a redirect, half a body.
"""

import re
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from service.causes import Cause
from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    NoAnswer,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.itch.dialect import Bearer
from service.retry_after import read_http_date, read_retry_after
from service.stores.answer import StoreAnswer

JsonObject: TypeAlias = dict[str, object]


class No(Enum):
    """The store understood the question and said no."""

    NO_SUCH_KEY = "no such key"
    CREDENTIAL_REFUSED = "credential refused"


class UnknownWordsError(SourceProtocolError):
    """The store answered with an error that is not on our list."""


_TO_SELLER: Final[dict[str, No | NoAnswer]] = {
    "invalid download key": No.NO_SUCH_KEY,
    "no download key found": No.NO_SUCH_KEY,
    "invalid key": GatewayCredentialRefused("itch.io refuses the seller's API key"),
    "authentication required": GatewayCredentialRefused("itch.io saw no API key in our request"),
    "invalid game_id": GameNotAccessible("the seller's API key cannot see this game"),
    "invalid game": GameNotAccessible("the seller's API key cannot see this game"),
    "game_id must be an integer": GameNotAccessible("itch.io takes our game id for no number"),
    "There was a server error": SourceUnavailable("itch.io reports an error of its own", cause=Cause.SERVER_ERROR),
}
_TO_PLAYER: Final[dict[str, No | NoAnswer]] = {
    "invalid base64": No.CREDENTIAL_REFUSED,
    "header not HS256": No.CREDENTIAL_REFUSED,
    "header not JWT": No.CREDENTIAL_REFUSED,
    "missing data": No.CREDENTIAL_REFUSED,
    "invalid signature": No.CREDENTIAL_REFUSED,
    # On api.itch.io a JWT travels in the place of a key, so this is about the player's JWT: no alarm about ours.
    "invalid key": No.CREDENTIAL_REFUSED,
    "authentication required": SourceProtocolError("itch.io saw no JWT in our request"),
    "There was a server error": SourceUnavailable("itch.io reports an error of its own", cause=Cause.SERVER_ERROR),
}
_TO_APPLICATION: Final[dict[str, No | NoAnswer]] = {
    "invalid key": No.CREDENTIAL_REFUSED,
    "authentication required": No.CREDENTIAL_REFUSED,
    # The game is of another creator than the application, or there is none of that number.
    "invalid game": No.CREDENTIAL_REFUSED,
    "There was a server error": SourceUnavailable("itch.io reports an error of its own", cause=Cause.SERVER_ERROR),
}
_TO_NOBODY: Final[dict[str, No | NoAnswer]] = {
    "invalid game": GameNotAccessible("itch.io shows no such game to the public"),
    "There was a server error": SourceUnavailable("itch.io reports an error of its own", cause=Cause.SERVER_ERROR),
}
_TO: Final = {
    Bearer.SELLER: _TO_SELLER,
    Bearer.PLAYER: _TO_PLAYER,
    Bearer.APPLICATION: _TO_APPLICATION,
    Bearer.NOBODY: _TO_NOBODY,
}
_SCOPE_MISSING: Final = re.compile(r"api key does not permit `[a-z0-9:_-]+`", re.ASCII)
"""The one message with a variable part; the scope is spelt as in itch.io's documentation."""


def classify(answer: StoreAnswer, *, bearer: Bearer, now: datetime) -> JsonObject | No:
    """Return the body of a normal answer, or the store's no. Raises `NoAnswer` for everything else.

    `bearer` is the owner of the credential that was sent: "invalid key" is an alarm about the seller's, and a plain
    refusal of a player's. Without a credential neither can be refused.
    """
    body = _json_object(answer)
    if body is None:
        raise _by_status(answer, bearer, now) or SourceProtocolError("the answer is no JSON object")
    errors = body.get("errors")
    if errors in (None, [], {}):
        if answer.status == 200:  # noqa: PLR2004
            return body
        raise _by_status(answer, bearer, now) or SourceProtocolError(f"status {answer.status} without errors")
    said = _by_words(errors, bearer)
    if isinstance(said, No):
        return said
    raise said or _by_status(answer, bearer, now) or UnknownWordsError("the store answered with an unknown error")


def _by_words(errors: object, bearer: Bearer) -> No | NoAnswer | None:
    match errors:
        case [str(words)]:
            pass
        case _:
            return None
    if bearer is not Bearer.NOBODY and _SCOPE_MISSING.fullmatch(words):
        if bearer is Bearer.SELLER:
            return GatewayCredentialRefused("the seller's API key lacks a scope", cause=Cause.FORBIDDEN)
        return No.CREDENTIAL_REFUSED
    said = _TO[bearer].get(words)
    # A new exception each time: raising one from the table would grow its traceback without end.
    return type(said)(said.detail, cause=said.cause) if isinstance(said, NoAnswer) else said


def _by_status(answer: StoreAnswer, bearer: Bearer, now: datetime) -> NoAnswer | None:
    status = answer.status
    if 300 <= status < 400:  # noqa: PLR2004
        return SourceProtocolError("the store answered with a redirect, which is never followed", cause=Cause.REDIRECT)
    if status in (429, 503):
        # Both have been used for throttling (itchio/itch.io #1931), with and without Retry-After, and what throttles
        # stands in front of the API: its body is often a web page.
        return SourceRateLimited("itch.io is throttling us", retry_after=_wait(answer, now))
    if _is_html(answer):
        return SourceUnavailable("the store answered with a web page", cause=Cause.WEB_PAGE)
    if status >= 500:  # noqa: PLR2004
        return SourceUnavailable(f"itch.io answered with status {status}", cause=Cause.SERVER_ERROR)
    if status in (401, 403) and bearer is Bearer.SELLER:
        cause = Cause.AUTH if status == 401 else Cause.FORBIDDEN  # noqa: PLR2004
        return GatewayCredentialRefused("itch.io refuses the seller's API key", cause=cause)
    return None


def _wait(answer: StoreAnswer, now: datetime) -> timedelta | None:
    # A date is by the store's clock, so it counts from the store's own idea of now where that is known.
    return read_retry_after(answer.retry_after, now=read_http_date(answer.date) or now)


def _is_html(answer: StoreAnswer) -> bool:
    return "html" in answer.content_type.lower() or answer.body.lstrip()[:1] == b"<"


def _json_object(answer: StoreAnswer) -> JsonObject | None:
    try:
        value = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
