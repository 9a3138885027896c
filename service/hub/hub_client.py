"""The relay's questions to its hub: each timed, counted, with the relay's token, and read.

Items of one batch go together, in one request, see `service.hub.bundle`.
"""

import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol, assert_never

import msgspec

from service.causes import Cause
from service.errors import GatewayInTheWay, HubSilent, NoAnswer, Overloaded, SourceProtocolError
from service.file_stamp import Stamp, stamp_of
from service.hub.bundle import bundled, current_bundle
from service.hub.hub_answers import (
    GOOD,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    NOT_PERMITTED,
    TOO_MANY,
    UNAVAILABLE,
    HubAnswer,
    no_answer_in,
    problem_in,
    read_date,
    read_told,
)
from service.hub.hub_connection import HttpAnswer
from service.hub.hub_transport import LARGEST_ANSWER, HubTransport
from service.ownership import AccessToken, AppJwt, AssertedUser, Credential, DownloadKey, Method, VerifiedEmail
from service.secret import HubToken
from service.trust import trusting_context
from service.verification.interfaces import Clock
from service.verification.told import Inquiry, ToldDecision, Unread, UnreadPass, UnreadProof

SILENT_AFTER: Final = timedelta(seconds=1)
"""The hub says nothing if it has not answered so long after the deadline that it was given."""

ENDPOINT: Final = "hub"
"""The label of requests to the hub."""

_LOOK_EVERY: Final = 1.0

_PATHS: Final = {
    Method.DOWNLOAD_KEY: "/verify/download-key",
    Method.JWT: "/verify/jwt",
    Method.EMAIL: "/verify/email",
    Method.USER: "/verify/user",
    Method.PASS: "/verify/pass",
    Method.ACCESS_TOKEN: "/verify/access-token",
}


class HubObserver(Protocol):
    """A listener for the requests to the hub, and for changes that they show."""

    def requested(self, endpoint: str, result: str, seconds: float) -> None:
        """One request ended."""

    def credential(self, cause: Cause | None) -> None:
        """The hub accepted the relay's token, or refused it for that cause."""

    def reachable(self, cause: Cause | None) -> None:
        """The hub answered, or gave no usable answer for that cause."""

    def store_clock(self, offset: timedelta) -> None:
        """The hub has said the time: so far its clock is ahead of ours, in whole seconds."""

    def in_the_way(self, why: str) -> None:
        """The relay's own trouble kept it from asking."""


class Trust:
    """The certificates that the hub's is checked against, read again within a second after their file has changed.

    `unusable` is called with the reason when it holds none; those read before count on.
    """

    def __init__(self, ca_file: Path | None, *, clock: Clock, unusable: Callable[[str], None]) -> None:
        self._file = ca_file
        self._clock = clock
        self._unusable = unusable
        self._seen: Stamp = None if ca_file is None else stamp_of(ca_file)
        self._context = trusting_context(ca_file)
        self._looked_at = clock.monotonic()

    def current(self) -> ssl.SSLContext:
        """Return the context to connect with now."""
        now = self._clock.monotonic()
        if self._file is None or now - self._looked_at < _LOOK_EVERY:
            return self._context
        self._looked_at = now
        before, self._seen = self._seen, stamp_of(self._file)
        if self._seen != before:
            try:
                self._context = trusting_context(self._file)
            except OSError as error:
                self._unusable(type(error).__name__)
        return self._context


