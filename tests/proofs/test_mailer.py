"""Mails by a real mail server, and by servers that are none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from service.mail_text import MailText
from service.mail_url import MailServer as ServerAddress
from service.mail_url import read_mail_url
from service.ownership import VerifiedEmail
from service.proofs.mail_failures import MailUnavailable
from service.proofs.mailer import SmtpMailer
from service.secret import MailUrl
from tests.cache.certificates import write_certificate
from tests.clock import FakeClock
from tests.gateways import until
from tests.proofs.mail_server import mail_server

PLAYER = VerifiedEmail("player@example.com")
TEXT = MailText("A subject", "A code: 12345678\n")


def mailer(url: str, clock: FakeClock) -> SmtpMailer:
    """Return a mailer by that server."""
    address = read_mail_url(MailUrl(url))
    assert address is not None
    return SmtpMailer(address, sender="noreply@studio.example", clock=clock)


Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[int]:
    """Serve connections; return the port. None of them is left behind."""
    tasks: list[asyncio.Task[None]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await handle(reader, writer)
        except ConnectionError:
            pass  # the client has gone, as it may
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def saying(*lines: bytes) -> AsyncIterator[int]:
    """Serve a line for each that comes, the first unasked; return the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line)
            await reader.readline()
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with serving(handle) as port:
        yield port


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("smtps://mail.example", ServerAddress("mail.example", 465, tls_first=True)),
        ("smtp://mail.example:2525/", ServerAddress("mail.example", 2525, tls_first=False)),
        ("smtp://[2001:db8::1]", ServerAddress("2001:db8::1", 587, tls_first=False)),
    ],
)
def test_urls(url: str, address: ServerAddress) -> None:
    assert read_mail_url(MailUrl(url)) == address


@pytest.mark.parametrize(
    "url",
    [
        "https://mail.example",
        "smtp://",
        "smtp://mail.example:0",
        "smtp://mail.example:65536",
        "smtp://mail.example/path",
        "smtp://mail.example?starttls=no",
        "smtp://user@mail.example",
        "smtp://mail.example\r\n",
        "mail.example",
    ],
)
def test_what_is_no_url(url: str) -> None:
    assert read_mail_url(MailUrl(url)) is None


def test_passwords_are_decoded_and_hidden() -> None:
    """Percent-encoded, as in any URL; and shown nowhere."""
    address = read_mail_url(MailUrl("smtps://a%40b:p%40ss%2Fword@mail.example"))

    assert address is not None
    assert address.password is not None
    assert (address.user, address.password.reveal()) == ("a@b", "p@ss/word")
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(("host", "demanded"), [("127.0.0.1", False), ("LOCALHOST", False), ("mail.example", True)])
def test_tls_is_demanded_but_on_loopback(host: str, demanded: bool) -> None:  # noqa: FBT001 - a parameter
    assert ServerAddress(host, 587, tls_first=False).starts_tls is demanded


async def test_a_login(clock: FakeClock) -> None:
    """With user and password where the URL has them."""
    async with mail_server(auth_require_tls=False) as server:
        await mailer(f"smtp://noreply:p%40ss%2Fword@127.0.0.1:{server.port}", clock).send(PLAYER, TEXT)
        with pytest.raises(MailUnavailable, match="535"):
            await mailer(f"smtp://noreply:wrong@127.0.0.1:{server.port}", clock).send(PLAYER, TEXT)

    assert len(server.mails) == 1
    assert server.logins[0] == ("noreply", "p@ss/word")


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_mail_goes_by_tls(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """From the first byte, or by STARTTLS, with a certificate that is trusted."""
    write_certificate(tmp_path, address="127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    async with mail_server(host="127.0.0.2", certificate=tmp_path, tls_first=scheme == "smtps") as server:
        await mailer(f"{scheme}://127.0.0.2:{server.port}", clock).send(PLAYER, TEXT)

    assert len(server.mails) == 1
    assert server.tls == [True] or scheme == "smtps"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("flaw", ["untrusted", "name", "none"])
async def test_no_mail_goes_without_verified_tls(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, flaw: str
) -> None:
    """Nor with a certificate that is not trusted, or another host's: not a word of it is sent."""
    write_certificate(tmp_path, address="127.0.0.3" if flaw == "name" else "127.0.0.2")
    if flaw == "name":
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    certificate = None if flaw == "none" else tmp_path
    async with mail_server(host="127.0.0.2", certificate=certificate, tls_first=scheme == "smtps") as server:
        if flaw == "none" and scheme == "smtps":
            return  # a server without TLS never greets one that waits for it: see the servers that hang
        with pytest.raises(MailUnavailable) as failed:
            await mailer(f"{scheme}://127.0.0.2:{server.port}", clock).send(PLAYER, TEXT)

    assert server.commands == []
    assert not failed.value.perhaps_sent


@pytest.mark.parametrize(
    "lines",
    [
        (b"HTTP/1.1 400 Bad Request\r\n",),
        (b"220 " + b"x" * 20_000 + b"\r\n",),
        (b"554 no\r\n",),
        (b"220 hello\r\n", b"500 what\r\n", b"500 what\r\n"),
        (b"220 hello\r\n", b"250 hello\r\n", b"no number\r\n"),
        (b"\xff\xfe\r\n",),
        (),
    ],
)
async def test_servers_that_are_none(clock: FakeClock, lines: tuple[bytes, ...]) -> None:
    async with saying(*lines) as port:
        with pytest.raises(MailUnavailable) as failed:
            await mailer(f"smtp://127.0.0.1:{port}", clock).send(PLAYER, TEXT)

    assert not failed.value.perhaps_sent


async def test_a_word_that_is_none_after_a_mail(clock: FakeClock) -> None:
    """A server that has got all of a mail, and does not say yes or no, may have sent it."""
    ok = b"250 OK\r\n"
    async with saying(b"220 hi\r\n", ok, ok, ok, b"354 go\r\n", b"") as port:
        with pytest.raises(MailUnavailable) as failed:
            await mailer(f"smtp://127.0.0.1:{port}", clock).send(PLAYER, TEXT)

    assert failed.value.perhaps_sent


async def test_a_server_that_drips(clock: FakeClock) -> None:
    """Five seconds in all, however often something comes."""
    dripped = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dripped
        while not writer.is_closing():
            writer.write(b"2")
            dripped += 1
            await asyncio.sleep(0.001)

    async with serving(handle) as port:
        sending = asyncio.create_task(mailer(f"smtp://127.0.0.1:{port}", clock).send(PLAYER, TEXT))
        await until(lambda: dripped > 20)
        await clock.advance(timedelta(seconds=5))
        with pytest.raises(MailUnavailable, match="timeout"):
            await sending


async def test_a_check_sends_nothing(clock: FakeClock) -> None:
    async with mail_server() as server:
        await mailer(f"smtp://127.0.0.1:{server.port}", clock).check()

    assert (server.connections, server.commands) == (1, [])


async def test_a_check_fails_as_a_mail_would(clock: FakeClock) -> None:
    with pytest.raises(MailUnavailable, match="SMTPConnectError"):
        await mailer("smtp://127.0.0.1:9", clock).check()
    async with saying(b"") as port:
        checking = asyncio.create_task(mailer(f"smtp://127.0.0.1:{port}", clock).check())
        await asyncio.sleep(0.05)
        await clock.advance(timedelta(seconds=5))
        with pytest.raises(MailUnavailable, match="timeout"):
            await checking
