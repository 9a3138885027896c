"""Passes and proofs at a relay: the hub alone can read them, and no decision about one is remembered."""

from typing import Final, Protocol

from service.api.verify_service import OpenedPass
from service.credentials import can_be_pass
from service.ownership import Malformed, Method, Reason, VerifiedEmail
from service.secret import Secret
from service.verification.interfaces import Fingerprints
from service.verification.policy import GameRules
from service.verification.question import Question, Verdict
from service.verification.told import Unread, UnreadPass, UnreadProof

_NOT_YET: Final = {
    Method.PASS: Malformed(Method.PASS, Reason.REFUSED_PASS),
    Method.EMAIL: Malformed(Method.EMAIL, Reason.EMAIL_NOT_VERIFIED),
}
"""The credential in what the hub has not read: none that lets a player in."""


class PassHub(Protocol):
    """Decides, also about what a relay cannot read."""

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question."""

    async def hand_on(self, question: Question, shown: Unread) -> Verdict:
        """Return the hub's verdict on what was shown."""


class HubPasses:
    """Opens passes as far as a relay can. Implements `Passes`."""

    def __init__(self, *, hub: PassHub, fingerprints: Fingerprints) -> None:
        self._hub = hub
        self._fingerprints = fingerprints

    def open(self, text: str, rules: GameRules, *, player_ref: str | None) -> OpenedPass:  # noqa: ARG002 - the hub reads it
        """Return the pass, malformed or unread."""
        shown = UnreadPass(text) if can_be_pass(text) else Malformed(Method.PASS, Reason.MALFORMED_PASS)
        return HandedOver(self._hub, self._fingerprints, shown)


class HubProofs:
    """Opens proofs of an address as far as a relay can, which is not at all. Implements `Proofs`."""

    def __init__(self, *, hub: PassHub, fingerprints: Fingerprints) -> None:
        self._hub = hub
        self._fingerprints = fingerprints

    def open(self, proof: str, *, nonce: str | None, address: VerifiedEmail | None) -> OpenedPass:
        """Return the proof, unread."""
        shown = UnreadProof(Secret(proof), None if nonce is None else Secret(nonce), address)
        return HandedOver(self._hub, self._fingerprints, shown)


class HandedOver:
    """A pass or a proof that was shown. Its account has a name for the log once the hub has said whose it is."""

    subject = None

    def __init__(self, hub: PassHub, fingerprints: Fingerprints, shown: Unread | Malformed) -> None:
        self._hub = hub
        self._fingerprints = fingerprints
        self._shown = shown
        self.credential = shown if isinstance(shown, Malformed) else _NOT_YET[shown.method]
        self.account: str | None = None

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question with this credential. Raises `NotEnabled` if it is off at the hub."""
        if isinstance(self._shown, Malformed):
            return await self._hub.verify(question)
        verdict = await self._hub.hand_on(question, self._shown)
        if verdict.decision.player is not None:
            self.account = self._fingerprints.of_account(verdict.decision.player.id)
        return verdict
