"""The sandbox's store at the end of a wire without sockets, and an exact record of its answers."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

import httpx
from msgspec import Struct

from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreRequest
from service.verification.interfaces import Clock

BASE_URL: Final = "https://store.example"
OVER_IT: Final = timedelta(seconds=70)
"""After so long a store that is well again has been asked again: no pause is longer than a minute."""

RATE: Final = 6.0
BURST: Final = 12
"""The budget of the store unless the operator says otherwise: requests a second, and at once after a quiet time."""

NEVER: Final = timedelta(days=1)
THROTTLED_SECONDS: Final = 30
_SUBJECTS: Final = ("download_key", "user_id", "email")


class Said(Enum):
    """The part of a store's answer about a subject that decides something."""

    YES = "yes"
    NO_KEY = "no key"
    NO_PURCHASE = "no purchase"
    REFUSED = "refused"


class Statement(Struct, frozen=True):
    """One answer that the store gave undisturbed: when, about whom, and what."""

    at: datetime
    subject: str
    said: Said


class Statements:
    """All that the store has said, by subject, in the order of time; `asked_at` is when it was asked anything."""

    def __init__(self) -> None:
        self.asked_at: list[datetime] = []
        self._of: defaultdict[str, list[Statement]] = defaultdict(list)

    def add(self, statement: Statement) -> None:
        """Note one more."""
        self._of[statement.subject].append(statement)

    def about(self, subject: str, since: datetime, until: datetime) -> Iterator[Statement]:
        """Return those about a subject, from `since` to `until`."""
        return (one for one in self._of.get(subject, ()) if since <= one.at <= until)

    def check_pace(self) -> None:
        """Raise `AssertionError` if more was asked than a budget allows: its rate, and one burst in all."""
        for number, at in enumerate(self.asked_at, start=1):
            allowed = BURST + RATE * (at - self.asked_at[0]).total_seconds()
            assert number <= allowed, "the store is asked more than its budget allows"


def subject_of(game: int, name: str, credential: str | int) -> str:
    """Name a subject as the store's path and query do."""
    return f"{game}/{name}={credential}"


def jwt_subject(jwt: str) -> str:
    """Name the question whose a JWT is."""
    return f"jwt={jwt}"


class StoreLine(httpx.AsyncBaseTransport):
    """Leads from a gateway to the sandbox. Faults do here what they do on a socket, by the clock of the test.

    `statements` and `trouble` may be shared with the lines of other gateways.
    """

    def __init__(
        self, sandbox: Sandbox, *, clock: Clock, statements: Statements, trouble: "LineTrouble | None" = None
    ) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self._statements = statements
        self._trouble = trouble or LineTrouble()
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the sandbox does, disturbed as its faults say."""
        self.asked += 1
        self._statements.asked_at.append(self._clock.now())
        if _game_in(request) in self._trouble.hanging:
            await self._clock.sleep(NEVER)
        if _bearer_in(request) in self._trouble.throttled:
            return _throttled()
        if self._trouble.take:
            await self._clock.sleep(self._trouble.take)
        return await self._answer(request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        delivery = self._sandbox.receive(
            StoreRequest(
                method=request.method,
                path=request.url.path,
                query=tuple(request.url.params.multi_items()),
                authorization=request.headers.get("authorization"),
            )
        )
        answer, fault = delivery.answer, delivery.fault
        if fault is None or not (
            fault.truncated or fault.status or fault.html_challenge or fault.redirect or fault.body
        ):
            self._note(request, answer.body)
        if fault is not None and fault.latency_ms:
            await self._clock.sleep(timedelta(milliseconds=fault.latency_ms))
        if fault is not None and fault.truncated:
            raise httpx.ReadError("half of it is missing")
        headers = [("content-type", answer.content_type), *answer.headers]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))

    def _note(self, request: httpx.Request, body: bytes) -> None:
        subject, answer = _subject_in(request), json.loads(body)
        said = _said_of_jwt(answer) if "." in _bearer_in(request) else _said(answer)
        if subject is not None and said is not None:
            self._statements.add(Statement(self._clock.now(), subject, said))


class LineTrouble:
    """Trouble that befalls only some: games whose requests are never answered, JWTs that are throttled.

    A store whose answers `take` their time is no trouble.
    """

    def __init__(self) -> None:
        self.take = timedelta()
        self.hanging: set[int] = set()
        self.throttled: set[str] = set()


class Health:
    """The times since which the store has been well: as a whole, for a game, and for a JWT, each by its name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._well_since: dict[int | str | None, datetime | None] = {}

    def becomes(self, part: int | str | None, *, well: bool) -> None:
        """Note that a part, or the whole, is well from now on, or is not."""
        if not well:
            self._well_since[part] = None
        elif self._well_since.get(part, self._clock.now()) is None:
            self._well_since[part] = self._clock.now()

    def was_well_for_long(self, parts: Iterable[int | str | None], at: datetime) -> bool:
        """Whether all parts had been well for so long that no pause was left."""
        since = [self._well_since.get(part, at - OVER_IT) for part in parts]
        return all(well_since is not None and at - well_since >= OVER_IT for well_since in since)


def _game_in(request: httpx.Request) -> int | None:
    match request.url.path.strip("/").split("/"):
        case ["games", game, _]:
            return int(game)
        case _:
            return None


def _bearer_in(request: httpx.Request) -> str:
    authorization: str = request.headers.get("authorization", "")
    return authorization.removeprefix("Bearer ")


def _subject_in(request: httpx.Request) -> str | None:
    game, name = _game_in(request), next((name for name in _SUBJECTS if name in request.url.params), None)
    if game is not None and name is not None:
        return subject_of(game, name, request.url.params[name])
    bearer = _bearer_in(request)
    return jwt_subject(bearer) if "." in bearer else None


def _throttled() -> httpx.Response:
    headers = {"retry-after": str(THROTTLED_SECONDS)}
    return httpx.Response(429, headers=headers, stream=httpx.ByteStream(b"slow down"))


def _said(body: dict[str, object]) -> Said | None:
    if "download_key" in body or body.get("purchases"):
        return Said.YES
    if "purchases" in body:
        return Said.NO_PURCHASE
    if body.get("errors") in (["invalid download key"], ["no download key found"]):
        return Said.NO_KEY
    return None


def _said_of_jwt(body: dict[str, object]) -> Said | None:
    return Said.REFUSED if "errors" in body else None
