"""A proof that a caller shows in the place of its own word for an address."""

from datetime import timedelta
from typing import Protocol

from msgspec.structs import replace

from service.errors import IssuerUnavailable
from service.ownership import CacheTier, GameId, Malformed, Method, VerifiedEmail
from service.proofs.id_tokens import NOT_PROVEN, IdTokens
from service.verification import policy
from service.verification.interfaces import Clock, Fingerprints
from service.verification.question import Question, Verdict, Verifier


class MailedProofs(Protocol):
    """Reads the proofs of codes that were mailed."""

    def read_proof(self, text: str, *, game_id: GameId, caller: str) -> VerifiedEmail | None:
        """Return the address that a proof proves to that caller for that game, None if it proves none."""


class AddressProofs:
    """Decides questions whose address a proof proves: then they are questions about that address as any.

    `mailed` is None where no codes are mailed.
    """

    def __init__(
        self,
        *,
        tokens: IdTokens,
        mailed: MailedProofs | None,
        verification: Verifier,
        fingerprints: Fingerprints,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._mailed = mailed
        self._verification = verification
        self._fingerprints = fingerprints
        self._clock = clock

    def open(self, proof: str, *, nonce: str | None, address: VerifiedEmail | None) -> "OpenedProof":
        """Return a proof that was shown; it is looked at when the question is decided."""
        return OpenedProof(self, proof, nonce=nonce, address=address)

    def name(self, address: VerifiedEmail) -> str:
        """Return the name of an address for the log."""
        return self._fingerprints.of_credential(address)

    async def read(self, question: Question, shown: "OpenedProof") -> VerifiedEmail | Malformed:
        """Return the address that is proven, or that none is. Raises `IssuerUnavailable`."""
        if self._mailed is not None and "." not in shown.text:  # in which it differs from every token
            proven = self._mailed.read_proof(shown.text, game_id=question.rules.game_id, caller=question.caller)
            return NOT_PROVEN if proven is None or shown.address not in (None, proven) else proven
        within = question.deadline
        return await self._tokens.read(shown.text, nonce=shown.nonce, address=shown.address, within=within)

    async def decide(self, question: Question, shown: "OpenedProof") -> tuple[Verdict, VerifiedEmail | None]:
        """Return the verdict, and the address that was proven."""
        started = self._clock.monotonic()
        try:
            read = await self.read(question, shown)
        except IssuerUnavailable as unavailable:
            decision = policy.decide_without_evidence(question.rules, Method.EMAIL, unavailable.reason)
            return Verdict(decision, CacheTier.NONE, unavailable.retry_after), None
        left = question.deadline - timedelta(seconds=self._clock.monotonic() - started)
        verdict = await self._verification.verify(replace(question, credential=read, deadline=left))
        return verdict, None if isinstance(read, Malformed) else read


class OpenedProof:
    """A proof that was shown; its `credential` is malformed, and `subject` None, until it was looked at and is good."""

    account = None

    def __init__(self, proofs: AddressProofs, text: str, *, nonce: str | None, address: VerifiedEmail | None) -> None:
        self._proofs = proofs
        self.text = text
        self.nonce = nonce
        self.address = address
        self.credential: VerifiedEmail | Malformed = NOT_PROVEN
        self.subject: str | None = None

    async def verify(self, question: Question) -> Verdict:
        """Return the verdict on a question with this proof."""
        verdict, proven = await self._proofs.decide(question, self)
        if proven is not None:
            self.credential, self.subject = proven, self._proofs.name(proven)
        return verdict
