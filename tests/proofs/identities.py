"""Id tokens, good and forged, by the maker of forged passes; and the issuer that signs the good ones."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import jwt

from service.errors import IssuerUnavailable
from tests.clock import START
from tests.passes.make_forged import Forger

ISSUER: Final = "https://id.studio.example"
CLIENT: Final = "client-of-the-studio"
NOW: Final = int(START.timestamp())
PLACE: Final = f"{ISSUER}/.well-known/openid-configuration"
KEYS: Final = f"{ISSUER}/keys"
IDENTITY: Final[dict[str, Any]] = {
    "iss": ISSUER,
    "aud": CLIENT,
    "sub": "1994",
    "iat": NOW - 60,
    "exp": NOW + 600,
    "email": "bea@example.com",
    "email_verified": True,
}


class Identities(Forger):
    """Makes id tokens: with the key of the issuer, and with others."""

    CLAIMS: ClassVar[dict[str, Any]] = IDENTITY
    TYPE: ClassVar[str] = "JWT"

    def jwks(self) -> bytes:
        """Return the keys as the issuer publishes them."""
        return self.keys.published

    def claims(self) -> Iterator[tuple[str, str]]:
        """Yield tokens with the issuer's own signature that prove nothing."""
        yield "another issuer", self.token({"iss": "https://evil.example"})
        yield "an issuer with a slash more", self.token({"iss": f"{ISSUER}/"})
        yield "the beginning of an issuer", self.token({"iss": ISSUER[:-1]})
        yield "an issuer without its scheme", self.token({"iss": ISSUER.removeprefix("https://")})
        yield "a list of issuers", self.token({"iss": [ISSUER]})
        yield "another client", self.token({"aud": "client-of-another"})
        yield "a list of clients", self.token({"aud": [CLIENT]})
        yield "a list of clients, and by whom", self.token({"aud": [CLIENT], "azp": CLIENT})
        yield "ended", self.token({"exp": NOW})
        yield "an end as text", self.token({"exp": str(NOW + 600)})
        yield "an end as true", self.token({"exp": True})
        yield "issued in an hour", self.token({"iat": NOW + 3600})
        yield "issued more than an hour ago", self.token({"iat": NOW - 3601})
        yield "issued as text", self.token({"iat": str(NOW)})
        yield "a subject that is a number", self.token({"sub": 1994})
        for value in (False, "false", 1, "1", None, [True], "True"):
            yield f"an address that is verified: {value!r}", self.token({"email_verified": value})
        for address in ("bea", "bea@example.com\r\nBcc: x@example.com", "", ["bea@example.com"], '"b a"@example.com'):
            yield f"the address {address!r}", self.token({"email": address})
        yield "a nonce that was not asked for", self.token({"nonce": "n-1"})
        for name in ("iss", "aud", "exp", "iat", "sub", "email", "email_verified"):
            yield f"without {name}", self.token(without=(name,))

    def others(self) -> Iterator[tuple[str, str]]:
        """Yield tokens of other kinds."""
        claims = {**IDENTITY, "outcome": "owned"}
        headers = {"kid": self.key.kid, "typ": "ownership-pass+jwt"}
        yield "a pass", jwt.encode(claims, self.key.private, "RS256", headers=headers)
        yield "an access token", jwt.encode(claims, self.key.private, "RS256", headers={**headers, "typ": "at+jwt"})
        secret = "a secret of itch.io's, which is not known here"
        yield "a JWT of itch.io's", jwt.encode({"sub": "1994", "exp": NOW + 60}, secret, algorithm="HS256")

    def forged(self) -> dict[str, str]:
        """Return all of them by their names; a token without a type, or with ours, is a good one."""
        good = self.token()
        longest = {"longer than any": self.token({"name": "0" * 8192})}
        kinds = [self.algorithms(), self.headers(), self.claims(), self.twists(good), self.others()]
        good_ones = {"no type", "the type JWT"}
        return {name: token for kind in kinds for name, token in kind if name not in good_ones} | longest


class Web:
    """The documents of issuers, by their addresses; `asked` are those that were asked for."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        self.documents = documents
        self.asked: list[str] = []
        self.is_away = False

    async def get(self, url: str) -> bytes:
        """Return a document. Raises `IssuerUnavailable`."""
        self.asked.append(url)
        if self.is_away or url not in self.documents:
            raise IssuerUnavailable
        return self.documents[url]


def configuration(**changes: Any) -> bytes:
    """Return the configuration of the issuer."""
    return json.dumps({"issuer": ISSUER, "jwks_uri": KEYS, **changes}).encode()
