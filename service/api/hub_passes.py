"""Passes at a relay: the hub alone can read them, and no decision about one is remembered."""

from typing import Protocol

from service.api.verify_service import OpenedPass
from service.credentials import can_be_pass
from service.ownership import Malformed, Method, Reason
from service.verification.interfaces import Fingerprints
from service.verification.policy import GameRules
from service.verification.question import Question, Verdict
from service.verification.told import UnreadPass


class PassHub(Protocol):
    """Decides, also about passes."""

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question."""

    async def hand_on(self, question: Question, shown: UnreadPass) -> Verdict:
        """Return the hub's verdict on a pass."""


class HubPasses:
    """Opens passes as far as a relay can. Implements `Passes`."""

    def __init__(self, *, hub: PassHub, fingerprints: Fingerprints) -> None:
        self._hub = hub
        self._fingerprints = fingerprints

    def open(self, text: str, rules: GameRules, *, player_ref: str | None) -> OpenedPass:  # noqa: ARG002 - the hub reads it
        """Return the pass, malformed or unread."""
        if not can_be_pass(text):
            return HubPass(self._hub, self._fingerprints, Malformed(Method.PASS, Reason.MALFORMED_PASS), None)
        return HubPass(self._hub, self._fingerprints, _NOT_YET, UnreadPass(text))


_NOT_YET = Malformed(Method.PASS, Reason.REFUSED_PASS)
"""The credential in a pass that the hub has not read: none that lets a player in."""


class HubPass:
    """A pass that was shown. Its account has a name for the log once the hub has said whose it is."""

    subject = None

    def __init__(
        self, hub: PassHub, fingerprints: Fingerprints, credential: Malformed, shown: UnreadPass | None
    ) -> None:
        self._hub = hub
        self._fingerprints = fingerprints
        self._shown = shown
        self.credential = credential
        self.account: str | None = None

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question with this credential. Raises `NotEnabled` if the hub has no passes."""
        if self._shown is None:
            return await self._hub.verify(question)
        verdict = await self._hub.hand_on(question, self._shown)
        if verdict.decision.player is not None:
            self.account = self._fingerprints.of_account(verdict.decision.player.id)
        return verdict
