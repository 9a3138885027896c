"""All that this gateway has about a player: the store's answers, the operator's word, and the last refusals."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from service.api.explained import OperatorSaid, RememberedAnswer, remembered_answer
from service.api.known_player import BY_ACCOUNT, KnownPlayer
from service.api.standing_word import StandingWords
from service.cache.invalidations import SharedInvalidations
from service.cache.keys import KeyedFingerprints
from service.cache.refusal_history import RefusalHistory
from service.cache.refusal_memory import RememberedRefusal
from service.cache.tiers import TieredCache
from service.ownership import (
    AssertedUser,
    Credential,
    Decision,
    Evidence,
    Identity,
    Malformed,
    Method,
    Outcome,
    PlayerId,
    PlayerToken,
    Proof,
)
from service.verification.policy import GameRules, LookUp
from service.verification.revocations import HeldRevocations


class PlayerRecord(Struct, frozen=True):
    """All that is known of a player now; `evidence` is the latest answer of the store about ownership."""

    now: datetime
    player: KnownPlayer
    answers: list[RememberedAnswer]
    evidence: Evidence | None
    operator: OperatorSaid | None
    refusals: list[RememberedRefusal]

    @property
    def proofs(self) -> Sequence[Proof]:
        """The proofs in that answer."""
        return () if self.evidence is None else self.evidence.proofs

    def latest_refusal(self) -> RememberedRefusal | None:
        """Return the latest refusal of what the player shows, unless the store has answered since."""
        for one in self.refusals:
            # By an id and by a JWT the question is the same; of a key, or a JWT that is no good, it is another.
            about_account = one.method in BY_ACCOUNT and one.reason.outcome is not Outcome.REJECTED
            if one.subject == self.player.subject or about_account:
                is_latest = self.evidence is None or self.evidence.observed_at <= one.last_at
                return one if is_latest else None
        return None


class PlayerRecords:
    """Finds what there is about players. `history` is None where refusals are not remembered. Asks no store."""

    def __init__(
        self,
        *,
        history: RefusalHistory | None,
        cache: TieredCache,
        invalidations: SharedInvalidations,
        words: StandingWords,
        revocations: HeldRevocations,
        fingerprints: KeyedFingerprints,
    ) -> None:
        self._history = history
        self._cache = cache
        self._invalidations = invalidations
        self._words = words
        self._revocations = revocations
        self._fingerprints = fingerprints

    async def refusal(self, decision_id: str) -> RememberedRefusal | None:
        """Return the refusal with this id, if it is remembered."""
        return None if self._history is None else await self._history.find(decision_id)

    def player(self, credential: Credential | Malformed, player_id: PlayerId | None = None) -> KnownPlayer:
        """Return the player who shows a credential, and the account that it is known to lead to."""
        account = None if player_id is None else self._fingerprints.of_account(player_id)
        if isinstance(credential, Malformed):
            return KnownPlayer(credential.method, None, account, player_id)
        subject = self._fingerprints.of_credential(credential)
        return KnownPlayer(credential.method, subject, account, player_id, credential)

    async def account_of(self, credential: Credential | Malformed, decision: Decision) -> PlayerId | None:
        """Return the account that the credential is known to lead to; a decision without an answer names none."""
        if decision.player is not None:
            return decision.player.id
        if isinstance(credential, AssertedUser):
            return credential.player_id
        if isinstance(credential, PlayerToken) and decision.outcome is Outcome.UNKNOWN:
            name = self._fingerprints.of_token(credential, decision.game_id)
            known = [one.observation for one in await self._cache.each(name)]
            return next((one.player.id for one in known if isinstance(one, Identity)), None)
        return None

    async def of(self, rules: GameRules, player: KnownPlayer, now: datetime, *, in_grace: bool = False) -> PlayerRecord:
        """Return the record of a player and a game.

        `in_grace` is as for `HeldRevocations.held`: the decision rests on a proof that the store contradicts.
        """
        answers, evidence = await self._answers(rules, player, now, in_grace=in_grace)
        word, refusals = await self._words.about(rules, player), await self._refusals(rules, player)
        return PlayerRecord(now, player, answers, evidence, word, refusals)

    async def _answers(
        self, rules: GameRules, player: KnownPlayer, now: datetime, *, in_grace: bool
    ) -> tuple[list[RememberedAnswer], Evidence | None]:
        """Return what each tier remembers, and the latest answer about ownership."""
        look_ups = []
        if isinstance(player.credential, PlayerToken):
            name = self._fingerprints.of_token(player.credential, rules.game_id)
            look_ups.append(LookUp(name, rules, player.credential))
        if (subject := player.owner) is not None:
            name = self._fingerprints.of_question(rules.game_id, subject, rules.accept)
            look_ups.append(LookUp(name, rules, subject))
        answers: list[RememberedAnswer] = []
        evidence: Evidence | None = None
        for look_up in look_ups:
            before = self._invalidations.invalidated_before(look_up.game_id, look_up.name)
            for one in await self._cache.each(look_up.name):
                observation = one.observation
                usable = now - observation.observed_at < look_up.lifetime(observation).usable
                invalid = before is not None and observation.observed_at < before
                proven = self._revocations.held(look_up, observation, oldest=None, in_grace=in_grace)
                counts = usable and not invalid and proven is None
                answers.append(remembered_answer(one.tier, observation, player.method, counts=counts, now=now))
                if proven is not None:
                    answers.append(remembered_answer(one.tier, proven, player.method, counts=True, now=now))
                if isinstance(observation, Evidence) and (
                    evidence is None or evidence.observed_at < observation.observed_at
                ):
                    evidence = observation
        return answers, evidence

    async def _refusals(self, rules: GameRules, player: KnownPlayer) -> list[RememberedRefusal]:
        """Return the last ones of the credential, and of the account unless an address led to it."""
        names = [player.subject, None if player.method is Method.EMAIL else player.account]
        found: dict[str, RememberedRefusal] = {}
        for name in dict.fromkeys(names):
            if name is not None and self._history is not None:
                found |= {one.ids[0]: one for one in await self._history.of(rules.game_id, name)}
        return sorted(found.values(), key=lambda one: one.last_at, reverse=True)
