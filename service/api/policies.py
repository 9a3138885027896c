"""Policies: what one place behind a proxy demands of its players, and how their headers become a question."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from service.api.questions import AnyQuestionBody, DownloadKeyQuestion, JwtQuestion, Presented
from service.errors import NoCredential
from service.ownership import Method

AUTHORIZATION: Final = b"authorization"
DOWNLOAD_KEY: Final = b"x-download-key"
_SCHEME: Final = b"bearer "

_WHERE: Final = {
    Method.JWT: "a JWT of the itch.io app as `Authorization: Bearer`",
    Method.DOWNLOAD_KEY: "a download key as `X-Download-Key`",
}


class Policy(Struct, frozen=True):
    """The demand of one place: that the player owns `game`, shown by one of `methods`.

    `caller` is the name of the proxy that may ask by it.
    """

    name: str
    game: str
    caller: str
    methods: frozenset[Method]

    def question(self, headers: Mapping[bytes, bytes]) -> AnyQuestionBody:
        """Return the question that the headers of a player's request mean; all but two of them are never read.

        Raises `NoCredential` unless they hold exactly one credential, of a kind that the policy takes. Credentials have
        no comma in them: it stands between two headers of one name that were joined, here or by a proxy.
        """
        authorization, key = headers.get(AUTHORIZATION), headers.get(DOWNLOAD_KEY)
        if key and not authorization and b"," not in key and Method.DOWNLOAD_KEY in self.methods:
            return DownloadKeyQuestion(game=self.game, download_key=_presented(key))
        if authorization and not key and b"," not in authorization and Method.JWT in self.methods:
            scheme, token = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :]
            if scheme.lower() == _SCHEME:
                return JwtQuestion(game=self.game, jwt=_presented(token))
        raise NoCredential(
            f"present one of: {', '.join(text for method, text in _WHERE.items() if method in self.methods)}"
        )


def _presented(text: bytes) -> Presented:
    return Presented(text.decode("utf-8", "replace"))
