"""Policies: what one place behind a proxy demands of its players, and how their headers become a question."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from service.api.questions import (
    AccessTokenQuestion,
    AnyQuestionBody,
    DownloadKeyQuestion,
    JwtQuestion,
    PassQuestion,
    Presented,
)
from service.credentials import is_pass
from service.errors import NoCredential
from service.ownership import Method

AUTHORIZATION: Final = b"authorization"
DOWNLOAD_KEY: Final = b"x-download-key"
COOKIE: Final = b"cookie"
_SCHEME: Final = b"bearer "

_WHERE: Final = {
    Method.PASS: "a pass as `Authorization: Bearer`",
    Method.JWT: "a JWT of the itch.io app as `Authorization: Bearer`",
    Method.DOWNLOAD_KEY: "a download key as `X-Download-Key`",
    Method.ACCESS_TOKEN: "an access token of itch.io as `Authorization: Bearer`",
}


class Policy(Struct, frozen=True):
    """The demand of one place: that the player owns `game`, shown by one of `methods`.

    `caller` is the name of the proxy that may ask by it, `cookie` that of the cookie in which a pass may be, too.
    """

    name: str
    game: str
    caller: str
    methods: frozenset[Method]
    cookie: bytes | None = None

    def question(self, headers: Mapping[bytes, bytes]) -> AnyQuestionBody:
        """Return the question that the headers of a player's request mean; all but three of them are never read.

        Raises `NoCredential` unless they hold exactly one credential, of a kind that the policy takes. Credentials have
        no comma in them: it stands between two headers of one name that were joined, here or by a proxy.
        """
        method, text = self._shown(headers)
        if text and "," not in text and method in self.methods:
            return self._asked(method, Presented(text))
        raise NoCredential(
            f"present one of: {', '.join(where for method, where in _WHERE.items() if method in self.methods)}"
        )

    def _shown(self, headers: Mapping[bytes, bytes]) -> tuple[Method, str]:
        """Return the one credential and its kind; no text if there is none, or more than one."""
        authorization, key = headers.get(AUTHORIZATION), headers.get(DOWNLOAD_KEY)
        if authorization:
            token = "" if key else _text(_bearer(authorization))
            if is_pass(token):
                return Method.PASS, token
            # A JWT has dots, and only an access token has none.
            return (
                Method.ACCESS_TOKEN if Method.ACCESS_TOKEN in self.methods and "." not in token else Method.JWT,
                token,
            )
        if key:
            return Method.DOWNLOAD_KEY, _text(key)
        return Method.PASS, _text(self._in_cookie(headers))

    def _in_cookie(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Return what is in the cookie, nothing if it is not there or more than once (RFC 6265 4.2.1)."""
        if self.cookie is None:
            return b""
        pairs = [pair.strip().partition(b"=") for pair in headers.get(COOKIE, b"").split(b";")]
        values = [value for name, _, value in pairs if name == self.cookie]
        return values[0] if len(values) == 1 else b""

    def _asked(self, method: Method, presented: Presented) -> AnyQuestionBody:
        if method is Method.DOWNLOAD_KEY:
            return DownloadKeyQuestion(game=self.game, download_key=presented)
        if method is Method.PASS:
            return PassQuestion(game=self.game, shown=presented)
        if method is Method.ACCESS_TOKEN:
            return AccessTokenQuestion(game=self.game, access_token=presented)
        return JwtQuestion(game=self.game, jwt=presented)


def _bearer(authorization: bytes) -> bytes:
    scheme, token = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
    return token if scheme.lower() == _SCHEME else b""


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")
