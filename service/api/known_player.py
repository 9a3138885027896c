"""A player as far as it is known from a credential, or from a remembered refusal."""

from typing import Final

from msgspec import Struct

from service.ownership import AssertedUser, Credential, Method, PlayerId, PlayerToken, Subject

BY_ACCOUNT: Final = (Method.JWT, Method.USER, Method.PASS, Method.ACCESS_TOKEN)
"""The methods that ask about an account."""


class KnownPlayer(Struct, frozen=True):
    """All by which more is found about a player: names for the log, and what the store can be asked about."""

    method: Method
    subject: str | None
    account: str | None
    player_id: PlayerId | None
    credential: Credential | None = None

    @property
    def owner(self) -> Subject | None:
        """That about whose ownership the store is asked, as far as it is known."""
        if self.credential is not None and not isinstance(self.credential, PlayerToken):
            return self.credential
        return AssertedUser(self.player_id) if self.method in BY_ACCOUNT and self.player_id is not None else None
