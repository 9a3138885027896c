"""Requests to the store, each within the budget, with the right credential, counted and classified."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Protocol

from service.causes import Cause
from service.errors import (
    GatewayCredentialRefused,
    GatewayInTheWay,
    NoAnswer,
    Overloaded,
    SourceRateLimited,
    SourceUnavailable,
)
from service.itch.classification import JsonObject, No, classify
from service.itch.dialect import Bearer, Dialect, Endpoint
from service.itch.request_trail import record
from service.itch.seller_key import SellerKeyRing
from service.ownership import AccessToken, GameId, PlayerToken
from service.retry_after import read_http_date
from service.secret import Secret
from service.stores.answer import StoreAnswer
from service.stores.client import Client
from service.stores.store_failures import heard, in_time, lost_for, name_of, result_of
from service.verification.interfaces import Clock, CredentialPauses, Lane, StoreBudget, StoreQueue

_NOTHING: Final[Mapping[str, str]] = {}


class StoreObserver(Protocol):
    """A listener for the requests to the store, and for changes that they show."""

    def requested(self, endpoint: Endpoint, result: str, seconds: float) -> None:
        """One request ended. `result` is from the closed set that `StoreRequests` names."""

    def credential(self, cause: Cause | None) -> None:
        """The store accepted the seller's key, or refused it for that cause."""

    def reachable(self, cause: Cause | None) -> None:
        """The store answered, or gave no usable answer for that cause."""

    def store_clock(self, offset: timedelta) -> None:
        """The store has said the time: so far its clock is ahead of ours, in whole seconds."""

    def in_the_way(self, why: str) -> None:
        """The gateway's own trouble kept it from asking, or from hearing the answer."""


