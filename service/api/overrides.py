"""The operators' words about single players, each for a while: set, listed and taken back over HTTP."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from service.api.answers import Instant
from service.api.named_subject import SubjectFields, named_subject
from service.api.questions import BodyReader, GameName, Presented
from service.api.verify_service import Asking
from service.cache.override_notes import OverrideNote, OverrideNotes
from service.cache.shared_overrides import LONGEST_OVERRIDE, SharedOverrides, StandingOverride
from service.cache.table_entry import TablePlace
from service.credentials import unwrapped
from service.errors import BadQuestion, UnknownOverride
from service.http.reply import Reply
from service.observability.logs import Logging
from service.ownership import DownloadKey, Fingerprint, Method, OverrideWord

SHORTEST_SECONDS: Final = 60
LONGEST_SECONDS: Final = int(LONGEST_OVERRIDE.total_seconds())
LONGEST_NOTE: Final = 200

Replicas: TypeAlias = Literal["all", "this one"]
"""The replicas that hold what was said: all that reach Redis, or none but the one that was told."""


class OverrideRequest(SubjectFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request to let one player of a game in for a while, or to keep it out."""

    game: GameName
    download_key: (
        Annotated[Presented, Meta(description="The key, or the URL that it is part of; only to ban it.")] | None
    ) = None
    word: OverrideWord
    seconds: Annotated[int, Meta(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, description="How long this holds.")]
    note: Annotated[str, Meta(max_length=LONGEST_NOTE, description="Printable characters, for people.")] | None = None


class OverrideQuery(Struct, frozen=True, kw_only=True):
    """The query of the list of overrides."""

    game: GameName


class OverrideBody(Struct, frozen=True, kw_only=True):
    """An override that holds. `by` (the caller) and `note` are null where they are lost; times are in UTC."""

    id: str
    game_id: int
    method: Method
    user_id: int | None
    subject: str
    word: OverrideWord
    until: Instant
    by: str | None
    note: str | None
    at: Instant


class OverrideSet(OverrideBody, frozen=True, kw_only=True):
    """The override that holds now, on `all` replicas within 2 s or, without Redis, on `this one` alone."""

    replicas: Replicas


_READ: Final = BodyReader(OverrideRequest)
_READ_QUERY: Final = BodyReader(OverrideQuery)
_ID: Final = re.compile(r"[0-9a-f]{32}")


class OverrideService:
    """Carries out what operators say about single players, and leaves a line in the log about it.

    `told` returns whether the other replicas can have the entry of a place.
    """

    def __init__(
        self,
        *,
        overrides: SharedOverrides,
        notes: OverrideNotes,
        told: Callable[[TablePlace], Awaitable[bool]],
        log: Logging,
    ) -> None:
        self._overrides = overrides
        self._notes = notes
        self._told = told
        self._log = log

    async def set(self, body: bytes, asking: Asking) -> Reply:
        """Let an override hold. Raises `QuestionRefused` when the caller is at fault."""
        wanted: OverrideRequest = _READ.read(body)
        rules = asking.games.find(wanted.game)
        asking.caller.require_game(rules.game_id)
        subject = named_subject(wanted)
        if subject is None:
            raise BadQuestion("", "no_subject", "name a user_id, an email or a download_key")
        if isinstance(subject, DownloadKey) and wanted.word is OverrideWord.GRANT:
            raise BadQuestion(
                "/word", "key_not_granted", "a key can only be banned; let in its player by id or address"
            )
        if wanted.note is not None and not wanted.note.isprintable():
            raise BadQuestion("/note", "unprintable_note", "the note has characters that cannot be printed")
        if not asking.games:
            self._overrides.require_room_for_game(rules.game_id)
        override = self._overrides.set(rules.game_id, subject, wanted.word, holds_for=timedelta(seconds=wanted.seconds))
        note = OverrideNote(asking.caller.name, wanted.note)
        replicas: Replicas = "this one"
        try:
            replicas = await self._tell(override, self._notes.keep(override, note))
        finally:  # also if the caller hangs up meanwhile
            self._log.logger.info(
                "override_set",
                id=override.name.hex(),
                by=asking.caller.name,
                game=rules.label,
                subject=override.subject,
                word=override.word,
                until=override.until,
                replicas=replicas,
                request_id=asking.request_id,
            )
        answer = OverrideSet(**msgspec.structs.asdict(_body(override, note)), replicas=replicas)
        return Reply(200, msgspec.json.encode(answer))

    async def list(self, game: str | None, asking: Asking) -> Reply:
        """Return those that hold for a game, the latest first. Raises `QuestionRefused` when the caller is at fault."""
        query: OverrideQuery = _READ_QUERY.read(msgspec.json.encode({} if game is None else {"game": game}))
        rules = asking.games.find(query.game)
        asking.caller.require_game(rules.game_id)
        overrides = self._overrides.of_game(rules.game_id)
        notes = await self._notes.read(overrides)
        return Reply(200, msgspec.json.encode([_body(*both) for both in zip(overrides, notes, strict=True)]))

    async def remove(self, override_id: str, asking: Asking) -> Reply:
        """Take an override back. Raises `QuestionRefused` when the caller is at fault."""
        override_id = unwrapped(override_id)
        named = _ID.fullmatch(override_id) is not None
        override = self._overrides.of_name(Fingerprint(bytes.fromhex(override_id))) if named else None
        if override is None:
            raise UnknownOverride
        asking.caller.require_game(override.game_id)
        # Not only of a configured game: what holds is to be ended also when its game is no longer in the file.
        self._overrides.remove(override)
        replicas: Replicas = "this one"
        try:
            replicas = await self._tell(override, self._notes.forget(override))
        finally:  # also if the caller hangs up meanwhile
            self._log.logger.info(
                "override_removed",
                id=override.name.hex(),
                by=asking.caller.name,
                game=asking.games.label_of(override.game_id),
                subject=override.subject,
                word=override.word,
                until=override.until,
                replicas=replicas,
                request_id=asking.request_id,
            )
        return Reply(204, b"")

    async def _tell(self, override: StandingOverride, noting: Awaitable[None]) -> Replicas:
        """Have the other replicas know, and return which do."""
        await noting
        return "all" if await self._told(override.place) else "this one"


def _body(override: StandingOverride, note: OverrideNote | None) -> OverrideBody:
    return OverrideBody(
        id=override.name.hex(),
        game_id=override.game_id,
        method=override.method,
        user_id=override.player_id,
        subject=override.subject,
        word=override.word,
        until=override.until,
        by=None if note is None else note.by,
        note=None if note is None else note.note,
        at=override.at,
    )
