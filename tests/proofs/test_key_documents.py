"""The documents of an issuer: which keys are taken from them, and by what way they come."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.errors import IssuerUnavailable
from service.proofs.key_documents import LARGEST, Documents, fetch_keys
from service.proofs.key_set import UnfitKeys, read_key_set
from tests.cache.certificates import write_certificate
from tests.proofs.identities import ISSUER, KEYS, PLACE, Web, configuration

RS256 = frozenset({"RS256"})
ALL = frozenset({"RS256", "PS256", "ES256"})


def rsa_jwk(bits: int = 2048, **more: Any) -> dict[str, Any]:
    """Return a public RSA key."""
    key = rsa.generate_private_key(65537, bits)
    return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "1"} | more


def set_of(*keys: object) -> bytes:
    """Return a set of keys as it is published."""
    return json.dumps({"keys": list(keys)}).encode()


def test_which_keys_are_taken() -> None:
    """By their kind and what they say of themselves; those for something else are left out."""
    point = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True) | {"kid": "2"}
    keys = read_key_set(
        set_of(
            rsa_jwk(),
            point,
            rsa_jwk(kid="3", use="enc"),
            rsa_jwk(kid="4", alg="RS512"),
            rsa_jwk(kid="5", alg="PS256"),
            "text",
        ),
        ALL,
    )

    assert set(keys) == {("1", "RS256"), ("1", "PS256"), ("2", "ES256"), ("5", "PS256")}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"keys": {}}',
        b'{"keys": []}',
        b"\xff",
        b"[" * 100_000,
        set_of(rsa_jwk(1024)),
        set_of(rsa_jwk(kid=None)),
        set_of(rsa_jwk(kid="")),
        set_of(rsa_jwk(kid="k" * 257)),
        set_of({"kty": "RSA", "kid": "1", "n": 5, "e": "AQAB"}),
        set_of({"kty": "RSA", "kid": "1"}),
        set_of({"kty": "oct", "kid": "1", "k": "c2VjcmV0"}),
        set_of(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True) | {"kid": "1"}),
        set_of(OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True) | {"kid": "1"}),
        set_of(RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048), as_dict=True) | {"kid": "1"}),
    ],
    ids=range(17),
)
def test_no_key_that_could_check_a_token(body: bytes) -> None:
    """Too short, secret, of another kind or form: none is left."""
    with pytest.raises(UnfitKeys):
        read_key_set(body, ALL)


async def test_the_issuer_says_where_its_keys_are() -> None:
    """Unless the operator does."""
    web = Web({PLACE: configuration(), KEYS: set_of(rsa_jwk())})
    await fetch_keys(web.get, issuer=ISSUER, jwks_url=None, algorithms=RS256)
    await fetch_keys(web.get, issuer=ISSUER, jwks_url=KEYS, algorithms=RS256)

    assert web.asked == [PLACE, KEYS, KEYS]


@pytest.mark.parametrize(
    "said",
    [
        configuration(issuer="https://evil.example"),
        configuration(jwks_uri="http://id.studio.example/keys"),
        configuration(jwks_uri=None),
        b"[]",
        b"not JSON",
        b"\xff",
    ],
)
async def test_a_configuration_that_is_not_the_issuers(said: bytes) -> None:
    """Its keys are fetched from nowhere."""
    web = Web({PLACE: said, KEYS: set_of(rsa_jwk())})
    with pytest.raises(IssuerUnavailable):
        await fetch_keys(web.get, issuer=ISSUER, jwks_url=None, algorithms=RS256)

    assert web.asked == [PLACE]


async def test_keys_that_are_unfit() -> None:
    """As if there were none."""
    with pytest.raises(IssuerUnavailable):
        await fetch_keys(Web({KEYS: b"{}"}).get, issuer=ISSUER, jwks_url=KEYS, algorithms=RS256)


@asynccontextmanager
async def https(directory: Path, answer: bytes) -> AsyncIterator[str]:
    """Serve one answer, over TLS, to everyone who connects; yield the address."""
    write_certificate(directory, address="127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


def http(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """Return an answer as it stands on the wire."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields])
    return head.encode() + b"\r\n\r\n" + body


async def test_a_document_over_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server whose certificate is trusted, and from no other."""
    async with https(tmp_path, http(b"{}")) as url:
        with pytest.raises(IssuerUnavailable):
            await Documents(user_agent="tests").get(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert await Documents(user_agent="tests").get(url) == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        http(b"", "Location: https://evil.example/", status="302 Found"),
        http(b"{}", status="500 Internal Server Error"),
        http(b"{}", "Content-Encoding: gzip"),
        http(b" " * (LARGEST + 1)),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=range(7),
)
async def test_what_is_no_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """No redirect is followed, nothing decompressed, and no more is read than a document can have."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    async with https(tmp_path, answer) as url:
        with pytest.raises(IssuerUnavailable):
            await Documents(user_agent="tests").get(url)
