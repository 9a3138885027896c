"""Handles: what a pass is revoked by.

A handle is a keyed hash of a name under which something is invalidated or overridden. It is not the name itself, which
is the name of a key in Redis, and does not tell what it is about.
"""

import base64
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from service.cache.keys import HandlesKey, KeyedFingerprints
from service.cache.table_entry import WHOLE_GAME
from service.ownership import AssertedUser, DownloadKey, Fingerprint, GameId, PlayerId, Subject, VerifiedEmail
from service.verification.policy import GameRules

_BYTES: Final = 9
_GAME_BYTES: Final = 8
_REMEMBERED: Final = 50_000
_GRANT: Final = b"granted "


class Handles:
    """Makes handles. Gateways with the same secret, in front of the same store, make the same."""

    def __init__(self, key: HandlesKey, fingerprints: KeyedFingerprints) -> None:
        self._key = bytes.fromhex(key.reveal())
        self._fingerprints = fingerprints
        self.of_name = lru_cache(maxsize=_REMEMBERED)(self._of_name)

    def of_game(self, game_id: GameId) -> str:
        """Return the handle of all passes of a game."""
        return self.of_name(game_id, WHOLE_GAME)

    def of_question(self, rules: GameRules, subject: Subject) -> str:
        """Return the handle of what is known about a subject."""
        return self.of_name(rules.game_id, self._fingerprints.of_question(rules.game_id, subject, rules.accept))

    def of_word(self, game_id: GameId, subject: Subject) -> str:
        """Return the handle of the operator's word about a subject, the same whichever proofs count."""
        return self.of_name(game_id, self._fingerprints.of_override(game_id, subject))

    def of_grant(self, game_id: GameId, subject: Subject) -> str:
        """Return the handle of what the operator has granted a subject."""
        return self.of_granted_name(game_id, self._fingerprints.of_override(game_id, subject))

    def of_granted_name(self, game_id: GameId, name: Fingerprint) -> str:
        """Return the handle of what the operator has granted under the name of a word."""
        return self.of_name(game_id, Fingerprint(_GRANT + name))

    def of_pass(
        self,
        rules: GameRules,
        subject: DownloadKey | VerifiedEmail | AssertedUser,
        owner: PlayerId | None,
        *,
        granted: bool,
    ) -> tuple[str, ...]:
        """Return the handles of a pass: of the game, of its subject, and of the account where one is known.

        `owner` is None for an address: handles that an address and an account had in common would tell callers whose
        address it is. Only a pass that the operator has `granted` ends with the grant.
        """
        subjects: list[Subject] = [subject]
        if owner is not None and not isinstance(subject, AssertedUser):
            subjects.append(AssertedUser(owner))
        about = [(self.of_question(rules, one), self.of_word(rules.game_id, one)) for one in subjects]
        grants = [self.of_grant(rules.game_id, one) for one in subjects] if granted else []
        return (self.of_game(rules.game_id), *(handle for both in about for handle in both), *grants)

    def _of_name(self, game_id: GameId, name: Fingerprint) -> str:
        named = game_id.to_bytes(_GAME_BYTES, "big") + name
        digest = blake2b(named, key=self._key, person=b"og handle", digest_size=_BYTES).digest()
        return base64.urlsafe_b64encode(digest).decode()
