"""From a decision by which a player is let in to a pass."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import jwt
import msgspec
from msgspec import UNSET, Struct

from service.credentials import PASS_TYPE
from service.ownership import (
    AssertedUser,
    Caveat,
    Decision,
    DownloadKey,
    Method,
    Outcome,
    Reason,
    Subject,
    VerifiedEmail,
)
from service.passes.handles import Handles
from service.passes.pass_claims import ALGORITHM, ClaimedEvidence, PassClaims, account, audience_of
from service.passes.signing_keys import SigningKeys
from service.verification.policy import Allowance, GameRules
from service.verification.question import Question

SHORTEST: Final = timedelta(seconds=10)
"""A pass that ends sooner is none: it would be over when it arrives where it is to be shown."""


class PassOrder(Struct, frozen=True):
    """The wishes of a caller about a pass: one server of the game, and its own name for the player; None for any."""

    audience: str | None = None
    player_ref: str | None = None


class WrittenPass(Struct, frozen=True):
    """A pass, and when it ends."""

    value: str
    expires_at: datetime


class PassWriter:
    """Signs passes; with `sandbox` for decisions of the sandbox, else for those of the store, and never for others.

    It signs none that `is_void` says would be void already.
    """

    def __init__(
        self,
        *,
        keys: SigningKeys,
        handles: Handles,
        issuer: str,
        longest: timedelta,
        sandbox: bool,
        is_void: Callable[[GameRules, PassClaims], bool],
    ) -> None:
        self._keys = keys
        self._handles = handles
        self._is_void = is_void
        self._issuer = issuer
        self._longest = longest
        self._sandbox = sandbox

    def write(
        self,
        allowance: Allowance,
        question: Question,
        order: PassOrder,
        *,
        shown: PassClaims | None,
        decision_id: str,
        now: datetime,
    ) -> WrittenPass | None:
        """Return the pass, None if there is none for this decision; `shown` are the claims of one that is renewed."""
        decision = allowance.decision
        if (Caveat.SANDBOX in decision.caveats) is not self._sandbox:
            return None
        until = self._until(decision, shown, now)
        if until is None or until - now < SHORTEST:
            return None
        claims = self._claims(allowance, question, order, shown=shown, decision_id=decision_id, now=now, until=until)
        if self._is_void(question.rules, claims):
            # What is known about the owner of a key may be newer than what is known about the key.
            return None
        key = self._keys.current().keys[0]
        headers = {"typ": PASS_TYPE, "kid": key.kid}
        value = jwt.encode(msgspec.to_builtins(claims), key.private, algorithm=ALGORITHM, headers=headers)
        return WrittenPass(value, until)

    def _until(self, decision: Decision, shown: PassClaims | None, now: datetime) -> datetime | None:
        """Return the whole second at which it ends: never later than the decision may be used."""
        ends = [now + self._longest]
        if decision.usable_until is not None:
            ends.append(decision.usable_until)
        if shown is not None and not shown.names_account:
            # The credential itself has not been seen again: after this it has to be.
            if decision.fresh_until is None:
                return None
            ends.append(decision.fresh_until)
        return min(ends).replace(microsecond=0)

    def _claims(
        self,
        allowance: Allowance,
        question: Question,
        order: PassOrder,
        *,
        shown: PassClaims | None,
        decision_id: str,
        now: datetime,
        until: datetime,
    ) -> PassClaims:
        """Return the claims: made here, of an allowance, and nowhere else."""
        decision = allowance.decision
        if shown is None or shown.names_account:
            sub, handles = self._subject(question, decision)
        else:  # of a key or an address nothing else is known
            sub, handles = shown.sub, shown.handles
        proof, seen = decision.proof, _decided_by(decision)
        return PassClaims(
            iss=self._issuer,
            aud=audience_of(decision.game_id, order.audience),
            sub=sub,
            iat=int(now.timestamp()),
            exp=int(until.timestamp()),
            jti=decision_id,
            game=decision.game_id,
            outcome=decision.outcome,
            reason=decision.reason,
            method=decision.method,
            handles=handles,
            observed_at=UNSET if seen is None else seen.timestamp(),
            fresh_until=_seconds(decision.fresh_until),
            usable_until=_seconds(decision.usable_until),
            evidence=UNSET if proof is None else ClaimedEvidence(proof.kind, proof.id),
            player_ref=UNSET if order.player_ref is None else order.player_ref,
        )

    def _subject(self, question: Question, decision: Decision) -> tuple[str, tuple[str, ...]]:
        """Return whose pass it is, and what it is revoked by."""
        rules, player = question.rules, decision.player
        subject: Subject
        match question.credential:
            case DownloadKey() as subject:
                owner = None if player is None else player.id
            case VerifiedEmail() as subject:
                owner = None
            case _:
                if player is None:
                    raise AssertionError("a player is let in whom nothing names")
                subject, owner = AssertedUser(player.id), None
        granted = decision.reason is Reason.OPERATOR_GRANT
        handles = self._handles.of_pass(rules, subject, owner, granted=granted)
        if isinstance(subject, AssertedUser):
            return account(subject.player_id), handles
        kind = "key" if subject.method is Method.DOWNLOAD_KEY else "email"
        return f"{kind}:{self._handles.of_question(rules, subject)}", handles


def _decided_by(decision: Decision) -> datetime | None:
    """Return the instant before which it must not have been revoked, None for the word of an operator.

    By JWT that is not the answer's: whose the JWT is has been heard earlier, and is not what gets invalidated. Of the
    press nothing else is known.
    """
    if decision.outcome is Outcome.GRANTED:
        return None
    return decision.observed_at if decision.proven_at is None else decision.proven_at


def _seconds(at: datetime | None) -> int | msgspec.UnsetType:
    return UNSET if at is None else int(at.timestamp())
