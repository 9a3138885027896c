"""The bodies about codes that are mailed."""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.questions import GameName, PlayerRef, Presented
from service.challenge_reason import ChallengeReason


class ChallengeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wish for a code that is mailed to a player."""

    game: GameName
    email: Annotated[
        Presented, Meta(description="The address that the player has typed.", extra_json_schema={"format": "email"})
    ]
    player_ref: PlayerRef | None = None


class ChallengeBegun(Struct, frozen=True):
    """A challenge that waits for its code; it says nothing about the address."""

    challenge: str
    expires_at: datetime
    resend_after: datetime


class CodeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code that a player has typed, and the challenge that it is for."""

    challenge: Annotated[Presented, Meta(description="As `/email-challenges` gave it.")]
    code: Annotated[Presented, Meta(description="Eight digits; spaces do not matter.")]


class CodeAnswer(Struct, frozen=True, kw_only=True):
    """The result of a code: a `proof` if it is `confirmed`, else the reason and the tries that are left.

    The proof goes into `/verify/email`, as often as needed until it ends.
    """

    confirmed: bool
    proof: str | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    reason: ChallengeReason | UnsetType = UNSET
    tries_left: int | UnsetType = UNSET
