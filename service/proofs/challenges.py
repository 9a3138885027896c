"""Codes that are mailed, and confirmed. Nothing here asks the store, or knows who has bought anything."""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final, Protocol

from msgspec import Struct

from service.cache.keys import ProofsKey, encode_fields
from service.challenge_reason import ChallengeReason
from service.errors import TooManyQuestions
from service.limits.caller_limits import TokenBucket
from service.mail_text import MailText
from service.ownership import Fingerprint, GameId, VerifiedEmail
from service.proofs.code_tries import CodeTries
from service.proofs.mail_bounds import OF_ADDRESS, OF_PLAYER, RESEND_AFTER, MailBounds, MailRoom
from service.proofs.mail_failures import MailRefused, MailUnavailable
from service.proofs.sealed_texts import MailedCode, SealedTexts, new_code
from service.verification.interfaces import Clock

_NAME_BYTES: Final = 16
_SECOND: Final = timedelta(seconds=1)


class Mailer(Protocol):
    """Sends mails."""

    async def send(self, address: VerifiedEmail, text: MailText) -> None:
        """Return once the mail was taken. Raises `MailRefused` or `MailUnavailable`."""


class Asked(Struct, frozen=True):
    """The wish for a code: whose the address is said to be, for which game, and which caller asks.

    `label` names the game in the mail; `player_ref` is the caller's name for the player.
    """

    address: VerifiedEmail
    game_id: GameId
    label: str
    caller: str
    player_ref: str | None


class Begun(Struct, frozen=True):
    """A challenge, its end, and when another mail to the same address may be asked for.

    `refused` says that the mail server takes no mail for the address: for the log alone.
    """

    challenge: str
    expires_at: datetime
    resend_after: datetime
    refused: bool


class Confirmed(Struct, frozen=True):
    """A proof of the address, and its end."""

    proof: str
    expires_at: datetime
    address: VerifiedEmail
    game_id: GameId


class NotConfirmed(Struct, frozen=True):
    """A code that confirms nothing, and the tries that are left."""

    reason: ChallengeReason
    tries_left: int = 0
    address: VerifiedEmail | None = None
    game_id: GameId | None = None


class Challenges:
    """Mails codes and confirms them, within bounds that are the same for all addresses."""

    def __init__(
        self,
        *,
        texts: SealedTexts,
        key: ProofsKey,
        mailer: Mailer,
        text: MailText,
        tries: CodeTries,
        bounds: MailBounds,
        code_lasts: timedelta,
        proof_lasts: timedelta,
        per_minute: int,
        clock: Clock,
    ) -> None:
        self._texts = texts
        self._key = bytes.fromhex(key.reveal())
        self._mailer = mailer
        self._text = text
        self._tries = tries
        self._bounds = bounds
        self._code_lasts = code_lasts
        self._proof_lasts = proof_lasts
        self._per_minute = per_minute
        self._clock = clock
        self._of_caller: dict[str, TokenBucket] = {}

    async def begin(self, asked: Asked) -> Begun:
        """Mail a code, and return its challenge.

        Raises `TooManyQuestions` over a bound, and `MailUnavailable` when the mail server has not taken the mail.
        """
        self._spend(asked.caller)
        rooms = await self._take_rooms(asked)
        code, now = new_code(), self._clock.now().replace(microsecond=0)
        ends_at = now + self._code_lasts
        text = self._text.filled(code=code.reveal(), game=asked.label, minutes=self._code_lasts // timedelta(minutes=1))
        refused = False
        try:
            await self._mailer.send(asked.address, text)
        except MailRefused:
            refused = True
        except MailUnavailable as unavailable:
            if not unavailable.perhaps_sent:
                for room in rooms:
                    await self._bounds.give_back(room)
            raise
        challenge = self._texts.challenge(
            asked.address, code, game_id=asked.game_id, caller=asked.caller, ends_at=ends_at
        )
        return Begun(challenge, ends_at, now + RESEND_AFTER + _SECOND, refused)  # never a moment too early

    async def confirm(self, challenge: str, code: str, *, caller: str) -> Confirmed | NotConfirmed:
        """Return a proof for the code of a challenge of that caller's, or why there is none.

        The same code confirms again while tries are left: an answer may have been lost.
        """
        opened = self._texts.open_challenge(challenge)
        if opened is None or opened.caller != caller:
            return NotConfirmed(ChallengeReason.MALFORMED_CHALLENGE)
        now, about = self._clock.now(), (opened.address, opened.game_id)
        if opened.ends <= now:
            return NotConfirmed(ChallengeReason.EXPIRED_CHALLENGE, 0, *about)
        left = await self._tries.take(self._name(b"challenge", opened.id), until=opened.ends)
        if left is None:
            return NotConfirmed(ChallengeReason.NO_TRIES_LEFT, 0, *about)
        if not opened.is_met_by(MailedCode("".join(code.split()))):
            return NotConfirmed(ChallengeReason.WRONG_CODE, left, *about)
        ends_at = now.replace(microsecond=0) + self._proof_lasts
        return Confirmed(self._texts.proof(opened, ends_at=ends_at), ends_at, *about)

    def read_proof(self, text: str, *, game_id: GameId, caller: str) -> VerifiedEmail | None:
        """Return the address that a proof proves to that caller for that game, None if it proves none."""
        opened = self._texts.open_proof(text)
        if opened is None or (opened.game_id, opened.caller) != (game_id, caller) or opened.ends <= self._clock.now():
            return None
        return opened.address

    def _spend(self, caller: str) -> None:
        bucket = self._of_caller.get(caller)
        if bucket is None:
            rate, burst = self._per_minute / 60, float(self._per_minute)
            bucket = self._of_caller[caller] = TokenBucket(rate=rate, burst=burst, clock=self._clock)
        wait = bucket.spend()
        if wait is not None:
            raise TooManyQuestions("challenges", retry_after=wait)

    async def _take_rooms(self, asked: Asked) -> list[MailRoom]:
        """Take room for a mail to the address, and for the player where one is named. Raises `TooManyQuestions`."""
        mailbox = self._name(b"address", asked.address.mailbox.reveal().encode())
        wanted = [(mailbox, OF_ADDRESS)]
        if asked.player_ref is not None:
            player = self._name(b"player", asked.caller.encode(), asked.player_ref.encode())
            wanted.insert(0, (player, OF_PLAYER))  # first, and given back: a full address costs the player no mail
        rooms: list[MailRoom] = []
        for name, windows in wanted:
            taken = await self._bounds.take(name, windows)
            if not isinstance(taken, MailRoom):
                for room in rooms:
                    await self._bounds.give_back(room)
                raise TooManyQuestions("challenges", retry_after=taken)
            rooms.append(taken)
        return rooms

    def _name(self, *fields: bytes) -> Fingerprint:
        named = encode_fields(fields)
        return Fingerprint(blake2b(named, key=self._key, person=b"og challenges", digest_size=_NAME_BYTES).digest())
