"""The watch over the canaries: asks the store about each in its turn, within the store budget, and says what it knows.

It asks the store itself, neither reads nor writes what is remembered for players, and decides nothing about any.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NoReturn, Protocol

from service.canaries.canary import Canary
from service.canaries.rota import PERIOD, SPACING, Rota
from service.canaries.turns import CanaryTurns
from service.errors import NoAnswer
from service.ownership import Evidence, PlayerId
from service.verification.interfaces import Clock, Lane, Overrides, OwnershipSource

_AT_ONCE: Final = timedelta()
_SOON: Final = timedelta(seconds=1)


class CanaryObserver(Protocol):
    """A listener for what is known about canaries; `game` is the label of a game, `expect` the word of what it is."""

    def canary(self, game: str, expect: str, *, ok: bool, checked_at: datetime) -> None:
        """The store has answered about it, as expected or not; may be the same answer again."""

    def canary_not_asked(self, game: str, expect: str, why: str) -> None:
        """Its answer would say nothing, so that it is not asked; may be said again and again."""

    def canary_gone(self, game: str, expect: str) -> None:
        """It is configured no more."""


class CanaryRoom(Protocol):
    """The room that the store budget, and the queue for it, leave to the background."""

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Raise `NoAnswer` if a request asked for now could not be sent within that time, as far as is known."""


class CanaryWatch:
    """Asks about the canaries one after the other, for as long as it runs."""

    def __init__(
        self,
        canaries: Iterable[Canary],
        *,
        source: OwnershipSource,
        overrides: Overrides,
        room: CanaryRoom,
        turns: CanaryTurns,
        clock: Clock,
        observer: CanaryObserver,
    ) -> None:
        self._canaries = tuple(canaries)
        self._rota = Rota()
        self._source = source
        self._overrides = overrides
        self._room = room
        self._turns = turns
        self._clock = clock
        self._observer = observer
        self._known: dict[Canary, Evidence] = {}

    def follow(self, canaries: Iterable[Canary]) -> None:
        """Ask about these from now on; nothing is shown any more of one that is not among them."""
        before, self._canaries = self._canaries, tuple(canaries)
        self._rota.follow(self._canaries)
        known = {canary.account: evidence for canary, evidence in self._known.items()}
        self._known = {canary: known[canary.account] for canary in self._canaries if canary.account in known}
        shown = {(canary.rules.label, canary.account) for canary in self._canaries}
        for canary in before:
            if (canary.rules.label, canary.account) not in shown:
                self._observer.canary_gone(canary.rules.label, canary.expect)

    async def run(self) -> NoReturn:
        """Ask until cancelled."""
        while True:
            await self._clock.sleep(await self._step())

    async def _step(self) -> timedelta:
        """Try the canary that comes first; return the time until the next step."""
        seller = self._source.known_seller_account()
        if seller is None:
            return _SOON  # which canaries may be asked is not known yet; the account is learned elsewhere
        canaries = self._askable(seller)
        if not canaries:
            return SPACING
        canary, wait = self._rota.first(canaries, now=self._clock.monotonic())
        if wait:
            return min(wait, SPACING)  # by then the seller's account may be another, or an operator have spoken
        if not self._has_room(canary):
            self._put_off(canary, SPACING)
            return _AT_ONCE
        return await self._try(canary)

    async def _try(self, canary: Canary) -> timedelta:
        turn = await self._turns.take(canary)
        if turn is None:
            return SPACING
        if turn.told is not None:
            self._learn(canary, turn.told)
        if not turn.granted:
            self._put_off(canary, turn.canary_wait)
            return turn.wait
        self._put_off(canary, PERIOD)
        await self._ask(canary)
        return SPACING

    def _put_off(self, canary: Canary, duration: timedelta) -> None:
        self._rota.put_off(canary, until=self._clock.monotonic() + duration.total_seconds())

    def _askable(self, seller: PlayerId) -> list[Canary]:
        """Return the canaries whose answers say something; the observer hears of the others."""
        askable = []
        for canary in self._canaries:
            why = canary.why_not_asked(seller, self._overrides.about(canary.rules.game_id, canary.subject))
            if why is None:
                askable.append(canary)
            else:
                self._known.pop(canary, None)
                self._observer.canary_not_asked(canary.rules.label, canary.expect, why)
        return askable

    def _has_room(self, canary: Canary) -> bool:
        """Whether the budget leaves room for the background; asked first, so that no turn is taken in vain."""
        try:
            self._room.admit(canary.lane, within=_AT_ONCE)
        except NoAnswer:
            return False
        return True

    async def _ask(self, canary: Canary) -> None:
        rules = canary.rules
        try:
            evidence = await self._source.look_up(rules.game_id, canary.subject, accept=rules.accept, lane=canary.lane)
        except NoAnswer:
            evidence = None  # no verdict: the next try comes in its turn
        await self._turns.tell(canary, evidence)
        if evidence is not None:
            self._learn(canary, evidence)

    def _learn(self, canary: Canary, evidence: Evidence) -> None:
        """Take over what is newer than what is known; what was observed in the future was not, by a clock set back.

        A canary may have gone while the store was asked.
        """
        if canary not in self._canaries:
            return
        known = self._known.get(canary)
        if known is not None and evidence.observed_at < known.observed_at <= self._clock.now():
            return
        self._known[canary] = evidence
        self._observer.canary(
            canary.rules.label, canary.expect, ok=canary.as_expected(evidence), checked_at=evidence.observed_at
        )
