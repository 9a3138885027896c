# ruff: noqa: ARG002 - the library calls handlers with more than they need
"""A real mail server on a loopback port, which may misbehave."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.clock import settle


class MailServer:
    """A mail server: what it says to each command unless that is none, and the mails that it has taken."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[Envelope] = []
        self.tls: list[bool] = []
        self.logins: list[tuple[str, str]] = []
        self.to_sender: str | None = None
        self.to_recipient: str | None = None
        self.to_data: str | None = None
        self.hangs_at: str | None = None
        self.commands: list[str] = []
        self.connections = 0

    async def handle_MAIL(  # noqa: N802 - as the library calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender, or not."""
        await self._note("MAIL")
        if self.to_sender is not None:
            return self.to_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        await self._note("RCPT")
        if self.to_recipient is not None:
            return self.to_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        """Take a mail, or not."""
        if self.to_data is None:
            self.mails.append(envelope)
            self.tls.append(session.ssl is not None)
        await self._note("DATA")
        return self.to_data or "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any
    ) -> AuthResult:
        """Let a user in who has the right password."""
        assert isinstance(login, LoginPassword)
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=login.password == b"p@ss/word", handled=False)

    async def _note(self, command: str) -> None:
        self.commands.append(command)
        if self.hangs_at == command:
            await asyncio.Event().wait()

    def message(self, number: int = -1) -> EmailMessage:
        """Return a mail that it has taken."""
        content = self.mails[number].content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message

    def code(self, number: int = -1) -> str:
        """Return the code in a mail that it has taken."""
        (code,) = {word for word in self.message(number).get_content().split() if word.isdecimal() and len(word) == 8}
        return str(code)


@asynccontextmanager
async def mail_server(
    *, host: str = "127.0.0.1", certificate: Path | None = None, tls_first: bool = False, **options: Any
) -> AsyncIterator[MailServer]:
    """Serve one. With a `certificate` it offers STARTTLS, or begins with TLS."""
    seen = MailServer()
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    if context is not None and not tls_first:
        options |= {"tls_context": context}

    protocols: list[SMTP] = []

    def protocol() -> SMTP:
        seen.connections += 1
        protocols.append(SMTP(seen, hostname="mail.test", authenticator=seen.authenticate, **options))
        return protocols[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, host, 0, ssl=context if tls_first else None)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for one in protocols:
            if one.transport is not None:
                one.transport.close()
        await settle()