class HubClient:
    """Asks the hub. Implements `Hub`. `token` returns the relay's token of the moment."""

    def __init__(
        self, *, transport: HubTransport, token: Callable[[], HubToken], clock: Clock, observer: HubObserver
    ) -> None:
        self._transport = transport
        self._token = token
        self._clock = clock
        self._observer = observer
        self._paused_until = 0.0
        self._last_date: str | None = None

    async def ask(
        self, inquiry: Inquiry, *, max_age: timedelta | None, only_if_cached: bool, deadline: timedelta
    ) -> ToldDecision:
        """Return the hub's decision. Raises `NoAnswer`, `NotEnabled`."""
        fields = _fields_of(inquiry, max_age=max_age, only_if_cached=only_if_cached, deadline=deadline)
        asked_at = self._clock.now()
        path, within, bundle = _PATHS[inquiry.method], deadline + SILENT_AFTER, current_bundle()
        if bundle is None:
            answer = await self.post(path, fields, within)
        else:
            answer = await bundle.ask(path, inquiry.method, fields, within)
        self._heed(answer)
        return read_told(answer, inquiry, asked_at=asked_at, heard_at=self._clock.now())

    def paused_seconds(self) -> float:
        """Return the seconds for which the hub is not asked yet."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def forget_pause(self) -> None:
        """Let the hub be asked at once."""
        self._paused_until = 0.0

    def together(self) -> AbstractContextManager[None]:
        """Have the questions that are asked in here go to the hub in one request."""
        return bundled(self.post)

    async def post(
        self, path: str, fields: Mapping[str, object], within: timedelta, *, once: bool = False
    ) -> HubAnswer:
        """Return the hub's answer to a body, of any status. Raises `NoAnswer` if there is none.

        The body may be sent twice, unless it is to be sent `once`.
        """
        return await self._exchange("POST", path, msgspec.json.encode(fields), within=within, once=once)

    async def get(self, path: str, *, within: timedelta, most: int) -> HubAnswer:
        """Return what is at a path, at most so many bytes. Raises `NoAnswer` if there is none."""
        return await self._exchange("GET", path, b"", within=within, most=most)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _exchange(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        within: timedelta,
        most: int = LARGEST_ANSWER,
        once: bool = False,
    ) -> HubAnswer:
        left = self.paused_seconds()
        if left:
            raise Overloaded("the hub lets the relay ask no more now", retry_after=timedelta(seconds=left))
        fields = {"Authorization": f"Bearer {self._token().reveal()}"}
        started = self._clock.monotonic()
        try:
            try:
                async with self._clock.timeout(within):
                    heard = await self._transport.send(method, path, fields=fields, body=body, most=most, once=once)
            except TimeoutError:
                raise HubSilent("the hub did not answer in time", cause=Cause.TIMEOUT) from None
        except NoAnswer as no_answer:
            self._failed(no_answer, started)
            raise
        return self._heard(heard, started)

    def _failed(self, no_answer: NoAnswer, started: float) -> None:
        self._requested(_result_of(no_answer), started)
        if isinstance(no_answer, GatewayInTheWay):
            self._observer.in_the_way(no_answer.detail)
        elif isinstance(no_answer, HubSilent):
            self._observer.reachable(no_answer.cause)

    def _heard(self, heard: HttpAnswer, started: float) -> HubAnswer:
        """Report what an answer shows of the hub, the token and the clocks, and return it."""
        said = heard.field(b"date")
        date = read_date(said)
        if date is not None and said != self._last_date:
            self._last_date = said
            self._observer.store_clock(date - self._clock.now())
        kept, etag = heard.field(b"cache-control"), heard.field(b"etag")
        answer = HubAnswer(heard.status, heard.body, date, kept=kept, etag=etag)
        if answer.status in GOOD:
            self._requested("ok", started)
            self._observer.reachable(None)
            self._observer.credential(None)
        else:
            self._refused(answer, started)
        return answer

    def _refused(self, answer: HubAnswer, started: float) -> None:
        refused = no_answer_in(answer, None)
        silent = isinstance(refused, HubSilent) or (isinstance(refused, NoAnswer) and refused.cause is Cause.REDIRECT)
        self._requested(_RESULTS.get(answer.status, "unavailable" if silent else "protocol"), started)
        self._observer.reachable(refused.cause if silent and isinstance(refused, NoAnswer) else None)
        if answer.status == NOT_AUTHENTICATED:
            self._observer.credential(Cause.AUTH)
        elif not isinstance(refused, HubSilent | SourceProtocolError):
            self._observer.credential(None)  # also where it forbids one thing: it knows whose the token is
        self._heed(answer)

    def _heed(self, answer: HubAnswer) -> None:
        """Ask nothing until the hub lets the relay ask again, unless its 429 is about one credential or one address."""
        if answer.status == TOO_MANY and problem_in(answer).code not in _ABOUT_ONE:
            refused = no_answer_in(answer, None)
            wait = refused.retry_after if isinstance(refused, NoAnswer) else None
            self._paused_until = self._clock.monotonic() + (wait or _USUAL_WAIT).total_seconds()

    def _requested(self, result: str, started: float) -> None:
        self._observer.requested(ENDPOINT, result, self._clock.monotonic() - started)


_USUAL_WAIT: Final = timedelta(seconds=1)
_ABOUT_ONE: Final = frozenset({"too_many_failed_keys", "too_many_challenges"})
"""The codes of a 429 after which all other questions may be asked: players cause these, and can at will."""

_RESULTS: Final = {
    NOT_AUTHENTICATED: "credential",
    NOT_PERMITTED: "credential",
    NOT_FOUND: "not_accessible",
    TOO_MANY: "rate_limited",
    UNAVAILABLE: "unavailable",
}


def _result_of(no_answer: NoAnswer) -> str:
    if isinstance(no_answer, GatewayInTheWay):
        return "gateway"
    return "protocol" if isinstance(no_answer, SourceProtocolError) else "unavailable"


_FIELD_OF: Final = {
    Method.DOWNLOAD_KEY: "download_key",
    Method.JWT: "jwt",
    Method.ACCESS_TOKEN: "access_token",
    Method.EMAIL: "email",
    Method.PASS: "pass",
}


def _fields_of(
    inquiry: Inquiry, *, max_age: timedelta | None, only_if_cached: bool, deadline: timedelta
) -> dict[str, object]:
    """Return the fields of a question: none that the relay was not given, but for the deadline."""
    fields: dict[str, object] = {"game": inquiry.game_id, **_shown(inquiry.credential)}
    if inquiry.player_ref is not None:
        fields["player_ref"] = inquiry.player_ref
    if max_age is not None:
        fields["max_age"] = int(max_age.total_seconds())
    if only_if_cached:
        fields["only_if_cached"] = True
    fields["deadline_ms"] = int(deadline.total_seconds() * 1000)
    return fields


def _shown(credential: Credential | Unread) -> dict[str, object]:
    """Return the fields of what the player presented."""
    match credential:
        case AssertedUser(player_id=player_id):
            return {"user_id": player_id}
        case DownloadKey() | AppJwt() | AccessToken() | VerifiedEmail() | UnreadPass() as secret:
            return {_FIELD_OF[secret.method]: secret.reveal()}
        case UnreadProof(text=text, nonce=nonce, address=address):
            more = {"nonce": nonce, "email": address}
            named = {name: one.reveal() for name, one in more.items() if one is not None}
            return {"proof": text.reveal(), **named}
        case unknown:
            assert_never(unknown)
