"""The names of settings in mistakes."""

from collections.abc import Mapping

from service.settings.conversion import RawValue
from service.settings.games import GameSettings
from service.settings.model import CallerSettings, PolicySettings
from service.settings.sources import variable


class Names:
    """The names of settings in mistakes: as the operator wrote them, else the environment variable.

    With `quiet` no value is named.
    """

    def __init__(self, given: Mapping[str, RawValue], *, file_name: str, quiet: bool = False) -> None:
        self._given = given
        self._file_name = file_name
        self._quiet = quiet

    def value(self, value: object) -> str:
        """Return a value of a setting as a line may show it."""
        return "…" if self._quiet else str(value)

    def of(self, key: str) -> str:
        """Return the name of a setting that exists once, by its dotted key."""
        return self._given[key].written if key in self._given else variable(key)

    def given(self, *keys: str) -> list[str]:
        """Return the names of those settings that were given at all, even if with a mistake."""
        return [self._given[key].written for key in keys if key in self._given]

    def of_game(self, game: GameSettings, key: str = "") -> str:
        """Return the name of a game, or of a setting of it."""
        return f"games.{game.slug}{key and f'.{key}'} in {self._file_name}"

    def of_caller(self, caller: CallerSettings, key: str) -> str:
        """Return the name of a setting of a caller."""
        return f"callers[{caller.name}].{key} in {self._file_name}"

    def of_policy(self, policy: PolicySettings, key: str) -> str:
        """Return the name of a setting of a policy."""
        return f"forward_auth.{policy.name}.{key} in {self._file_name}"

    def of_issuer(self, number: int, key: str) -> str:
        """Return the name of a setting of an issuer of id tokens; the first is number 1."""
        return f"oidc[#{number}].{key} in {self._file_name}"
