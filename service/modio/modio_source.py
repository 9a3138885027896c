"""mod.io as the source: whose a token is, and which of some products its owner has bought.

Absence is proven only by one complete list, so that no second page is ever asked for: offsets shift when something is
refunded in between.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from service.errors import NoAnswer, SourceProtocolError
from service.modio.endpoints import ModioEndpoint, parameters_of
from service.modio.modio_classification import ModioNo
from service.modio.modio_requests import ModioRequests
from service.modio.modio_wire import WirePurchases, read_purchases, read_user
from service.ownership import Identity
from service.products import ModioGame, ModioToken, Product, Purchases, TokenRefused
from service.signed_token import unverified_object
from service.stores.answer import LARGEST_BODY, AnswerTooLargeError
from service.verification.interfaces import Clock, Lane

_LARGEST_LIST: Final = 4 * 1024 * 1024
"""Bytes. A mod takes 3 KiB with nothing in it, and its author decides how much more."""

_LARGEST_CLAIMS: Final = 4 * 1024
_LATEST: Final = datetime.max.replace(tzinfo=UTC).timestamp() - 86_400


class ModioSource:
    """Asks mod.io; each look-up takes at most `timeout` in all, however many requests it needs."""

    def __init__(self, *, requests: ModioRequests, clock: Clock, timeout: timedelta) -> None:
        self._requests = requests
        self._clock = clock
        self._timeout = timeout

    async def identify(self, token: ModioToken, game: ModioGame, *, lane: Lane) -> Identity | TokenRefused:
        """Return whose the token is, until when it can be, or that mod.io refuses it. Raises `NoAnswer`."""
        observed_at = self._clock.now()
        body = await self._requests.as_player(token, ModioEndpoint.ME, game, lane=lane, give_up_at=self._give_up_at())
        sandbox = self._requests.sandbox_seen
        user = None if isinstance(body, ModioNo) else read_user(body)
        if user is None or user.gone:
            return TokenRefused(observed_at, sandbox)
        return Identity(observed_at, user.player, expires_at=_unverified_end(token), sandbox=sandbox)

    async def purchases(
        self, token: ModioToken, game: ModioGame, products: tuple[Product, ...], *, lane: Lane
    ) -> Purchases | TokenRefused:
        """Return which of up to 100 products the owner of the token has bought. Raises `NoAnswer` if that is none.

        An answer that is too large is asked for again in halves, within the same time.
        """
        observed_at = self._clock.now()
        try:
            said = await self._listed(token, game, products, lane, self._give_up_at(), begun=False)
        except _RefusedError:
            return TokenRefused(observed_at, self._requests.sandbox_seen)
        if len(said.no_answer) == len(products):
            raise said.no_answer[products[0]]
        return Purchases(observed_at, said.owned, said.not_owned, said.no_answer, self._requests.sandbox_seen)

    async def _listed(
        self,
        token: ModioToken,
        game: ModioGame,
        products: tuple[Product, ...],
        lane: Lane,
        give_up_at: float,
        *,
        begun: bool,
    ) -> "_Listed":
        try:
            body = await self._requests.as_player(
                token,
                ModioEndpoint.PURCHASED,
                game,
                lane=lane,
                give_up_at=give_up_at,
                parameters=parameters_of(products),
                largest=min(LARGEST_BODY * len(products), _LARGEST_LIST),
                begun=begun,
            )
            if isinstance(body, ModioNo):
                raise _RefusedError
            return _Listed(read_purchases(body, game, products))
        except AnswerTooLargeError as too_large:
            if len(products) == 1:
                return _Listed.without_answer(products, too_large)
        except NoAnswer as no_answer:
            return _Listed.without_answer(products, no_answer)
        middle = len(products) // 2
        halves = [
            await self._listed(token, game, half, lane, give_up_at, begun=True)
            for half in (products[:middle], products[middle:])
        ]
        return halves[0].joined_with(halves[1])

    def _give_up_at(self) -> float:
        return self._clock.monotonic() + self._timeout.total_seconds()


class _RefusedError(Exception):
    """mod.io refused the token, in whichever half: that is about all of them."""


class _Listed:
    """The answers about some products."""

    def __init__(self, wire: WirePurchases) -> None:
        self.owned = wire.owned
        self.not_owned = wire.not_owned
        self.no_answer: dict[Product, NoAnswer] = dict.fromkeys(
            sorted(wire.unclear), SourceProtocolError("mod.io's list does not say whether it is owned")
        )

    @classmethod
    def without_answer(cls, products: tuple[Product, ...], no_answer: NoAnswer) -> "_Listed":
        """Return that there is no answer about any of these."""
        nothing = frozenset[Product]()
        listed = cls(WirePurchases(nothing, nothing, nothing))
        listed.no_answer = dict.fromkeys(products, no_answer)
        return listed

    def joined_with(self, other: "_Listed") -> "_Listed":
        """Return the answers about these and those."""
        joined = _Listed(WirePurchases(self.owned | other.owned, self.not_owned | other.not_owned, frozenset()))
        joined.no_answer = self.no_answer | other.no_answer
        return joined


def _unverified_end(token: ModioToken) -> datetime | None:
    """Return the instant that the token names as its end, which can only shorten its use; None if it names none.

    What is encrypted cannot be read, and need not be.
    """
    claims = unverified_object(token.reveal().split(".")[1], largest=_LARGEST_CLAIMS)
    end = None if claims is None else claims.get("exp")
    if isinstance(end, bool) or not isinstance(end, int | float) or not 0 <= end <= _LATEST:
        return None
    return datetime.fromtimestamp(end, tz=UTC)
