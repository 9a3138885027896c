"""The operators' requests to a running gateway: to forget what it knows, and whether to believe the store's noes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.answers import Instant
from service.api.named_subject import SubjectFields, named_subject
from service.api.questions import BodyReader, GameName
from service.api.verify_service import Asking
from service.errors import BadQuestion
from service.http.reply import Reply
from service.observability.logs import Logging
from service.ownership import DownloadKey, GameId
from service.verification.interfaces import Clock, Fingerprints
from service.verification.policy import GameRules
from service.verification.verify import Verification


class Invalidation(SubjectFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request to forget what is known about a subject and a game or, without a subject, about a whole game."""

    game: GameName


class Invalidated(Struct, frozen=True):
    """The result: answers of the store from before `before` (UTC) are used no more, by every replica within 2 s.

    `key_players_forgotten` is there for a download key whose players are counted; false if Redis did not say so.
    """

    game_id: int
    subject: str | None
    before: Instant
    key_players_forgotten: bool | UnsetType = UNSET


LONGEST_WORD: Final = 86_400
"""Seconds; a day."""


class Revocations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operator's word on whether the store's noes about proven owners of a game are to be believed, for a while."""

    game: GameName
    believe: Annotated[bool, Meta(description="Have the noes count; false holds them back.")]
    seconds: Annotated[int, Meta(ge=60, le=LONGEST_WORD, description="How long this holds.")] = LONGEST_WORD


class RevocationsSet(Struct, frozen=True):
    """The result: it holds until `until` (UTC), on every replica within 2 s."""

    game_id: int
    believe: bool
    until: Instant


class OperatorsWord(Protocol):
    """The revocation guard, as operators may overrule it."""

    def believe(self, game_id: GameId, *, believe: bool, until: datetime) -> None:
        """Have the noes about a game count until then, or have them held back."""


class KeyPlayersForgotten(Protocol):
    """The players of download keys, as operators may have them forgotten."""

    async def forget(self, rules: GameRules, key: DownloadKey) -> bool:
        """Forget who has shown a key; false if that may not have happened."""


class Refusals(Protocol):
    """The remembered refusals, as operators may have them forgotten."""

    async def forget(self, game_id: GameId, log_name: str | None, *, before: datetime) -> None:
        """Forget those from before that instant of a credential or an account and a game, or of a whole game."""


_READ: Final = BodyReader(Invalidation)
_READ_REVOCATIONS: Final = BodyReader(Revocations)


class AdminService:
    """Carries out what operators ask for, and leaves a line in the log about it."""

    def __init__(
        self,
        *,
        verification: Verification,
        fingerprints: Fingerprints,
        guard: OperatorsWord | None,
        refusals: Refusals | None,
        key_sharing: Callable[[], KeyPlayersForgotten],
        log: Logging,
        clock: Clock,
    ) -> None:
        self._verification = verification
        self._fingerprints = fingerprints
        self._guard = guard
        self._refusals = refusals
        self._key_sharing = key_sharing
        self._log = log
        self._clock = clock

    async def invalidate(self, body: bytes, asking: Asking) -> Reply:
        """Forget a subject, or a game. Raises `QuestionRefused` when the caller is at fault."""
        wanted: Invalidation = _READ.read(body)
        rules = asking.games.find(wanted.game)
        asking.caller.require_game(rules.game_id)
        subject = named_subject(wanted)
        name = None if subject is None else self._fingerprints.of_credential(subject)
        before = self._verification.invalidate(rules, subject)
        # Before anything is waited for: it has happened, even if the caller hangs up now.
        self._log.logger.info(
            "invalidated", caller=asking.caller.name, game=rules.label, subject=name, request_id=asking.request_id
        )
        if self._refusals is not None:
            await self._refusals.forget(rules.game_id, name, before=before)
        forgotten: bool | UnsetType = UNSET
        if rules.key_limit is not None and isinstance(subject, DownloadKey):
            forgotten = await self._key_sharing().forget(rules, subject)
        return Reply(200, msgspec.json.encode(Invalidated(rules.game_id, name, before, forgotten)))

    async def set_revocations(self, body: bytes, asking: Asking) -> Reply:
        """Believe the store's noes, or hold them back. Raises `QuestionRefused` when the caller is at fault."""
        wanted: Revocations = _READ_REVOCATIONS.read(body)
        rules = asking.games.find(wanted.game)
        asking.caller.require_game(rules.game_id)
        if self._guard is None:
            raise BadQuestion("/believe", "no_revocation_guard", "revocation_guard is off, so every no is believed")
        until = self._clock.now() + timedelta(seconds=wanted.seconds)
        self._guard.believe(rules.game_id, believe=wanted.believe, until=until)
        self._log.logger.info(
            "revocations_set",
            caller=asking.caller.name,
            game=rules.label,
            believe=wanted.believe,
            until=until,
            request_id=asking.request_id,
        )
        return Reply(200, msgspec.json.encode(RevocationsSet(rules.game_id, wanted.believe, until)))
