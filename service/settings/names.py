"""What the operator calls a setting."""

from collections.abc import Mapping

from service.settings.environment import variable
from service.settings.model import CallerSettings, GameSettings
from service.settings.values import Given


class Names:
    """Calls every setting as the operator wrote it, and one that was not given by its environment variable."""

    def __init__(self, given: Mapping[str, Given], *, file_name: str) -> None:
        self._given = given
        self._file_name = file_name

    def of(self, key: str) -> str:
        """Return what a setting is called that exists once, by its dotted key."""
        return self._given[key].written if key in self._given else variable(key)

    def given(self, *keys: str) -> list[str]:
        """Return what those of the settings are called that were given at all, even if with a mistake."""
        return [self._given[key].written for key in keys if key in self._given]

    def of_game(self, game: GameSettings, key: str = "") -> str:
        """Return what a game, or a setting of it, is called."""
        return f"games.{game.slug}{key and f'.{key}'} in {self._file_name}"

    def of_caller(self, caller: CallerSettings, key: str) -> str:
        """Return what a setting of a caller is called."""
        return f"callers[{caller.name}].{key} in {self._file_name}"
