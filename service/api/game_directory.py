"""The games that may be asked about, and the rules for each."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from service.errors import UnknownGame
from service.ownership import LARGEST_ID, GameId
from service.verification.policy import GameRules

_DIGITS: Final = re.compile(r"[0-9]{1,64}", re.ASCII)
"""An id as text. In a path the game may be any text: also a digit such as `²`, or thousands, which `int` refuses."""


class GameDirectory:
    """The configured games; without any, every game by its numeric id, under the default rules.

    `game_called` then also finds ids by slugs, as that of the gateway's own sandbox does.
    """

    def __init__(self, games: Iterable[GameRules], *, game_called: Callable[[str], int | None] | None = None) -> None:
        self.game_called = game_called
        self._rules: dict[str | int, GameRules] = {}
        for rules in games:
            self._rules[rules.label] = rules
            self._rules[int(rules.game_id)] = rules
        self._configured = tuple(rules for name, rules in self._rules.items() if name == rules.label)

    def __bool__(self) -> bool:
        """Whether any game is configured."""
        return bool(self._rules)

    def configured(self) -> tuple[GameRules, ...]:
        """Return the rules of each configured game, always the same object."""
        return self._configured

    def label_of(self, game_id: GameId) -> str:
        """Return the label of a configured game, and of another its id."""
        rules = self._rules.get(int(game_id))
        return str(game_id) if rules is None else rules.label

    def id_of(self, label: str) -> GameId | None:
        """Return the id of a configured game, None if there is none of that label."""
        rules = self._rules.get(label)
        return None if rules is None else rules.game_id

    def find(self, game: str | int) -> GameRules:
        """Return the rules for a slug or an id. Raises `UnknownGame`."""
        number = int(game) if isinstance(game, str) and _DIGITS.fullmatch(game) else game
        rules = self._rules.get(number)
        if rules is not None:
            return rules
        if self._rules:
            raise UnknownGame("ask about a configured game, by its slug or its itch.io id")
        if isinstance(number, str) and self.game_called is not None:
            number = self.game_called(number) or number
        if not isinstance(number, int) or not 1 <= number <= LARGEST_ID:
            raise UnknownGame("no games are configured here: ask by the game's itch.io id")
        return GameRules(GameId(number), label=str(number))
