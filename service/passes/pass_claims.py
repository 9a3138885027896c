"""The words in a pass, and in its header."""

import base64
from typing import Annotated, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from service.ownership import GameId, Method, Outcome, PlayerId, Proof, ProofKind, Reason

ALGORITHM: Final = "RS256"
"""The one algorithm: docs/passes.md says which others were tried, and where they could not be checked."""

_ACCOUNT: Final = "itch:"
_LOG_NAME_BYTES: Final = 8

PassSubject: TypeAlias = Annotated[str, Meta(pattern=r"\A(?:itch:[1-9][0-9]{0,15}|(?:key|email):[A-Za-z0-9_-]{12})\Z")]


class ClaimedEvidence(Struct, frozen=True):
    """The proof that the decision rests on."""

    kind: ProofKind
    id: int | None


class PassClaims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All claims, and nothing else. Instants are in seconds since 1970, `observed_at` and `iat` by the cluster's clock.

    `sub` is `itch:` and the account where it is established that the player is that account; else `key:` or `email:`
    and a handle. The holder of a key is not its owner.
    """

    iss: str
    aud: str
    sub: PassSubject
    iat: int
    exp: int
    jti: str
    game: GameId
    outcome: Outcome
    reason: Reason
    method: Method
    handles: tuple[str, ...]
    observed_at: float | UnsetType = UNSET
    fresh_until: int | UnsetType = UNSET
    usable_until: int | UnsetType = UNSET
    evidence: ClaimedEvidence | UnsetType = UNSET
    player_ref: str | UnsetType = UNSET

    @property
    def player_id(self) -> PlayerId | None:
        """The account whose pass it is, None where it is a key's or an address's."""
        return PlayerId(int(self.sub.removeprefix(_ACCOUNT))) if self.sub.startswith(_ACCOUNT) else None

    @property
    def names_account(self) -> bool:
        """Whether it stands for an account, about which the store can be asked again.

        Whether one is of the press, only a JWT tells.
        """
        return self.player_id is not None and self.reason is not Reason.PRESS

    @property
    def log_name(self) -> str:
        """The name of the key or the address for the log, as 16 hexadecimal digits; it is made of the handle in `sub`.

        An account has a name already.
        """
        handle = self.sub.partition(":")[2]
        return base64.urlsafe_b64decode(handle)[:_LOG_NAME_BYTES].hex()

    @property
    def decided_at(self) -> float:
        """The instant by which it counts as revoked or not: of the observation, without one of the decision."""
        return self.iat if self.observed_at is UNSET else self.observed_at

    @property
    def proof(self) -> Proof | None:
        """The proof that the decision rests on."""
        return None if self.evidence is UNSET else Proof(self.evidence.kind, self.evidence.id)


def account(player_id: PlayerId) -> str:
    """Return the `sub` of an account."""
    return f"{_ACCOUNT}{player_id}"


def audience_of(game_id: GameId, server: str | None) -> str:
    """Return the `aud` of passes for all servers of a game, or for one of them."""
    return f"game:{game_id}" if server is None else f"game:{game_id}/{server}"
