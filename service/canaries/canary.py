"""A canary: an account of which the operator knows whether it owns a game, so that the store's answers can be tried."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct

from service.ownership import AssertedUser, Evidence, GameId, PlayerId
from service.settings import GameSettings
from service.verification.interfaces import Lane, Priority
from service.verification.policy import GameRules, Override, counting_proof


class Expectation(StrEnum):
    """The answer that the store is expected to give."""

    OWNER = "owner"
    STRANGER = "stranger"


SETTING_OF: Final = {
    Expectation.OWNER: "canary_owner_user_id",
    Expectation.STRANGER: "canary_stranger_user_id",
}
"""The setting of a game that names the account."""


class Canary(Struct, frozen=True):
    """One account of one game, under the rules of that game."""

    rules: GameRules
    expect: Expectation
    player_id: PlayerId

    @property
    def account(self) -> tuple[GameId, Expectation, PlayerId]:
        """The canary itself, under any rules of its game."""
        return self.rules.game_id, self.expect, self.player_id

    @property
    def subject(self) -> AssertedUser:
        """The account as the store is asked about it."""
        return AssertedUser(self.player_id)

    @property
    def lane(self) -> Lane:
        """The queue for the store that it waits in: that of no caller, behind all who wait."""
        return Lane("", self.rules.game_id, Priority.BACKGROUND)

    def as_expected(self, evidence: Evidence) -> bool:
        """Whether the store says what it should."""
        owns = counting_proof(evidence, self.rules) is not None
        return owns is (self.expect is Expectation.OWNER)

    def why_not_asked(self, seller: PlayerId, said: Override | None) -> str | None:
        """Return why the store's answer would say nothing, or None: only where it decides is it asked.

        Every other word about an account that stands above the store's belongs here. Those of the configuration were
        refused at start; that it is the seller's account is known only once the store has said whose the key is, and
        `said` is what an operator has said about it for a while.
        """
        if self.player_id == seller:
            return "it is the seller's own account, who is always let in"
        return None if said is None else "an override says for a while that it is let in, or kept out"


def configured_canaries(games: Iterable[GameSettings], all_rules: Iterable[GameRules]) -> Iterator[Canary]:
    """Return the canaries of all games, in the order of the configuration; the rules are in the order of the games."""
    for game, rules in zip(games, all_rules, strict=True):
        for expect, setting in SETTING_OF.items():
            if (user := game.canary_user_ids.get(setting)) is not None:
                yield Canary(rules, expect, user)
