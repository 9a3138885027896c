"""A stand-in for mod.io that speaks its wire, and a source in front of it with all that a source needs."""

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
from msgspec import Struct

from service.causes import Cause
from service.limits.credential_pause import CredentialPause
from service.limits.fair_queue import FairQueue
from service.limits.store_budget import ProcessBudget
from service.modio.endpoints import ModioEndpoint, ModioEnvironment, base_url
from service.modio.modio_requests import ModioApiKey, ModioRequests
from service.modio.modio_source import ModioSource
from service.products import ModioGame, ModioToken, Product
from service.stores.transport import StoreClient
from service.verification.interfaces import Clock

GAME: Final = ModioGame(264)
OTHER_GAME: Final = 265
ELEVEN, TWELVE, THIRTEEN = Product(11), Product(12), Product(13)
TIMEOUT: Final = timedelta(seconds=5)

Script = Callable[[httpx.Request], httpx.Response]


def token(name: str = "buyer") -> ModioToken:
    """Return a token of mod.io's form, another for each name."""
    return ModioToken(f"eyJhbGciOiJSUzI1NiJ9.{name.encode().hex()}.c2lnbmF0dXJl")


def error(error_ref: object, status: int, **headers: str) -> httpx.Response:
    """Return an error in mod.io's form."""
    body = {"error": {"code": status, "error_ref": error_ref, "message": "canary-message"}}
    return httpx.Response(status, json=body, headers=headers)


def mod(number: int, game: int = GAME, *, description: str = "") -> dict[str, Any]:
    """Return a Mod Object, as far as it matters how large it is."""
    return {
        "id": number,
        "game_id": game,
        "status": 1,
        "visible": 1,
        "submitted_by": {"id": 1, "name_id": "creator", "username": "Creator"},
        "price": 500,
        "name": f"Mod {number}",
        "description": description,
        "metadata_blob": None,
        "tags": [],
    }


def page(rows: Iterable[object], **counts: object) -> dict[str, Any]:
    """Return a list as mod.io counts it, unless other counts are given; None leaves one out."""
    data = list(rows)
    right = {"result_count": len(data), "result_offset": 0, "result_limit": 100, "result_total": len(data)}
    return {"data": data} | {name: count for name, count in (right | counts).items() if count is not None}


class FakeModio:
    """mod.io with one user who has bought some mods; `says` answers in its place while there is one.

    `filters` says whether it obeys `id-in`. Each request is remembered as it was sent.
    """

    def __init__(self, bought: Iterable[int] = (), *, filters: bool = True) -> None:
        self.bought = list(bought)
        self.filters = filters
        self.says: Script | None = None
        self.descriptions: dict[int, str] = {}
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    @property
    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [request.url.path for request in self.requests]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._reply(request) if self.says is None else self.says(request)
        # As it comes from a network: still to be read, and only once.
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    def _reply(self, request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/v1/ping":
                return httpx.Response(200, json={"code": 200, "success": True, "message": "OK"})
            case "/v1/me":
                user = {"id": 71104, "name_id": "buyer", "username": "Buyer", "status": 1, "avatar": {}}
                return httpx.Response(200, json=user)
            case _:
                return httpx.Response(200, content=self._purchased(dict(parse_qsl(request.url.query.decode()))))

    def _purchased(self, query: dict[str, str]) -> bytes:
        wanted = {int(number) for number in query["id-in"].split(",")}
        bought = [number for number in self.bought if not self.filters or number in wanted]
        listed = [
            mod(number, description=self.descriptions.get(number, "")) for number in bought[: int(query["_limit"])]
        ]
        return json.dumps(page(listed, result_total=len(bought))).encode()


class Observer:
    """A `ModioObserver` that remembers all reports."""

    def __init__(self) -> None:
        self.results: list[tuple[ModioEndpoint, str]] = []
        self.causes: list[Cause | None] = []
        self.unknown: list[int | None] = []
        self.in_our_way: list[str] = []
        self.pauses: list[timedelta] = []

    def requested(self, endpoint: ModioEndpoint, result: str, seconds: float) -> None:
        """Remember how a request ended."""
        del seconds
        self.results.append((endpoint, result))

    def reachable(self, cause: Cause | None) -> None:
        """Remember whether mod.io answered."""
        self.causes.append(cause)

    def unknown_error(self, error_ref: int | None) -> None:
        """Remember an error that is on no list."""
        self.unknown.append(error_ref)

    def in_the_way(self, why: str) -> None:
        """Remember what was in the gateway's own way."""
        self.in_our_way.append(why)


class Rig(Struct, frozen=True):
    """A source, and what it spends and reports to."""

    source: ModioSource
    requests: ModioRequests
    budget: ProcessBudget
    observer: Observer


def build(
    fake: FakeModio,
    *,
    clock: Clock,
    burst: int = 1000,
    api_key: ModioApiKey | None = None,
    stood_still: Callable[[float], float] = lambda _since: 0.0,
    instead: str | None = None,
) -> Rig:
    """Build a source in front of a stand-in, or of a server at another address instead."""
    observer = Observer()
    budget = ProcessBudget(
        rate=1000,
        burst=burst,
        timeout=timedelta(seconds=1),
        clock=clock,
        paused=observer.pauses.append,
        resumed=lambda: None,
    )
    address = base_url(ModioEnvironment.LIVE, GAME, instead=instead)
    network = fake.transport if instead is None else None
    requests = ModioRequests(
        clients={GAME: StoreClient(base_url=address, user_agent="tests", transport=network)},
        queue=FairQueue(budget=budget, clock=clock, longest=timedelta(seconds=1), connections=12),
        budget=budget,
        pauses=CredentialPause(clock=clock),
        clock=clock,
        observer=observer,
        stood_still=stood_still,
        api_key=api_key,
    )
    return Rig(ModioSource(requests=requests, clock=clock, timeout=TIMEOUT), requests, budget, observer)
