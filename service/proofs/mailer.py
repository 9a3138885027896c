"""The sending of mails: one connection for each, four at once, five seconds in all.

Nothing raised here carries an address or a line of the server: they stop here.
"""

import asyncio
import ssl
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, make_msgid
from typing import Final

import aiosmtplib

from service.mail_text import MailText
from service.mail_url import MailServer
from service.ownership import VerifiedEmail
from service.proofs.mail_failures import MailRefused, MailUnavailable
from service.trust import trusting_context
from service.verification.interfaces import Clock

AT_ONCE: Final = 4
LONGEST: Final = timedelta(seconds=5)

_PERMANENT: Final = range(500, 600)
_NOES: Final = range(400, 600)


class SmtpMailer:
    """Sends mails by a server: with verified TLS before a word of them, or not at all; without it on loopback."""

    def __init__(self, server: MailServer, *, sender: str, clock: Clock) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._tls: ssl.SSLContext | None = None

    async def send(self, address: VerifiedEmail, text: MailText) -> None:
        """Return once the server has taken the mail. Raises `MailRefused` or `MailUnavailable`."""
        sending = _Sending(self._message(address, text), self._sender, address)
        try:
            async with self._clock.timeout(LONGEST), self._at_once:
                client = await self._connect()
                try:
                    await sending.by(client)
                finally:
                    client.close()
        except TimeoutError:
            raise MailUnavailable("timeout", perhaps_sent=sending.begun) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # `from None`: their texts carry the lines of the server, with addresses in them.
            raise MailUnavailable(_why(error), perhaps_sent=sending.begun and not _is_reply(error)) from None

    async def check(self) -> None:
        """Return once the server has let the gateway in. Raises `MailUnavailable`. Nothing is sent."""
        try:
            async with self._clock.timeout(LONGEST):
                client = await self._connect()
                try:
                    await client.noop()
                finally:
                    client.close()
        except TimeoutError:
            raise MailUnavailable("timeout") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise MailUnavailable(_why(error)) from None

    async def _connect(self) -> aiosmtplib.SMTP:
        server = self._server
        if self._tls is None:
            self._tls = await asyncio.to_thread(trusting_context)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=None if server.password is None else server.password.reveal(),
            # Of itself it would ask the system for a name, which may take as long as it likes.
            local_hostname=self._sender.rpartition("@")[2],
            timeout=None,
            use_tls=server.tls_first,
            start_tls=server.starts_tls,
            tls_context=self._tls if server.tls_first or server.starts_tls else None,
        )
        try:
            await client.connect()
        except BaseException:
            client.close()
            raise
        return client

    def _message(self, address: VerifiedEmail, text: MailText) -> bytes:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self._sender
        message["To"] = address.reveal()
        message["Subject"] = text.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: nothing is to answer it
        message.set_content(text.body, cte="quoted-printable")
        return message.as_bytes()


class _Sending:
    """One mail on its way; it is `begun` from when the server may have all of it."""

    def __init__(self, message: bytes, sender: str, address: VerifiedEmail) -> None:
        self._message = message
        self._sender = sender
        self._address = address
        self.begun = False

    async def by(self, client: aiosmtplib.SMTP) -> None:
        await client.mail(self._sender)
        try:
            await client.rcpt(self._address.reveal())
        except aiosmtplib.SMTPRecipientRefused as refused:
            if refused.code in _PERMANENT:
                raise MailRefused from None
            raise
        self.begun = True
        await client.data(self._message)  # QUIT would cost another answer, and changes nothing about the mail


def _is_reply(error: BaseException) -> bool:
    """Whether the server has said no; what it says otherwise, it may say after it has taken a mail."""
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code in _NOES


def _why(error: BaseException) -> str:
    """Return a word for a failure, for the log: the number of the reply, or the kind of error."""
    return str(error.code) if isinstance(error, aiosmtplib.SMTPResponseException) else type(error).__name__
