"""The hub's public lists at a relay: the keys of passes and what makes them void, for as long as the hub lets them be.

A match server then asks the relay beside it, and the hub is asked once for all of them.
"""

import asyncio
import re
from datetime import timedelta
from http import HTTPStatus
from typing import Final, Protocol

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from service.api.answers import TITLES_OF_RELAY
from service.api.dispatch import request_id_of
from service.api.paths import KEYS_PATH, VOID_PASSES_PATH
from service.api.problems import problem_reply, refusal_reply
from service.api.routes import AnyRequest, has_already, response
from service.errors import NoAnswer, NotEnabled
from service.http.reply import Reply
from service.hub.hub_answers import HubAnswer, no_answer_in
from service.verification.interfaces import Clock

PUBLIC: Final = (KEYS_PATH, VOID_PASSES_PATH)

_LARGEST: Final = 16 * 1024 * 1024
"""The list of void passes has up to ten thousand entries of 30 bytes for each game."""

_WITHIN: Final = timedelta(seconds=5)
_RETRY_SOON: Final = timedelta(seconds=1)
_LONGEST_KEPT: Final = 3600
"""Seconds that are believed of a `max-age`."""
_MAX_AGE: Final = re.compile(r"(?:^|[ ,])max-age=([0-9]{1,9})(?:$|[ ,])", re.ASCII)


class PublicHub(Protocol):
    """The hub's endpoints."""

    async def get(self, path: str, *, within: timedelta, most: int) -> HubAnswer:
        """Return what is at a path, at most so many bytes. Raises `NoAnswer` if there is none."""


class _Copy(Struct, frozen=True):
    body: bytes
    etag: str | None
    until: float


class _FailedFetch(Struct, frozen=True):
    why: NoAnswer | NotEnabled
    at: float


class PublicCopies:
    """Keeps copies by the hub's `max-age`; older ones are never given out."""

    def __init__(self, *, hub: PublicHub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._copies: dict[str, _Copy] = {}
        self._failures: dict[str, _FailedFetch] = {}
        self._turns = {path: asyncio.Lock() for path in PUBLIC}

    async def show(self, path: str, request: AnyRequest) -> Reply:
        """Return what is at the path, or 304; 503 while the hub has no answer."""
        request_id = request_id_of(request.scope)
        try:
            copy = await self._current(path)
        except NotEnabled as off:
            return refusal_reply(off, request_id=request_id)
        except NoAnswer as no_answer:
            title, wait = TITLES_OF_RELAY[no_answer.reason], no_answer.retry_after or _RETRY_SOON
            return problem_reply(503, no_answer.reason, title, request_id=request_id, retry_after=wait)
        left = max(0, int(copy.until - self._clock.monotonic()))
        fields = {"cache-control": f"public, max-age={left}"}
        if copy.etag is not None:
            fields["etag"] = copy.etag
            if has_already(request, copy.etag):
                return Reply(304, b"", headers=fields)
        return Reply(200, copy.body, headers=fields)

    async def _current(self, path: str) -> _Copy:
        came_at = self._clock.monotonic()
        async with self._turns[path]:  # once for all who come while it is fetched
            copy = self._copies.get(path)
            if copy is not None and self._clock.monotonic() < copy.until:
                return copy
            failure = self._failures.get(path)
            if failure is not None and came_at < failure.at:
                raise failure.why
            try:
                copy = self._copies[path] = await self._fetch(path)
            except (NoAnswer, NotEnabled) as why:
                self._failures[path] = _FailedFetch(why, self._clock.monotonic())
                raise
            return copy

    async def _fetch(self, path: str) -> _Copy:
        asked_at = self._clock.monotonic()
        answer = await self._hub.get(path, within=_WITHIN, most=_LARGEST)
        if answer.status != HTTPStatus.OK:
            raise no_answer_in(answer, None)
        found = _MAX_AGE.search(answer.kept or "")
        kept = 0 if found is None else min(int(found[1]), _LONGEST_KEPT)
        return _Copy(answer.body, answer.etag, asked_at + kept)


def create_public_routes(copies: PublicCopies) -> list[HTTPRouteHandler]:
    """Return the endpoints, which need no token."""

    def create(path: str) -> HTTPRouteHandler:
        @get(path)
        async def show(request: AnyRequest) -> Response[bytes]:
            """Return the copy."""
            return response(await copies.show(path, request))

        return show

    return [create(path) for path in PUBLIC]
