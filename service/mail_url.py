"""The URL of a mail server: `smtps://` or `smtp://`, `[user:password@]host[:port]`, and nothing after it."""

import re
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from service.secret import MailUrl, Secret

EXPECTED: Final = "smtps://[user:password@]host[:port] or smtp://[user:password@]host[:port], and nothing after it"
"""Completes the sentence "expected ..."."""

_ENCODED: Final = r"[A-Za-z0-9._~!$&'()*+,;=%-]+"
_URL: Final = re.compile(
    rf"(?P<scheme>smtps?)://(?:(?P<user>{_ENCODED}):(?P<password>{_ENCODED})@)?"
    r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?/?"
)
_LAST_PORT: Final = 65_535
_PORTS: Final = {"smtps": 465, "smtp": 587}
"""RFC 8314 3.3 and RFC 6409."""

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class MailPassword(Secret):
    """The password of the user at the mail server."""


class MailServer(Struct, frozen=True):
    """A mail server. TLS begins with the connection if `tls_first`; else it is demanded after it, but on loopback."""

    host: str
    port: int
    tls_first: bool
    user: str | None = None
    password: MailPassword | None = None

    @property
    def starts_tls(self) -> bool:
        """Whether TLS begins by STARTTLS (RFC 3207), without which nothing is sent."""
        return not self.tls_first and self.host.lower() not in _LOOPBACK


def read_mail_url(url: MailUrl) -> MailServer | None:
    """Return the server that a URL names, None if it names none; user and password are percent-encoded."""
    found = _URL.fullmatch(url.reveal())
    if found is None:
        return None
    port = int(found["port"] or _PORTS[found["scheme"]])
    if not 1 <= port <= _LAST_PORT:
        return None
    password = None if found["password"] is None else MailPassword(unquote(found["password"]))
    return MailServer(
        host=found["name"] or found["ipv6"],
        port=port,
        tls_first=found["scheme"] == "smtps",
        user=None if found["user"] is None else unquote(found["user"]),
        password=password,
    )
