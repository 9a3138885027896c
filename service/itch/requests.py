"""Requests to the store, each within the budget, with the right credential, counted and classified."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Final, Protocol

from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    NoAnswer,
    SourceProtocolError,
    SourceRateLimited,
)
from service.interfaces import Clock, Priority, StoreBudget
from service.itch.classification import Answer, JsonObject, No, classify
from service.itch.dialect import Bearer, Dialect, Endpoint
from service.itch.retry_after import read_http_date
from service.itch.seller_key import SellerKeyRing
from service.itch.transport import StoreClient
from service.ownership import AppJwt, GameId
from service.secret import Secret

_NOTHING: Final[Mapping[str, str]] = {}


class StoreObserver(Protocol):
    """What the outside learns of the requests."""

    def requested(self, endpoint: Endpoint, result: str, seconds: float) -> None:
        """One request ended. `result` is from the closed set that `StoreRequests` names."""

    def credential(self, *, accepted: bool) -> None:
        """The store accepted or refused the seller's key."""

    def reachable(self, *, answering: bool) -> None:
        """The store answered, or gave no usable answer."""


class StoreRequests:
    """Asks the store. Two clients, so that a player's JWT and the seller's key never share a connection's defaults.

    `queueing` is entered while a request waits for its turn: until then it has cost nothing, and may be cancelled.
    """

    def __init__(
        self,
        *,
        seller_client: StoreClient,
        player_client: StoreClient,
        dialect: Dialect,
        seller_key: SellerKeyRing,
        budget: StoreBudget,
        clock: Clock,
        observer: StoreObserver,
        queueing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._clients = {Bearer.SELLER: seller_client, Bearer.PLAYER: player_client}
        self._dialect = dialect
        self._seller_key = seller_key
        self._budget = budget
        self._clock = clock
        self._observer = observer
        self._queueing = queueing
        self.sandbox_seen = False
        self.clock_skew: timedelta | None = None
        """How far the store's clock is ahead of ours, by its last answer; None while none has told."""

    async def as_seller(
        self,
        endpoint: Endpoint,
        game_id: GameId | None = None,
        *,
        priority: Priority,
        parameters: Mapping[str, str] = _NOTHING,
    ) -> JsonObject | No:
        """Ask with the seller's key. Raises `NoAnswer` when the store says nothing usable."""
        key = self._seller_key.current()
        path = self._dialect.path(endpoint, Bearer.SELLER, game_id)
        try:
            body = await self._ask(endpoint, path, key, bearer=Bearer.SELLER, parameters=parameters, priority=priority)
        except GatewayCredentialRefused:
            self._seller_key.refused(key)
            self._observer.credential(accepted=False)
            raise
        self._seller_key.accepted()
        self._observer.credential(accepted=True)
        return body

    async def as_player(self, jwt: AppJwt, endpoint: Endpoint, *, priority: Priority) -> JsonObject | No:
        """Ask with a player's JWT and nothing else. Raises `NoAnswer` when the store says nothing usable."""
        path = self._dialect.path(endpoint, Bearer.PLAYER)
        return await self._ask(endpoint, path, jwt, bearer=Bearer.PLAYER, parameters=_NOTHING, priority=priority)

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def _ask(
        self,
        endpoint: Endpoint,
        path: str,
        credential: Secret,
        *,
        bearer: Bearer,
        parameters: Mapping[str, str],
        priority: Priority,
    ) -> JsonObject | No:
        with self._queueing():
            await self._budget.acquire(priority)
        started = self._clock.monotonic()
        result = "unavailable"
        try:
            answer = await self._clients[bearer].get(path, bearer=credential, parameters=parameters)
            self._compare_clocks(answer)
            self.sandbox_seen = self.sandbox_seen or answer.sandbox
            body = classify(answer, bearer=bearer, now=self._clock.now())
        except SourceRateLimited as error:
            result = "rate_limited"
            self._budget.refused(error.retry_after)
            raise
        except NoAnswer as error:
            result = next((name for kind, name in _RESULTS.items() if isinstance(error, kind)), result)
            raise
        else:
            result = _result(body)
            self._budget.answered()
            return body
        finally:
            # Also when the look-up's time ran out: then nobody answered.
            self._observer.requested(endpoint, result, self._clock.monotonic() - started)
            self._observer.reachable(answering=result not in ("unavailable", "rate_limited"))

    def _compare_clocks(self, answer: Answer) -> None:
        said = read_http_date(answer.date)
        if said is not None:
            self.clock_skew = said - self._clock.now()


_RESULTS: Final[Mapping[type[NoAnswer], str]] = {
    GatewayCredentialRefused: "credential",
    GameNotAccessible: "not_accessible",
    SourceProtocolError: "protocol",
}


def _result(body: JsonObject | No) -> str:
    match body:
        case No.NO_SUCH_KEY:
            return "no"
        case No.CREDENTIAL_REFUSED:
            return "refused"
        case _:
            return "ok"
