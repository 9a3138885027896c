"""Who may ask, as it stands under `[[callers]]`."""

from typing import Annotated

from msgspec import Meta, Struct

from service.rights import Right
from service.settings.kinds import CallerName, GameNames, TokenDigest


class CallerSettings(Struct, frozen=True, kw_only=True):
    """One game server, or one fleet of them, that may ask. What is not listed is refused."""

    name: CallerName
    """What logs and metrics call the caller. Required."""
    token_sha256: TokenDigest
    """The SHA-256 of the caller's whole token, in hexadecimal; `ownership-gateway new-caller` prints it. Required."""
    games: GameNames
    """The games it may ask about, by slug or itch.io id; `["*"]` for all. Required."""
    rights: Annotated[
        frozenset[Right],
        Meta(min_length=1, extra={"expected": f"a list of at least one of {', '.join(Right)}, each only once"}),
    ]
    """What it may do. `assert:user` and `assert:email` let it vouch for players itself. Required."""
    rate: Annotated[float, Meta(gt=0, le=100_000)] = 50.0
    """Questions a second; bursts may hold twice as many. Default: 50."""
    failed_keys_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 60
    """Download keys and JWTs a minute that may turn out no good before the caller has to wait: it stops guessing.
    Default: 60."""

    @property
    def token_digest(self) -> bytes:
        """The 32 bytes that `token_sha256` stands for, for comparison in constant time."""
        return bytes.fromhex(self.token_sha256)

    @property
    def all_games(self) -> bool:
        """Whether the caller may ask about every game."""
        return "*" in self.games
