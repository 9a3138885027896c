"""HTTP as it arrives, good and bad, with the right results.

A case is data: run it without sockets, whole or in pieces, or send it to a server. There `statuses` come back from an
application that answers 200 to each request, `closes` says that the server ends the connection by itself at once, and a
case whose state is READING is half a request: 408, once the time for its arrival is over.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from service.http.connection import State
from tests.http.feeding import Got, Outcome

K: Final = 1024


class Case(Struct, frozen=True):
    """Bytes of a caller that does not wait for answers, and the outcome."""

    name: str
    sent: bytes
    outcome: Outcome

    @property
    def statuses(self) -> list[int]:
        """The statuses of a server whose application answers 200 to each request."""
        return [got if isinstance(got, int) else 200 for got in self.outcome.wholes]

    @property
    def closes(self) -> bool:
        """Whether the server ends the connection after the last answer."""
        return self.outcome.state is State.LINGERING


# --- the words that cases are written in ---


def head(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "a") -> bytes:
    """Return a head; it has a Host unless that is None."""
    hosts = [] if host is None else [f"Host: {host}"]
    return "\r\n".join([line, *hosts, *fields, "", ""]).encode("latin-1")


def post(*fields: str, body: bytes = b"", line: str = "POST / HTTP/1.1") -> bytes:
    """Return a request with a body of known length."""
    return head(line, *fields, f"Content-Length: {len(body)}") + body


def streamed(*fields: str, chunks: bytes, line: str = "POST / HTTP/1.1") -> bytes:
    """Return a request with a body in chunks, as given."""
    return head(line, *fields, "Transfer-Encoding: chunked") + chunks


def taken(name: str, sent: bytes, *wholes: Got) -> Case:
    """Return a case that is all requests; the connection stays open unless the last one ends it."""
    ends = bool(wholes) and wholes[-1].last
    return Case(name, sent, Outcome(wholes, State.LINGERING if ends else State.IDLE))


def refused(name: str, sent: bytes, status: int, *before: Got) -> Case:
    """Return a case that ends with a refusal."""
    return Case(name, sent, Outcome((*before, status), State.LINGERING))


def half(name: str, sent: bytes, *before: Got) -> Case:
    """Return a case that ends in the middle of a request."""
    return Case(name, sent, Outcome(before, State.READING))


GET: Final = Got(method="GET")
LAST_GET: Final = Got(method="GET", last=True)
POST: Final = Got(method="POST", body=b"ab")
LAST_POST: Final = Got(method="POST", body=b"ab", last=True)
EMPTY_POST: Final = Got(method="POST")


def cases() -> Iterable[Case]:
    """Return all cases."""
    return [*_lines(), *_versions(), *_hosts(), *_fields(), *_endings(), *_lengths(), *_chunks(), *_bounds(),
            *_upgrades(), *_announced(), *_pipelines()]  # fmt: skip


def _lines() -> Iterable[Case]:
    yield taken("plain", head(), GET)
    yield taken("line breaks before and after", b"\r\n\n\r\r\n" + head() + b"\r\n", GET)
    yield taken("line breaks alone", b"\r\n" * 5_000)
    yield taken("two blanks in the line", head("GET  / HTTP/1.1"), GET)
    yield taken("a query", head("GET /a?b=%20&c HTTP/1.1"), Got(method="GET", target="/a?b=%20&c"))
    yield taken("absolute form", head("GET http://b/c?d HTTP/1.1"), Got(method="GET", target="http://b/c?d"))
    yield taken("absolute form without a path", head("GET http://b HTTP/1.1"), Got(method="GET", target="http://b"))
    yield taken("OPTIONS *", head("OPTIONS * HTTP/1.1"), Got(method="OPTIONS", target="*"))
    yield taken("HEAD", head("HEAD /livez HTTP/1.1"), Got(method="HEAD", target="/livez"))
    yield taken("a long target", head(f"GET /{'a' * 30_000} HTTP/1.1"), Got(method="GET", target="/" + "a" * 30_000))
    yield refused("a target of 33 KiB", head(f"GET /{'a' * 33 * K} HTTP/1.1"), 400)
    yield refused("a target without a slash", head("GET a HTTP/1.1"), 400)
    yield refused("no target", head("GET HTTP/1.1"), 400)
    yield refused("NUL in the target", head("GET /\0 HTTP/1.1"), 400)
    yield refused("a raw byte in the target", head("GET /\xff HTTP/1.1"), 400)
    yield refused("a tab in the line", head("GET\t/ HTTP/1.1"), 400)
    yield refused("a blank before the line", head(" GET / HTTP/1.1"), 400)
    yield refused("a blank behind the version", head("GET / HTTP/1.1 "), 400)
    yield refused("an unknown method", head("FOO / HTTP/1.1"), 400)
    yield refused("a method in small letters", head("get / HTTP/1.1"), 400)
    yield refused("a method of 40 KiB", b"G" * 40 * K, 400)
    yield refused("CONNECT", head("CONNECT a:443 HTTP/1.1"), 405)
    yield refused("CONNECT with a body", head("CONNECT a:443 HTTP/1.1", "Content-Length: 2") + b"ab", 405)
    yield refused("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400)
    yield refused("bare LF", head().replace(b"\r", b""), 400)
    yield refused("bare LF behind the line", head().replace(b"\r", b"", 1), 400)
    yield refused("bare CR", head().replace(b"\n", b""), 400)
    yield refused("CR CR LF at the end", head()[:-2] + b"\r\r\n", 400)
    yield half("half a method", b"PO")
    yield half("half a head", head()[:-1])


def _versions() -> Iterable[Case]:
    yield taken("HTTP/1.0", head("GET / HTTP/1.0"), LAST_GET)
    yield taken("HTTP/1.0 without a Host", head("GET / HTTP/1.0", host=None), LAST_GET)
    yield taken("HTTP/1.0 that would be kept", head("GET / HTTP/1.0", "Connection: keep-alive") * 2, LAST_GET)
    yield taken("HTTP/1.0 with a body", post(line="POST / HTTP/1.0", body=b"ab"), LAST_POST)
    yield taken("HTTP/1.0 without a length", head("POST / HTTP/1.0"), Got(method="POST", last=True))
    yield refused("HTTP/1.0 with two Hosts", head("GET / HTTP/1.0", "Host: b"), 400)
    yield refused("HTTP/1.0 in chunks", streamed(line="POST / HTTP/1.0", chunks=b"0\r\n\r\n"), 400)
    yield refused("HTTP/2.0", head("GET / HTTP/2.0"), 505)
    yield refused("HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
    yield refused("HTTP/0.9", b"GET /\r\n\r\n", 505)
    yield refused("HTTP/0.9 by name", head("GET / HTTP/0.9"), 505)
    yield refused("HTTP/1.2", head("GET / HTTP/1.2"), 400)
    yield refused("HTTP/3.0", head("GET / HTTP/3.0"), 400)
    yield refused("http/1.1 in small letters", head("GET / http/1.1"), 400)
    yield refused("no protocol", head("GET / FOO/1.1"), 400)


def _hosts() -> Iterable[Case]:
    for good in ("", "a.example:80", "a:", "1.2.3.4", "[::1]:8080", "[::ffff:1.2.3.4]", "[v1.a:b]", "a_b-c~", "%41"):
        yield taken(f"Host {good!r}", head(host=good), GET)
    for bad in ("a b", "a, b", "a/b", "u@a", "a:b", "a:80:80", "::1", "[::1", "[:::::]", "[fe80::1%25eth0]", "a\xe9",
                "%4", "<a>", "http://a", "[]", "[1.2.3.4]", "a?b", "a#b", "[::1]a"):  # fmt: skip
        yield refused(f"Host {bad!r}", head(host=bad), 400)
    yield refused("no Host", head(host=None), 400)
    yield refused("no Host and an absolute target", head("GET http://a/ HTTP/1.1", host=None), 400)
    yield refused("Host twice", head("GET / HTTP/1.1", "Host: b"), 400)
    yield refused("the same Host twice", head("GET / HTTP/1.1", "hOST: a"), 400)
    yield refused(
        "Host in a trailer", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n", 400
    )


def _fields() -> Iterable[Case]:
    def fields(**expected: str) -> Got:
        headers = {b"host": b"a"} | {name.encode(): value.encode("latin-1") for name, value in expected.items()}
        return Got(method="GET", headers=headers)

    yield taken("a field", head("GET / HTTP/1.1", "X: b"), fields(x="b"))
    yield taken("blanks around a value", head("GET / HTTP/1.1", "X: \t b  c \t "), fields(x="b  c"))
    yield taken("no blank", head("GET / HTTP/1.1", "X:b"), fields(x="b"))
    yield taken("an empty value", head("GET / HTTP/1.1", "X:"), fields(x=""))
    yield taken("a value of blanks", head("GET / HTTP/1.1", "X:  "), fields(x=""))
    yield taken("bytes above ASCII", head("GET / HTTP/1.1", "X: \xe4"), fields(x="\xe4"))
    yield taken("a name twice", head("GET / HTTP/1.1", "X: b", "x: c"), fields(x="b, c"))
    yield taken("Authorization once", head("GET / HTTP/1.1", "authorization: c"), fields(authorization="c"))
    yield taken("127 fields beside Host", head("GET / HTTP/1.1", *["X: b"] * 127), GET)
    yield refused("128 fields beside Host", head("GET / HTTP/1.1", *["X: b"] * 128), 400)
    yield refused("H3: 6 500 fields", head("GET / HTTP/1.1", *[f"{n:x}:" for n in range(6_500)]), 400)
    yield refused("H7: two Authorization", head("GET / HTTP/1.1", "Authorization: b", "Authorization: c"), 400)
    yield refused("two Content-Type", head("GET / HTTP/1.1", "Content-Type: b", "Content-Type: b"), 400)
    yield refused("a blank before the colon", head("GET / HTTP/1.1", "X : b"), 400)
    yield refused("no colon", head("GET / HTTP/1.1", "X"), 400)
    yield refused("no name", head("GET / HTTP/1.1", ": b"), 400)
    yield refused("a folded value", head("GET / HTTP/1.1", "X: b", " c"), 400)
    yield refused("a blank before the first field", head("GET / HTTP/1.1", " X: b", host=None), 400)
    yield refused("NUL in a value", head("GET / HTTP/1.1", "X: \0"), 400)
    yield refused("a control character in a value", head("GET / HTTP/1.1", "X: \x01"), 400)
    yield refused("bare CR in a value", head("GET / HTTP/1.1", "X: b\rY: c"), 400)
    yield refused("bare LF behind a value", head("GET / HTTP/1.1", "X: b\nY: c"), 400)
    yield refused("a name above ASCII", head("GET / HTTP/1.1", "\xe4: b"), 400)


def _endings() -> Iterable[Case]:
    for close in ("close", "Close", "keep-alive, close", "close ,x", "upgrade, close"):
        yield taken(f"Connection {close!r}", head("GET / HTTP/1.1", f"Connection: {close}") + head(), LAST_GET)
    for keep in ("keep-alive", "", "x", "closed", "x-close"):
        yield taken(f"Connection {keep!r}", head("GET / HTTP/1.1", f"Connection: {keep}") + head(), GET, GET)
    both = head("GET / HTTP/1.1", "Connection: keep-alive", "Connection: close")
    yield taken("Connection twice", both + head(), LAST_GET)
    yield taken("close with a body", post("Connection: close", body=b"ab") + head(), LAST_POST)
    yield taken("close in a trailer", streamed(chunks=b"0\r\nConnection: close\r\n\r\n") + head(), EMPTY_POST, GET)


def _lengths() -> Iterable[Case]:
    most = b"a" * 16 * K
    yield taken("a body", post(body=b"ab"), POST)
    yield taken("PUT, PATCH", b"".join(post(line=f"{verb} / HTTP/1.1", body=b"ab") for verb in ("PUT", "PATCH")),
                Got(method="PUT", body=b"ab"), Got(method="PATCH", body=b"ab"))  # fmt: skip
    yield taken("no length", head("POST / HTTP/1.1") + head(), EMPTY_POST, GET)
    yield taken("length 0", post() + head(), EMPTY_POST, GET)
    yield taken("zeros before the length", head("POST / HTTP/1.1", "Content-Length: 0002") + b"ab", POST)
    zeros = "0" * 9_000
    yield taken("9 000 zeros before the length", head("POST / HTTP/1.1", f"Content-Length: {zeros}2") + b"ab", POST)
    yield taken("9 000 zeros", head("POST / HTTP/1.1", f"Content-Length: {zeros}") + head(), EMPTY_POST, GET)
    yield taken("16 KiB", post(body=most), Got(method="POST", body=most))
    yield half("16 KiB but a byte", post(body=most)[:-1])
    yield half("a body that does not begin", post(body=b"ab")[:-2])
    yield refused("16 KiB and a byte", post(body=most + b"a"), 413)
    yield refused("a long body that does not begin", head("POST / HTTP/1.1", "Content-Length: 16385"), 413)
    for bad in ("+2", "-2", "2,2", "", "0x2", "2 2", "1e1", "9" * 30, "\xb2"):
        yield refused(f"length {bad!r}", head("POST / HTTP/1.1", f"Content-Length: {bad}") + b"ab", 400)
    for second in ("Content-Length: 2", "Content-Length: 3", "Transfer-Encoding: chunked", "Transfer-Encoding: x"):
        yield refused(f"length and {second}", head("POST / HTTP/1.1", "Content-Length: 2", second) + b"ab", 400)
    both = head("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 2")
    yield refused("chunked and a length", both + b"0\r\n\r\n", 400)


def _chunks() -> Iterable[Case]:
    end = b"0\r\n\r\n"
    yield taken("in chunks", streamed(chunks=b"1\r\na\r\n1\r\nb\r\n" + end), POST)
    yield taken("CHUNKED", head("POST / HTTP/1.1", "Transfer-Encoding: CHUNKED ") + b"2\r\nab\r\n" + end, POST)
    yield taken("no chunk", streamed(chunks=end) + head(), EMPTY_POST, GET)
    yield taken("a hexadecimal size", streamed(chunks=b"1A\r\n" + b"a" * 26 + b"\r\n" + end),
                Got(method="POST", body=b"a" * 26))  # fmt: skip
    yield taken("zeros before a size", streamed(chunks=b"0002\r\nab\r\n000\r\n\r\n"), POST)
    yield taken("extensions", streamed(chunks=b'2;a=b; c="d"\r\nab\r\n0;e\r\n\r\n'), POST)
    yield taken("a blank before an extension", streamed(chunks=b"2 ;a\r\nab\r\n" + end), POST)
    trailers = b"0\r\nAuthorization: b\r\nContent-Type: c\r\nX-Request-ID: d\r\n\r\n"
    plain = {b"host": b"a", b"transfer-encoding": b"chunked"}
    yield taken("H5: trailers", streamed(chunks=b"2\r\nab\r\n" + trailers) + head(),
                Got(method="POST", body=b"ab", headers=plain), GET)  # fmt: skip
    yield half("no last chunk", streamed(chunks=b"2\r\nab\r\n"))
    yield half("no empty line", streamed(chunks=b"2\r\nab\r\n0\r\n"))
    for bad in (b"\r\n", b"2 \r\n", b"0x2\r\n", b"-2\r\n", b"g\r\n", b"2\n", b"2;a\n", b"2;\0\r\n", b"2;a\rb\r\n",
                b"2,\r\n", b" 2\r\n", b"_2\r\n", b"2_0\r\n", b"\xb2\r\n"):  # fmt: skip
        yield refused(f"chunk line {bad!r}", streamed(chunks=bad + b"ab\r\n" + end), 400)
    for bad in (b"2\r\nabcd", b"2\r\nab0\r\n\r\n", b"2\r\nab\n" + end, b"2\r\nab\r0"):
        yield refused(f"chunk {bad!r}", streamed(chunks=bad), 400)
    for bad in (b"a", b" a: b", b"a : b", b"a: \0", b": a", b"a: b\rc"):
        yield refused(f"trailer {bad!r}", streamed(chunks=b"0\r\n" + bad + b"\r\n\r\n"), 400)
    yield refused("bare LF behind a trailer", streamed(chunks=b"0\r\na: b\n\n"), 400)
    for coding in (
        "gzip, chunked",
        "chunked, gzip",
        "gzip",
        "identity",
        "chunked, chunked",
        "",
        "xchunked",
        "chunked;q=1",
    ):
        yield refused(f"coding {coding!r}", head("POST / HTTP/1.1", f"Transfer-Encoding: {coding}") + end, 400)
    two = head("POST / HTTP/1.1", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked")
    yield refused("two codings in two fields", two + end, 400)


def _bounds() -> Iterable[Case]:
    def sized(size: int) -> bytes:
        return head("GET / HTTP/1.1", "X: " + "b" * (size - len(head("GET / HTTP/1.1", "X: "))))

    yield taken("a head of 32 KiB", sized(32 * K), GET)
    yield refused("a head of 32 KiB and a byte", sized(32 * K + 1), 400)
    yield half("32 KiB without an end", sized(33 * K)[: 32 * K])
    yield refused("blanks without end", head()[:-2] + b"X:" + b" " * 33 * K, 400)
    yield refused("H1: trailers without end", streamed(chunks=b"0\r\n" + b"a: b\r\n" * 2_000), 413)
    yield refused("H1: one long trailer", streamed(chunks=b"0\r\na: " + b"b" * 8 * K), 413)
    yield taken("4 KiB of trailers", streamed(chunks=b"0\r\na: " + b"b" * (4 * K - 5) + b"\r\n\r\n"), EMPTY_POST)
    yield refused("4 KiB of trailers and a byte", streamed(chunks=b"0\r\na: " + b"b" * (4 * K - 4) + b"\r\n\r\n"), 413)
    yield refused("refused before the empty line", streamed(chunks=b"0\r\na: " + b"b" * (4 * K - 4) + b"\r\n"), 413)
    full = b"a: " + b"b" * (4 * K - 5) + b"\r\n"
    yield refused("a trailer behind 4 KiB of them", streamed(chunks=b"0\r\n" + full + b"a:\r\n\r\n"), 413)
    yield taken("4 KiB of extensions", streamed(chunks=b"2;" + b"a" * (4 * K - 1) + b"\r\nab\r\n0\r\n\r\n"), POST)
    yield refused("4 KiB of extensions and a byte", streamed(chunks=b"2;" + b"a" * 4 * K + b"\r\nab\r\n0\r\n\r\n"), 413)
    yield refused("an extension without end", streamed(chunks=b"2;" + b"a" * 8 * K), 413)
    yield refused("extensions of many chunks", streamed(chunks=b"1;aa\r\nb\r\n" * 2_000), 413)
    yield refused("zeros without end", streamed(chunks=b"0" * 8 * K), 413)
    small = b"1\r\na\r\n" * 16 * K
    yield taken("16 Ki chunks of a byte", streamed(chunks=small + b"0\r\n\r\n"), Got(method="POST", body=b"a" * 16 * K))
    yield refused("a chunk of a byte more", streamed(chunks=small + b"1\r\n"), 413)
    yield refused("a chunk of 16 KiB and a byte", streamed(chunks=b"4001\r\n"), 413)
    yield refused("a chunk of 2^68", streamed(chunks=b"fffffffffffffffff\r\n"), 413)


def _upgrades() -> Iterable[Case]:
    h2c = (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    )
    yield taken("H4: h2c", head("GET / HTTP/1.1", *h2c) + head(), GET, GET)
    yield taken("H4: h2c and a length", post(*h2c, body=b"ab") + head(), POST, GET)
    yield taken("H4: h2c and chunks", streamed(*h2c, chunks=b"2\r\nab\r\n0\r\nx: y\r\n\r\n") + head(), POST, GET)
    yield taken("h2c, length 0", post(*h2c) + head(), EMPTY_POST, GET)
    yield taken("h2c every time", post(*h2c, body=b"ab") * 3, POST, POST, POST)
    yield taken("h2c, announced", head("GET / HTTP/1.1", *h2c, "Content-Length: 2") + b"ab", LAST_GET)
    yield taken("h2c, HTTP/1.0", post(*h2c, line="POST / HTTP/1.0", body=b"ab"), LAST_POST)
    yield taken("WebSocket", head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket") + head(), GET, GET)
    yield taken("Upgrade alone", post("Upgrade: h2c", body=b"ab") + head(), POST, GET)
    yield taken("h2c and close", post("Connection: close, upgrade", "Upgrade: h2c", body=b"ab") + head(), LAST_POST)
    yield refused("h2c and a long body", head("POST / HTTP/1.1", *h2c, "Content-Length: 16385"), 413)
    yield refused("h2c and two framings", streamed(*h2c, "Content-Length: 2", chunks=b"0\r\n\r\n"), 400)
    yield refused("h2c and trailers without end", streamed(*h2c, chunks=b"0\r\n" + b"a: b\r\n" * 2_000), 413)


def _announced() -> Iterable[Case]:
    for verb in ("GET", "HEAD", "DELETE", "OPTIONS"):
        got, line = Got(method=verb, last=True), f"{verb} / HTTP/1.1"
        yield taken(f"H6: {verb} that announces a body", head(line, "Content-Length: 5"), got)
        yield taken(f"H6: {verb} with a body", head(line, "Content-Length: 5") + b"hello" + head(), got)
        yield taken(f"H6: {verb} in chunks", streamed(line=line, chunks=b"0\r\n\r\n") + head(), got)
        yield taken(f"{verb} with length 0", head(line, "Content-Length: 0") + head(), Got(method=verb), GET)
    yield taken("GET that announces a long body", head("GET / HTTP/1.1", "Content-Length: 99999"), LAST_GET)
    yield refused("GET in another coding", head("GET / HTTP/1.1", "Transfer-Encoding: gzip, chunked"), 400)


def _pipelines() -> Iterable[Case]:
    yield taken("three", head() + post(body=b"ab") + head(), GET, POST, GET)
    yield taken("line breaks between", b"\r\n\r\n".join([post(body=b"ab")] * 3), POST, POST, POST)
    yield taken("500", head() * 500, *[GET] * 500)
    yield half("one and a half", head() + b"GET", GET)
    yield refused("one and nonsense", head() + b"\0", 400, GET)
    yield refused("two and one that is too long", post(body=b"ab") * 2 + post(body=b"a" * 20 * K), 413, POST, POST)
    yield refused("nothing behind a refusal", head(host=None) + head(), 400)
    yield refused(
        "a body that is longer than its length",
        head("POST / HTTP/1.1", "Content-Length: 2") + b"abc\r\n\r\n",
        400,
        POST,
    )
    yield taken("a request in a body", post(body=head()) + head(), Got(method="POST", body=head()), GET)
