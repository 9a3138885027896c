"""Download keys that many players show: a key proves that it was bought, not that this player did."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from msgspec import structs

from service.key_use import KeyUse
from service.ownership import DownloadKey, Fingerprint, Outcome
from service.verification import policy
from service.verification.interfaces import Fingerprints
from service.verification.policy import GameRules
from service.verification.question import Question, Verdict

# Looking up a member of an enum takes Python 3.11 longer than comparing it.
_OWNED: Final = Outcome.OWNED


class PlayerCount(Protocol):
    """Counts the players who have shown a download key."""

    async def judge(
        self, name: Fingerprint, player_ref: str, *, most: int, lasts: timedelta, within: timedelta
    ) -> KeyUse:
        """Count a player who has shown the key of that question, unless `most` others are counted already."""

    async def forget(self, name: Fingerprint) -> bool:
        """Forget who has shown the key of that question; false if that may not have happened."""


class KeySharing:
    """Applies a game's limit for the players of one download key to verdicts. `count` is told each result."""

    def __init__(
        self, *, players: PlayerCount, fingerprints: Fingerprints, count: Callable[[str, KeyUse], None]
    ) -> None:
        self._players = players
        self._fingerprints = fingerprints
        self._count = count

    async def judge(
        self, verdict: Verdict, question: Question, player_ref: str | None, *, within: timedelta
    ) -> tuple[Verdict, KeyUse | None]:
        """Return the verdict on the player who has shown the key, and the use of the key that this was.

        Only what the store has proven counts, of players who are named: for all else it is the verdict that there was.
        `within` is the time that the caller still waits.
        """
        rules, key = question.rules, question.credential
        if rules.key_limit is None or player_ref is None or not isinstance(key, DownloadKey):
            return verdict, None
        if verdict.decision.outcome is not _OWNED:
            return verdict, None
        limit = rules.key_limit
        use = await self._players.judge(
            self._name(rules, key), player_ref, most=limit.players, lasts=limit.lasts, within=within
        )
        self._count(rules.label, use)
        if use is not KeyUse.OVER:
            return verdict, use
        return structs.replace(verdict, decision=policy.of_shared_key(verdict.decision, limit)), use

    async def forget(self, rules: GameRules, key: DownloadKey) -> bool:
        """Forget who has shown a key; false if Redis does not say that it has."""
        return await self._players.forget(self._name(rules, key))

    def _name(self, rules: GameRules, key: DownloadKey) -> Fingerprint:
        return self._fingerprints.of_question(rules.game_id, key, rules.accept)
