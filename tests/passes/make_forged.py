"""Makes `forged.json`: tokens that are no passes, or none for who shows them, and the keys they are to be checked with.

    python -m tests.passes.make_forged

A verifier in any language can be tried with that file. It checks for `issuer`, `audience` and `player_ref`, at the time
`now`, with `keys`. It accepts `good`, and none of `forged`. Those that are `for_match_servers` only are passes to the
gateway, which is asked about any pass of a game; there the time, the issuer, the game and the player count.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.pass_pem import new_signing_key
from service.passes.signing_keys import key_set
from service.secret import PassKeys

FILE: Final = Path(__file__).parent / "forged.json"
NOW: Final = 1_795_183_391
ISSUER: Final = "https://gateway.example.com"
AUDIENCE: Final = "game:3/server-42"
TYPE: Final = "ownership-pass+jwt"

CLAIMS: Final[dict[str, Any]] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "itch:1994",
    "iat": NOW - 60,
    "exp": NOW + 840,
    "jti": "01M7Y5NCZWHYPPN1HH559FP964",
    "game": 3,
    "outcome": "owned",
    "reason": "download_key",
    "method": "user",
    "handles": ["q83vEjRWeJAB", "q83vEjRWeJAC", "q83vEjRWeJAD"],
    "observed_at": NOW - 60.25,
    "fresh_until": NOW + 3540,
    "usable_until": NOW + 86_340,
    "evidence": {"kind": "download_key", "id": 124},
    "player_ref": "lobby:7f3a",
}


def encoded(data: object) -> str:
    """Return text, bytes, or anything else as JSON, in base64url."""
    raw = data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Makes tokens: with the key of the gateway, and with others. `CLAIMS` and `TYPE` are those of a good one."""

    CLAIMS: ClassVar[dict[str, Any]] = CLAIMS
    TYPE: ClassVar[str] = TYPE

    def __init__(self) -> None:
        self.keys = key_set(PassKeys(new_signing_key()))
        self.key = self.keys.keys[0]
        (strange,) = key_set(PassKeys(new_signing_key())).keys
        self.strange, self.strange_public = strange.private, strange.public

    def token(
        self,
        claims: dict[str, Any] | None = None,
        *,
        key: Any = None,
        algorithm: str = "RS256",
        without: tuple[str, ...] = (),
        **header: Any,
    ) -> str:
        """Return a token that is a pass but for what is given. A field of the header that is None is left out."""
        made = {name: value for name, value in {**self.CLAIMS, **(claims or {})}.items() if name not in without}
        fields = {"alg": algorithm, "typ": self.TYPE, "kid": self.key.kid, **header}
        signing = f"{encoded({k: v for k, v in fields.items() if v is not None})}.{encoded(made)}"
        return f"{signing}.{self.signed(signing, algorithm, key)}"

    def signed(self, signing: str, algorithm: str = "RS256", key: Any = None) -> str:
        """Return the signature of a text."""
        signer = jwt.get_algorithm_by_name(algorithm)
        return encoded(signer.sign(signing.encode(), signer.prepare_key(key or self.key.private)))

    def algorithms(self) -> Iterator[tuple[str, str]]:
        """Yield tokens whose algorithm is another."""
        pem = self.key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signing = f"{encoded({'alg': 'HS256', 'typ': self.TYPE, 'kid': self.key.kid})}.{encoded(self.CLAIMS)}"
        yield "HS256 with the public key as its secret", f"{signing}.{encoded(hmac.sign(signing.encode(), pem))}"
        yield "HS256 with an empty secret", f"{signing}.{encoded(hmac.sign(signing.encode(), b''))}"
        for name in ("none", "None", "NONE", "nOnE"):
            signing = f"{encoded({'alg': name, 'typ': self.TYPE, 'kid': self.key.kid})}.{encoded(self.CLAIMS)}"
            yield f"algorithm {name} without a signature", f"{signing}."
        yield "algorithm none with a signature", self.token(alg="none")
        for name in ("RS384", "RS512", "PS256"):
            yield f"{name} with the gateway's own key", self.token(algorithm=name)
        yield "ES256 with a strange key", self.token(algorithm="ES256", key=ec.generate_private_key(ec.SECP256R1()))
        yield "EdDSA with a strange key", self.token(algorithm="EdDSA", key=ed25519.Ed25519PrivateKey.generate())
        yield "no algorithm", self.token(alg=None)
        yield "an algorithm in small letters", self.token(alg="rs256")
        yield "a list of algorithms", self.token(alg=["RS256"])

    def headers(self) -> Iterator[tuple[str, str]]:
        """Yield tokens with another header."""
        jwk = json.loads(self.keys.published)["keys"][0]
        strange = jwt.algorithms.RSAAlgorithm.to_jwk(self.strange_public, as_dict=True)
        yield "a strange key under our name", self.token(key=self.strange)
        yield "no name of a key", self.token(kid=None)
        for name in ("strange", "", "../../dev/null", "' or 1=1 --"):
            yield f"the name {name!r} of a key", self.token(kid=name)
        yield "a number for the name of a key", self.token(kid=0)
        yield "a list for the name of a key", self.token(kid=[self.key.kid])
        yield "its own key in it", self.token(key=self.strange, jwk=strange)
        yield "our key in it", self.token(jwk=jwk)
        yield "where its keys are", self.token(key=self.strange, jku="https://evil.example/jwks.json")
        yield "where its certificate is", self.token(key=self.strange, x5u="https://evil.example/cert.pem")
        yield "its certificate in it", self.token(x5c=["MIIB"])
        yield "something critical", self.token(crit=["exp"], exp=NOW + 840)
        yield "something critical and unknown", self.token(crit=["x"], x=1)
        yield "an empty list of what is critical", self.token(crit=[])
        yield "a payload that is not encoded, and critical", self.token(b64=False, crit=["b64"])
        yield "a payload that is not encoded", self.token(b64=False)
        yield "compressed", self.token(zip="DEF")
        yield "a type of content", self.token(cty="JWT")
        for kind in ("JWT", "ownership-pass", "OWNERSHIP-PASS+JWT", "application/ownership-pass+jwt", "at+jwt"):
            yield f"the type {kind}", self.token(typ=kind)
        yield "no type", self.token(typ=None)

    def claims(self) -> Iterator[tuple[str, str]]:
        """Yield tokens with our own signature that are no pass, or not for who shows them."""
        yield "another issuer", self.token({"iss": "https://evil.example"})
        yield "an issuer with a slash more", self.token({"iss": f"{ISSUER}/"})
        yield "an audience of another game", self.token({"aud": "game:33/server-42"})
        yield "a list of audiences", self.token({"aud": [AUDIENCE]})
        yield "another game", self.token({"game": 4})
        yield "a game as text", self.token({"game": "3"})
        yield "ended", self.token({"exp": NOW})
        yield "an end as text", self.token({"exp": str(NOW + 840)})
        yield "an end that is no number", self.token({"exp": float("nan")})
        yield "an end without end", self.token({"exp": float("inf")})
        yield "begun in an hour", self.token({"iat": NOW + 3600})
        yield "begun as true", self.token({"iat": True})
        yield "a no", self.token({"outcome": "not_owned", "reason": "no_download_key"})
        yield "a reason of another outcome", self.token({"outcome": "owned", "reason": "operator_ban"})
        yield "an outcome that there is not", self.token({"outcome": "admin"})
        yield "another player", self.token({"player_ref": "lobby:0000"})
        yield "another player, almost", self.token({"player_ref": "lobby:7f3a "})
        yield "handles as text", self.token({"handles": "q83vEjRWeJAB"})
        yield "no handles", self.token({"handles": []})
        yield "a claim more", self.token({"admin": True})
        for name in ("iss", "aud", "exp", "iat", "sub", "game", "outcome", "handles"):
            yield f"without {name}", self.token(without=(name,))

    def for_match_servers(self) -> Iterator[tuple[str, str]]:
        """Yield passes for other servers of the game."""
        yield "another server", self.token({"aud": "game:3/server-43"})
        yield "the beginning of the server's name", self.token({"aud": "game:3/server-4"})
        yield "a longer name of a server", self.token({"aud": "game:3/server-42/1"})
        yield "all servers", self.token({"aud": "game:3"})

    def twists(self, good: str) -> Iterator[tuple[str, str]]:
        """Yield a good pass that was tampered with."""
        header, payload, signature = good.split(".")
        other = self.token({"sub": "itch:2007"}).split(".")
        yield "the claims of another pass", f"{header}.{other[1]}.{signature}"
        yield "the signature of another pass", f"{header}.{payload}.{other[2]}"
        yield "no signature", f"{header}.{payload}."
        yield "half a signature", f"{header}.{payload}.{signature[:171]}"
        yield "a signature with padding", f"{good}=="
        # Its last four bits say nothing, so that this one decodes to the same bytes.
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        yield "a signature spelt otherwise", good[:-1] + alphabet[alphabet.index(good[-1]) ^ 1]
        yield "no dots", header + payload + signature
        yield "two parts", f"{header}.{payload}"
        yield "four parts", f"{good}.{signature}"
        yield "five parts, as if encrypted", f"{header}.{payload}.{signature}.{payload}.{signature}"
        yield "a space before it", f" {good}"
        yield "a line break after it", f"{good}\n"
        yield "a line break in it", f"{header}.\n{payload}.{signature}"
        yield "a NUL after it", f"{good}\0"
        yield (
            "JSON in place of its parts",
            json.dumps({"protected": header, "payload": payload, "signature": signature}),
        )
        twice = encoded(json.dumps(self.CLAIMS)[:-1] + f', "exp": {NOW + 10**6}' + "}")
        yield "an end twice, unsigned", f"{header}.{twice}.{signature}"
        listed = encoded([{"alg": "RS256", "typ": self.TYPE, "kid": self.key.kid}])
        yield "a header that is a list", f"{listed}.{payload}.{self.signed(f'{listed}.{payload}')}"
        for name, claims in (
            ("a list", "[]"),
            ("text", '"owned"'),
            ("nothing", ""),
            ("no JSON", "{"),
            ("deep", "[" * 600),
        ):
            part = encoded(claims) or "e30"
            yield f"claims that are {name}", f"{header}.{part}.{self.signed(f'{header}.{part}')}"
        yield "longer than any", self.token({"jti": "0" * 2048})
        yield "empty", ""

    def others(self) -> Iterator[tuple[str, str]]:
        """Yield tokens of other kinds."""
        itch = {"sub": "1994", "iat": NOW - 60, "exp": NOW + 604_800, "game": 3}
        yield (
            "a JWT of itch.io's",
            jwt.encode(itch, "a secret of itch.io's, which is not known here", algorithm="HS256"),
        )
        identity = {"iss": ISSUER, "aud": AUDIENCE, "sub": "1994", "email": "amos@example.com", "email_verified": True}
        identity |= {"iat": NOW - 60, "exp": NOW + 840, "nonce": "1"}
        yield "an id token", jwt.encode(identity, self.strange, algorithm="RS256", headers={"kid": "1"})
        yield (
            "an id token, signed by us",
            jwt.encode(identity, self.key.private, algorithm="RS256", headers={"kid": self.key.kid}),
        )
        headers = {"kid": self.key.kid, "typ": self.TYPE}
        yield "an id token, signed by us as a pass", jwt.encode(identity, self.key.private, "RS256", headers=headers)


def main() -> None:
    """Write the file."""
    forger = Forger()
    good = forger.token()
    forged = [
        *forger.algorithms(),
        *forger.headers(),
        *forger.claims(),
        *forger.twists(good),
        *forger.others(),
    ]
    content = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "game": 3,
        "player_ref": "lobby:7f3a",
        "now": NOW,
        "keys": json.loads(forger.keys.published)["keys"],
        "good": good,
        "forged": dict(forged),
        "for_match_servers": dict(forger.for_match_servers()),
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