class StoreRequests:
    """Asks the store. Two clients, so that a player's token and the seller's key never share a connection's defaults.

    `stood_still` returns for how many seconds the process has not run since an instant (monotonic): the store is not
    blamed for what it could not be heard to answer.
    """

    def __init__(
        self,
        *,
        seller_client: Client,
        player_client: Client,
        dialect: Dialect,
        seller_key: SellerKeyRing,
        queue: StoreQueue,
        budget: StoreBudget,
        pauses: CredentialPauses,
        clock: Clock,
        observer: StoreObserver,
        stood_still: Callable[[float], float] = lambda _since: 0.0,
    ) -> None:
        self._clients = dict.fromkeys(Bearer, player_client) | {Bearer.SELLER: seller_client}
        self._dialect = dialect
        self._seller_key = seller_key
        self._queue = queue
        self._budget = budget
        self._pauses = pauses
        self._clock = clock
        self._observer = observer
        self._stood_still = stood_still
        self.sandbox_seen = False
        self.clock_skew: timedelta | None = None
        """The lead of the store's clock over ours, by its last answer with a date; None before the first."""

    async def as_seller(
        self,
        endpoint: Endpoint,
        game_id: GameId | None = None,
        *,
        lane: Lane,
        give_up_at: float,
        parameters: Mapping[str, str] = _NOTHING,
        begun: bool = False,
    ) -> JsonObject | No:
        """Ask with the seller's key, or with the other one if the store refuses it; `begun` is a look-up's second.

        Raises `NoAnswer` if the store gives no usable answer until `give_up_at` (monotonic).
        """
        path = self._dialect.path(endpoint, Bearer.SELLER, game_id)
        key = self._seller_key.current()
        while True:
            try:
                body = await self._ask(
                    endpoint,
                    path,
                    key,
                    bearer=Bearer.SELLER,
                    parameters=parameters,
                    lane=lane,
                    give_up_at=give_up_at,
                    begun=begun,
                )
            except GatewayCredentialRefused as refused:
                other = self._seller_key.refused(key)
                if other is None:
                    self._observer.credential(refused.cause)
                    raise
                key, begun = other, True
            else:
                if self._seller_key.accepted(key):
                    self._observer.credential(None)
                return body

    async def as_player(
        self,
        token: PlayerToken,
        endpoint: Endpoint,
        game_id: GameId | None = None,
        *,
        lane: Lane,
        give_up_at: float,
        begun: bool = False,
    ) -> JsonObject | No:
        """Ask with a player's token and nothing else; `begun` is a look-up's second request.

        Raises `NoAnswer` if the store gives no usable answer until `give_up_at` (monotonic), or asked to be left alone
        with this token.
        """
        bearer = Bearer.APPLICATION if isinstance(token, AccessToken) else Bearer.PLAYER
        path = self._dialect.path(endpoint, bearer, game_id)
        if (left := self._pauses.left(name_of(token))) > timedelta():
            raise SourceRateLimited("the store asked this player to stay away", retry_after=left)
        return await self._ask(
            endpoint,
            path,
            token,
            bearer=bearer,
            parameters=_NOTHING,
            lane=lane,
            give_up_at=give_up_at,
            begun=begun,
        )

    async def as_nobody(
        self, endpoint: Endpoint, *, parameters: Mapping[str, str], lane: Lane, give_up_at: float
    ) -> JsonObject | No:
        """Ask what the store tells everyone, without a credential.

        Raises `NoAnswer` if the store gives no usable answer until `give_up_at` (monotonic), or asked to be left alone.
        Neither makes the store lost for questions about players, or their budget smaller.
        """
        if (left := self._pauses.left(name_of(None))) > timedelta():
            raise SourceRateLimited("the store asked those without a key to stay away", retry_after=left)
        return await self._ask(
            endpoint,
            self._dialect.path(endpoint, Bearer.NOBODY),
            None,
            bearer=Bearer.NOBODY,
            parameters=parameters,
            lane=lane,
            give_up_at=give_up_at,
        )

    async def close(self) -> None:
        """Close the connections."""
        for client in set(self._clients.values()):
            await client.close()

    async def _ask(
        self,
        endpoint: Endpoint,
        path: str,
        credential: Secret | None,
        *,
        bearer: Bearer,
        parameters: Mapping[str, str],
        lane: Lane,
        give_up_at: float,
        begun: bool = False,
    ) -> JsonObject | No:
        async with in_time(self._clock, give_up_at, Overloaded("no turn came in time")):
            await self._queue.take_turn(lane, begun=begun)
        started = self._clock.monotonic()
        try:
            async with (
                heard(self._stood_still, started),
                in_time(self._clock, give_up_at, SourceUnavailable("the store took too long", cause=Cause.TIMEOUT)),
            ):
                answer = await self._clients[bearer].get(path, bearer=credential, parameters=parameters)
            self._compare_clocks(answer)
            self.sandbox_seen = self.sandbox_seen or answer.sandbox
            body = classify(answer, bearer=bearer, now=self._clock.now())
        except NoAnswer as no_answer:
            # A request that was cancelled comes neither here nor below: that says nothing about the store.
            self._requested(endpoint, result_of(no_answer), started)
            self._note_failure(no_answer, bearer, credential)
            raise
        finally:
            self._queue.end_turn(lane)
        self._requested(endpoint, _result(body), started)
        if bearer is not Bearer.NOBODY:
            self._observer.reachable(None)
            self._budget.answered()
        self._pauses.answered(None if bearer is Bearer.SELLER else name_of(credential))
        return body

    def _note_failure(self, no_answer: NoAnswer, bearer: Bearer, credential: Secret | None) -> None:
        """Say what follows from a failure; that of a request without a credential says nothing about others."""
        if isinstance(no_answer, GatewayInTheWay):
            self._observer.in_the_way(no_answer.detail)
        elif bearer is Bearer.NOBODY:
            if isinstance(no_answer, SourceRateLimited):
                self._pauses.refused(name_of(None), no_answer.retry_after)
        elif not isinstance(no_answer, SourceRateLimited):
            self._observer.reachable(lost_for(no_answer))
        elif bearer is Bearer.SELLER or self._pauses.refused(name_of(credential), no_answer.retry_after):
            self._observer.reachable(no_answer.cause)
            self._budget.refused(no_answer.retry_after)

    def _requested(self, endpoint: Endpoint, result: str, started: float) -> None:
        seconds = self._clock.monotonic() - started
        self._observer.requested(endpoint, result, seconds)
        record(endpoint, result, seconds)

    def _compare_clocks(self, answer: StoreAnswer) -> None:
        said = read_http_date(answer.date)
        if said is not None:
            self.clock_skew = said - self._clock.now()
            self._observer.store_clock(self.clock_skew)


def _result(body: JsonObject | No) -> str:
    match body:
        case No.NO_SUCH_KEY:
            return "no"
        case No.CREDENTIAL_REFUSED:
            return "refused"
        case _:
            return "ok"
