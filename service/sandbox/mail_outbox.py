"""The outbox in the place of a mail server: mails stay in it, for those who try the gateway to read."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from msgspec import Struct

from service.mail_text import MailText
from service.ownership import VerifiedEmail

LONGEST: Final = 100


class SentMail(Struct, frozen=True):
    """A mail that has gone no further."""

    sent_at: datetime
    to: str
    subject: str
    text: str


class MailOutbox:
    """The last mails, oldest first."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._mails: deque[SentMail] = deque(maxlen=LONGEST)

    async def send(self, address: VerifiedEmail, text: MailText) -> None:
        """Keep a mail."""
        self._mails.append(SentMail(self._now(), address.reveal(), text.subject, text.body))

    def mails(self) -> list[SentMail]:
        """Return them."""
        return list(self._mails)

    def clear(self) -> None:
        """Forget them."""
        self._mails.clear()
