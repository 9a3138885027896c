"""The operator's word about a player as it stands now, by the configuration or by an override, and who set it."""

from service.api.answers import to_the_second
from service.api.explained import OperatorSaid
from service.api.known_player import KnownPlayer
from service.cache.keys import KeyedFingerprints
from service.cache.override_notes import OverrideNotes
from service.cache.shared_overrides import SharedOverrides, StandingOverride
from service.ownership import AssertedUser, Method, OverrideWord, PlayerToken, Reason
from service.verification.policy import GameRules, operator_override


class StandingWords:
    """Finds the operator's word about players."""

    def __init__(self, *, overrides: SharedOverrides, notes: OverrideNotes, fingerprints: KeyedFingerprints) -> None:
        self._overrides = overrides
        self._notes = notes
        self._fingerprints = fingerprints

    async def about(self, rules: GameRules, player: KnownPlayer) -> OperatorSaid | None:
        """Return the operator's word about the credential or, as far as it holds by this method, about the account."""
        subjects = (
            [] if player.credential is None or isinstance(player.credential, PlayerToken) else [player.credential]
        )
        if player.player_id is not None and player.method is not Method.EMAIL:
            subjects.append(AssertedUser(player.player_id))
        for subject in dict.fromkeys(subjects):
            override = self._overrides.about(rules.game_id, subject)
            holds = operator_override(rules, subject, said=override, seller_account=None, press=False)
            if holds is None:
                continue
            word = OverrideWord.BAN if holds.reason is Reason.OPERATOR_BAN else OverrideWord.GRANT
            if word is OverrideWord.GRANT and player.method is Method.DOWNLOAD_KEY:
                continue  # of an account that has not shown that it is the one
            if holds is not override:
                return OperatorSaid(word=word, source="configuration")
            standing = self._overrides.of_name(self._fingerprints.of_override(rules.game_id, subject))
            return None if standing is None else await self._said(standing)
        if player.credential is None:  # of a remembered refusal only its fingerprint is left
            for standing in self._overrides.of_game(rules.game_id):
                if standing.subject == player.subject:
                    return await self._said(standing)
        return None

    async def _said(self, standing: StandingOverride) -> OperatorSaid:
        [note] = await self._notes.read([standing])
        return OperatorSaid(
            word=standing.word,
            source="override",
            until=to_the_second(standing.until),
            id=standing.name.hex(),
            by=None if note is None else note.by,
            note=None if note is None else note.note,
            at=to_the_second(standing.at),
        )
