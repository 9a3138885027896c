"""Requests to mod.io, each within the budget, with the player's token, counted and classified.

A request that is throttled says nothing about the others: mod.io limits each token by itself, so that any player could
stop all others. Three different tokens in a row may be about the address; then a request without a credential decides.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, Protocol

from service.causes import Cause
from service.errors import GatewayInTheWay, NoAnswer, Overloaded, SourceRateLimited, SourceUnavailable
from service.modio.endpoints import PATHS, ModioEndpoint
from service.modio.modio_classification import (
    AddressBannedError,
    AddressThrottledError,
    ModioNo,
    UnknownErrorRefError,
    classify,
)
from service.products import ModioGame, ModioToken
from service.secret import Secret
from service.stores.answer import LARGEST_BODY
from service.stores.client import Client
from service.stores.store_failures import heard, in_time, lost_for, name_of, result_of
from service.verification.interfaces import Clock, CredentialPauses, Lane, StoreBudget, StoreQueue

_NOTHING: Final[Mapping[str, str]] = {}
_BETWEEN_PINGS: Final = 10.0
"""Seconds."""


class ModioApiKey(Secret):
    """The API key of a game, which every copy of the game has in it."""


class ModioObserver(Protocol):
    """A listener for the requests to mod.io, and for changes that they show."""

    def requested(self, endpoint: ModioEndpoint, result: str, seconds: float) -> None:
        """One request ended: `ok`, `refused`, or the name of its failure."""

    def reachable(self, cause: Cause | None) -> None:
        """mod.io answered, or gave no usable answer for that cause."""

    def unknown_error(self, error_ref: int | None) -> None:
        """mod.io answered with an error that is not on our list."""

    def in_the_way(self, why: str) -> None:
        """The gateway's own trouble kept it from asking, or from hearing the answer."""


class ModioRequests:
    """Asks mod.io, each game through its own client: the game is in the host.

    `stood_still` returns for how many seconds the process has not run since an instant (monotonic).
    """

    def __init__(
        self,
        *,
        clients: Mapping[ModioGame, Client],
        queue: StoreQueue,
        budget: StoreBudget,
        pauses: CredentialPauses,
        clock: Clock,
        observer: ModioObserver,
        stood_still: Callable[[float], float] = lambda _since: 0.0,
        api_key: ModioApiKey | None = None,
    ) -> None:
        self._clients = clients
        self._queue = queue
        self._budget = budget
        self._pauses = pauses
        self._clock = clock
        self._observer = observer
        self._stood_still = stood_still
        self._always = _NOTHING if api_key is None else {"api_key": api_key.reveal()}
        self._pinged_at: float | None = None
        self.sandbox_seen = False

    async def as_player(
        self,
        token: ModioToken,
        endpoint: ModioEndpoint,
        game: ModioGame,
        *,
        lane: Lane,
        give_up_at: float,
        parameters: Mapping[str, str] = _NOTHING,
        largest: int = LARGEST_BODY,
        begun: bool = False,
    ) -> bytes | ModioNo:
        """Ask with a player's token; `begun` is a look-up's second request, `largest` the bytes that are read.

        Raises `NoAnswer` if mod.io gives no usable answer until `give_up_at` (monotonic), or asked to be left alone
        with this token.
        """
        if (left := self._pauses.left(name_of(token))) > timedelta():
            raise SourceRateLimited("mod.io asked this player to stay away", retry_after=left)
        await self._take_turn(lane, give_up_at, begun=begun)
        try:
            body = await self._send(
                token,
                endpoint,
                game,
                lane=lane,
                give_up_at=give_up_at,
                parameters={**self._always, **parameters},
                largest=largest,
            )
        except AddressThrottledError as throttled:
            self._stay_away(throttled)
            raise
        except SourceRateLimited as throttled:
            if self._pauses.refused(name_of(token), throttled.retry_after):
                await self._find_out_whose(game, lane=lane, give_up_at=give_up_at)
            raise
        self._pauses.answered(name_of(token))
        return body

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def _find_out_whose(self, game: ModioGame, *, lane: Lane, give_up_at: float) -> None:
        """Ask without any credential: if that is throttled, too, it is about the address, else about each player alone.

        Being asked again at once would say no more, so that it happens at most every ten seconds.
        """
        now = self._clock.monotonic()
        if self._pinged_at is not None and now - self._pinged_at < _BETWEEN_PINGS:
            return
        self._pinged_at = now
        try:
            await self._take_turn(lane, give_up_at, begun=True)
        except NoAnswer:
            return  # the budget is spent, or paused already
        try:
            await self._send(None, ModioEndpoint.PING, game, lane=lane, give_up_at=give_up_at)
        except SourceRateLimited as throttled:
            self._stay_away(throttled)
        except NoAnswer:
            pass  # says nothing about limits

    async def _take_turn(self, lane: Lane, give_up_at: float, *, begun: bool) -> None:
        async with in_time(self._clock, give_up_at, Overloaded("no turn came in time")):
            await self._queue.take_turn(lane, begun=begun)

    async def _send(
        self,
        token: ModioToken | None,
        endpoint: ModioEndpoint,
        game: ModioGame,
        *,
        lane: Lane,
        give_up_at: float,
        parameters: Mapping[str, str] = _NOTHING,
        largest: int = LARGEST_BODY,
    ) -> bytes | ModioNo:
        """Send a request whose turn has come, and end its turn."""
        started = self._clock.monotonic()
        try:
            async with (
                heard(self._stood_still, started),
                in_time(self._clock, give_up_at, SourceUnavailable("mod.io took too long", cause=Cause.TIMEOUT)),
            ):
                answer = await self._clients[game].get(
                    PATHS[endpoint], bearer=token, parameters=parameters, largest=largest
                )
            self.sandbox_seen = self.sandbox_seen or answer.sandbox
            body = classify(answer, with_token=token is not None, now=self._clock.now())
        except NoAnswer as no_answer:
            self._requested(endpoint, result_of(no_answer), started)
            self._note_failure(no_answer)
            raise
        finally:
            self._queue.end_turn(lane)
        self._requested(endpoint, "refused" if isinstance(body, ModioNo) else "ok", started)
        self._observer.reachable(None)
        self._budget.answered()
        return body

    def _note_failure(self, no_answer: NoAnswer) -> None:
        """Say what follows from a failure, but for being throttled: that depends on who was."""
        match no_answer:
            case GatewayInTheWay():
                self._observer.in_the_way(no_answer.detail)
                return
            case SourceRateLimited():
                return
            case UnknownErrorRefError():
                self._observer.unknown_error(no_answer.error_ref)
            case AddressBannedError():
                self._budget.refused(None)
        self._observer.reachable(lost_for(no_answer))

    def _stay_away(self, throttled: SourceRateLimited) -> None:
        self._observer.reachable(throttled.cause)
        self._budget.refused(throttled.retry_after)

    def _requested(self, endpoint: ModioEndpoint, result: str, started: float) -> None:
        self._observer.requested(endpoint, result, self._clock.monotonic() - started)
