"""An `ItchSource` with all its collaborators, and the events that it reports."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
from msgspec import Struct

from service.causes import Cause
from service.itch.dialect import Dialect, Endpoint
from service.itch.requests import StoreRequests
from service.itch.seller_key import KeySlot, SellerKeyRing
from service.itch.source import ItchSource
from service.limits.credential_pause import CredentialPause
from service.limits.fair_queue import FairQueue
from service.limits.store_budget import ProcessBudget
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreRequest
from service.secret import SellerKey
from service.stores.transport import StoreClient
from service.verification.interfaces import Clock

TIMEOUT: Final = timedelta(seconds=5)
PLACES: Final = ("itch.api_key", "itch.next_api_key")
BASE_PATH: Final = {Dialect.CURRENT: "", Dialect.SERVER_SIDE: "/api/1"}


class Observer:
    """A `StoreObserver` that remembers all reports."""

    def __init__(self) -> None:
        self.results: list[tuple[Endpoint, str]] = []
        self.seconds: list[float] = []
        self.credentials: list[bool] = []
        self.reached: list[bool] = []
        self.causes: list[Cause] = []
        self.offsets: list[timedelta] = []
        self.pauses: list[timedelta] = []
        self.resumed = 0
        self.switches: list[str] = []
        self.in_our_way: list[str] = []
        self.stalled_seconds = 0.0

    def requested(self, endpoint: Endpoint, result: str, seconds: float) -> None:
        """Remember how a request ended."""
        self.results.append((endpoint, result))
        self.seconds.append(seconds)

    def credential(self, cause: Cause | None) -> None:
        """Remember whether the store accepted the key."""
        self.credentials.append(cause is None)
        self._remember(cause)

    def reachable(self, cause: Cause | None) -> None:
        """Remember whether the store answered."""
        self.reached.append(cause is None)
        self._remember(cause)

    def _remember(self, cause: Cause | None) -> None:
        if cause is not None:
            self.causes.append(cause)

    def store_clock(self, offset: timedelta) -> None:
        """Remember how far the store's clock is ahead."""
        self.offsets.append(offset)

    def in_the_way(self, why: str) -> None:
        """Remember what was in the gateway's own way."""
        self.in_our_way.append(why)

    def stood_still(self, since: float) -> float:  # noqa: ARG002 - as the gateway calls it
        """Return the stall that the test has set."""
        return self.stalled_seconds

    def resume(self) -> None:
        """Count the ends of pauses."""
        self.resumed += 1


class Rig(Struct, frozen=True):
    """A source, the budget that it spends and the observer that it reports to."""

    source: ItchSource
    requests: StoreRequests
    budget: ProcessBudget
    observer: Observer


def build(
    *,
    clock: Clock,
    base_url: str = "https://store.example",
    dialect: Dialect = Dialect.CURRENT,
    transport: httpx.AsyncBaseTransport | None = None,
    timeout: timedelta = TIMEOUT,
    burst: int = 1000,
    keys: Sequence[str] = (seed.SELLER_KEY,),
    key_file: Path | None = None,
) -> Rig:
    """Build a source with the sandbox's seller key, unless others are given; `key_file` is the file of each."""
    observer = Observer()
    budget = ProcessBudget(
        rate=1000,
        burst=burst,
        timeout=timedelta(seconds=1),
        clock=clock,
        paused=observer.pauses.append,
        resumed=observer.resume,
    )
    base_url += BASE_PATH[dialect]
    requests = StoreRequests(
        seller_client=StoreClient(base_url=base_url, user_agent="tests", transport=transport),
        player_client=StoreClient(base_url=base_url, user_agent="tests", transport=transport),
        dialect=dialect,
        seller_key=SellerKeyRing(
            [KeySlot(place, SellerKey(key), file=key_file) for place, key in zip(PLACES, keys, strict=False)],
            clock=clock,
            reloaded=lambda _: None,
            unreadable=lambda _setting, _why: None,
            switched=observer.switches.append,
        ),
        queue=FairQueue(budget=budget, clock=clock, longest=timedelta(seconds=1)),
        budget=budget,
        pauses=CredentialPause(clock=clock),
        clock=clock,
        observer=observer,
        stood_still=observer.stood_still,
    )
    source = ItchSource(requests=requests, clock=clock, local_clock=clock, timeout=timeout)
    return Rig(source, requests, budget, observer)


class StoreWire:
    """The sandbox's store behind an `httpx.MockTransport`; remembers each request as it was sent."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._sandbox.receive(
            StoreRequest(
                method=request.method,
                path=request.url.path,
                query=tuple(request.url.params.multi_items()),
                authorization=request.headers.get("authorization"),
            )
        ).answer
        headers = [("X-Sandbox", "tests"), ("Content-Type", answer.content_type), *answer.headers]
        return streamed(httpx.Response(answer.status, headers=headers, content=answer.body))


class Script:
    """An `httpx.MockTransport` that gives scripted answers, one a request, the last one for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return streamed(answer)


def streamed(answer: httpx.Response) -> httpx.Response:
    """Return an answer as it comes from a network: still to be read, and only once."""
    return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))
