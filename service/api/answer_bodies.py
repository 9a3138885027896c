"""What answers hold, as callers see it and as the API's description has it."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from service.ownership import CacheTier, Caveat, Method, Outcome, Player, Proof, ProofKind, Reason


class PlayerBody(Struct, frozen=True):
    """The player, as far as the store has named them."""

    id: int
    username: str | None
    display_name: str | None


class EvidenceBody(Struct, frozen=True):
    """What proves ownership; times are in UTC."""

    kind: ProofKind
    id: int | None
    acquired_at: datetime | None


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a question; act on `allowed` alone, the rest says why. Times are in UTC."""

    allowed: bool
    outcome: Outcome
    reason: Reason
    game_id: int
    method: Method
    player: PlayerBody | None
    evidence: EvidenceBody | None
    observed_at: datetime | None
    fresh_until: datetime | None
    usable_until: datetime | None
    stale: bool
    cache: CacheTier
    caveats: tuple[Caveat, ...]
    decision_id: str


class NoAnswerProblem(Struct, frozen=True, kw_only=True):
    """No usable answer: a problem and a decision in one, so that either reading of it is right."""

    type: str
    title: str
    status: int
    code: Reason
    request_id: str
    retry_after_seconds: int
    allowed: bool
    outcome: Outcome
    reason: Reason
    game_id: int
    method: Method
    player: PlayerBody | None
    evidence: EvidenceBody | None
    caveats: tuple[Caveat, ...]
    decision_id: str


class ShedProblem(Struct, frozen=True, kw_only=True):
    """The gateway has too much to do even to read the question: a problem, and never a yes."""

    type: str
    title: str
    status: int
    code: Reason
    request_id: str
    retry_after_seconds: int
    allowed: bool = False
    outcome: Outcome = Outcome.UNKNOWN
    reason: Reason = Reason.OVERLOADED


TITLES: Final = {
    Reason.SOURCE_UNAVAILABLE: "itch.io cannot be reached or is broken",
    Reason.SOURCE_RATE_LIMITED: "itch.io is throttling us",
    Reason.SOURCE_PROTOCOL: "itch.io answered in a way that no decision can be built on",
    Reason.GATEWAY_CREDENTIAL: "itch.io refuses the gateway's own API key",
    Reason.GAME_NOT_ACCESSIBLE: "The gateway's API key cannot see this game",
    Reason.NOT_CACHED: "Nothing recent enough is known, and itch.io was not to be asked",
    Reason.DEADLINE_EXCEEDED: "itch.io had not answered when the time was up",
    Reason.OVERLOADED: "More is being asked than itch.io may be asked",
}


def player_body(player: Player | None) -> PlayerBody | None:
    """Return the player as callers see them."""
    return None if player is None else PlayerBody(player.id, player.username, player.display_name)


def evidence_body(proof: Proof | None) -> EvidenceBody | None:
    """Return the proof as callers see it."""
    return None if proof is None else EvidenceBody(proof.kind, proof.id, to_the_second(proof.acquired_at))


def to_the_second(at: datetime | None) -> datetime | None:
    """Return the instant without its fraction of a second: no answer is as precise as that."""
    return at if at is None or not at.microsecond else at - timedelta(0, 0, at.microsecond)
