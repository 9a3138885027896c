"""The head of one request: its first line and its fields, split by httptools and judged by RFC 9110 and RFC 9112.

httptools refuses by itself (0.8, seen by trying): bare LF, folded fields, blanks before a colon, control characters,
two `Content-Length`, `Content-Length` beside `Transfer-Encoding`, lengths that are no numbers. The rest is done here.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

import httptools

from service.http.refused import Refused

_END: Final = b"\r\n\r\n"
"""The only end of a head that httptools accepts, so that it can be looked for before anything is parsed."""

_SINGLE: Final = frozenset({b"host", b"authorization", b"content-type"})
"""Fields that may stand once. Two of them mean two different requests to two readers (RFC 9110 §5.3, RFC 9112 §3.2)."""

_READ_WHOLE: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods whose body is waited for."""

_HOST: Final = re.compile(
    rb"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]"
    rb"|\[[Vv][0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+\]"
    rb"|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)"
    rb"(?::[0-9]*)?"
)
"""`uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2). Both parts may be empty."""


class Head:
    """A head that is being read; the attributes hold once it is whole. httptools calls the `on_...` methods.

    Each head has a parser of its own, so that nothing has to be taken back: not after an `Upgrade`, at which httptools
    stops for good, and not after a body, which httptools never sees. And so neither refers to the other in a circle.
    """

    __slots__ = (
        "_bytes_left",
        "_fields_left",
        "_heads_below",
        "_tail",
        "expects_continue",
        "headers",
        "is_last",
        "length",
        "method",
        "target",
    )

    is_last: bool
    """Whether the connection ends with this request: the caller says so, or what follows may be its unread body."""
    length: int | None
    """Of the body that is to be read; None if it comes in chunks."""
    expects_continue: bool

    def __init__(self, *, fields: int, head_bytes: int, heads_below: bytes = b"") -> None:
        self.method = b""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self._fields_left = fields
        self._bytes_left = head_bytes
        self._heads_below = heads_below
        self._tail = b""

    def read(self, unread: bytearray, parser: httptools.HttpRequestParser) -> bool:
        """Take what belongs to the head out of the unread bytes; return whether it is whole.

        Raises Refused.
        """
        end = self._end_in(unread)
        whole = end > 0
        part = unread[:end] if whole else unread[:]
        self._bytes_left -= len(part)
        if self._bytes_left < 0:
            raise Refused(400)
        del unread[: len(part)]
        try:
            parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            pass  # A server may ignore it (RFC 9110 §7.8), and this one does.
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, Refused):
                raise error.__context__ from None
            raise  # A bug of ours is not the caller's bad request.
        except httptools.HttpParserError:
            raise Refused(400) from None
        if whole:
            self._judge(parser)
        else:
            self._tail = (self._tail + part[-3:])[-3:]
        return whole

    def _end_in(self, unread: bytearray) -> int:
        """Return the number of unread bytes up to the end of the head; 0 if it is not among them."""
        if self._tail:
            across = (self._tail + unread[:3]).find(_END)
            if across >= 0:
                return across + len(_END) - len(self._tail)
        found = unread.find(_END)
        return found + len(_END) if found >= 0 else 0

    # --- the parser's callbacks ---

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field. Fields are counted, not names: thousands of equal ones would be joined again and again."""
        self._fields_left -= 1
        if self._fields_left < 0:
            raise Refused(400)
        name, value = name.lower(), value.rstrip(b" \t")
        if name in self.headers:
            if name in _SINGLE:
                raise Refused(400)
            value = b"%b, %b" % (self.headers[name], value)
        self.headers[name] = value

    # --- what the whole head means ---

    def _judge(self, parser: httptools.HttpRequestParser) -> None:
        headers = self.headers
        version = parser.get_http_version()
        self.method = parser.get_method()
        if version not in {"1.0", "1.1"}:
            raise Refused(505)
        is_newest = version == "1.1"
        if b"host" in headers:
            _judge_host(headers[b"host"])
        elif is_newest:
            raise Refused(400)  # RFC 9112 §3.2
        if self.method == b"CONNECT":
            raise Refused(405)
        # By the fields: what httptools knows of it is gone as soon as the head is whole.
        self.is_last = not is_newest or (b"connection" in headers and _says_close(headers[b"connection"]))
        self.length = _body_length(headers, may_be_chunked=is_newest)
        self.expects_continue = False
        if self.length == 0:
            return
        below = self._heads_below
        if self.method in _READ_WHOLE and (not below or self.target[: len(below)] != below):
            self.expects_continue = is_newest and headers.get(b"expect", b"").lower() == b"100-continue"
        else:
            # Answered without its body, which may never come (nginx announces it to an auth_request and does not send
            # it; Envoy asks by the player's own method). So the bytes behind this head may be the body or the next
            # request, and are not read.
            self.is_last, self.length = True, 0


def _judge_host(host: bytes) -> None:
    match = _HOST.fullmatch(host)
    if match is None:
        raise Refused(400)
    if match["ipv6"] is not None:
        try:
            IPv6Address(match["ipv6"].decode("ascii"))
        except AddressValueError:
            raise Refused(400) from None


def _says_close(connection: bytes) -> bool:
    return any(option.strip() == b"close" for option in connection.lower().split(b","))


def _body_length(headers: dict[bytes, bytes], *, may_be_chunked: bool) -> int | None:
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        digits = headers.get(b"content-length", b"0").lstrip(b"0")  # int() refuses 5 000 zeros
        return int(digits or b"0")
    if may_be_chunked and coding.lower() == b"chunked":
        return None
    # Another coding, which would have to be undone, or a length that HTTP/1.0 does not have (RFC 9112 §6.1).
    raise Refused(400)
