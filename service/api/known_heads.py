"""Heads of requests that were read before: a game server sends the same one with every question."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from msgspec import Struct

from service.api.admission import admitted
from service.api.callers import Caller, CallerDirectory
from service.api.identifiers import is_request_id, trace_id_from
from service.api.keyed_digest import KeyedDigest
from service.api.paths import LARGEST_BODY, PATHS, head_length

_MOST: Final = 1_000
"""Heads that are remembered. One that is not is read again, which takes as long as the rest of a question."""

_METHOD_OF: Final = {path.encode("ascii"): method for method, path in PATHS.items()}
_NOT_PLAIN: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class Head(Struct, frozen=True):
    """A plain POST of one question by a caller who may ask it. `length` is that of its body."""

    path: str
    caller: Caller
    length: int
    request_id: str | None
    trace_id: str | None


class KnownHeads:
    """Tells plain questions by the first bytes of a request; anything else about it is somebody else's business.

    Heads hold tokens, so that only their digests are kept, made with a key of this process.
    """

    def __init__(self, callers: CallerDirectory) -> None:
        self._callers = callers
        self._heads: OrderedDict[bytes, Head] = OrderedDict()
        self._digest = KeyedDigest()

    def read(self, head: bytes) -> Head | None:
        """Return what a head says, from its first byte up to the empty line; None unless it is that of a question."""
        name = self._digest.of(head)
        known = self._heads.get(name)
        if known is None:
            known = self._read(head)
            if known is not None:
                self._heads[name] = known
                if len(self._heads) > _MOST:
                    self._heads.popitem(last=False)
        return known

    def is_beginning(self, request: bytes) -> bool:
        """Return whether this is the beginning of a plain question, its head whole, its body not."""
        end = head_length(request)
        head = self.read(request[:end])
        return head is not None and len(request) - end < head.length

    def _read(self, head: bytes) -> Head | None:
        heard = _Heard()
        parser = HttpRequestParser(heard)
        try:
            parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            return None
        method, headers = _METHOD_OF.get(heard.url), dict(heard.headers)
        plain = len(headers) == len(heard.headers) and _NOT_PLAIN.isdisjoint(headers)
        if method is None or not plain or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        if not parser.should_keep_alive():
            return None
        # The parser has made sure that it is a number.
        length = int(headers.get(b"content-length", b"0"))
        if length > LARGEST_BODY:
            return None
        caller = admitted(self._callers, method, headers)
        if caller is None:
            return None
        return Head(
            PATHS[method],
            caller,
            length,
            _request_id(headers),
            trace_id_from(headers.get(b"traceparent", b"").decode("latin-1")),
        )


def _request_id(headers: Mapping[bytes, bytes]) -> str | None:
    text = headers.get(b"x-request-id", b"").decode("latin-1")
    return text if is_request_id(text) else None


class _Heard:
    """What the parser calls."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))
