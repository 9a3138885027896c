"""The keys that sign passes."""

# ruff: noqa: ASYNC240 - files of a few bytes

from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from service.pass_pem import holds_signing_keys, read_signing_keys
from service.passes.signing_keys import key_set, thumbprint
from service.sandbox import seed
from service.secret import PassKeys
from service.secret_text import UnusableText
from tests.clock import FakeClock
from tests.gateways import Asker, LogLines, until
from tests.passes.conftest import OpenReal, pem
from tests.passes.test_asking import ask_for, checked, show


def private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    """Return a private key in PEM."""
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def public(text: str) -> str:
    """Return the public key of a private one, in PEM."""
    key = load_pem_private_key(text.encode(), password=None).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


UNUSABLE = {
    "nothing": lambda: "",
    "no PEM": lambda: "a secret that is none",
    "five keys": lambda: pem() * 5,
    "a public key": lambda: public(pem()),
    "a public key beside it": lambda: pem() + public(pem()),
    "cut off": lambda: pem()[:-20],
    "the second cut off": lambda: pem() + pem("second")[:-40],
    "broken": lambda: pem().replace("A", "B"),
    "encrypted": lambda: private(rsa.generate_private_key(65_537, 2048), b"password"),
    "of another curve": lambda: private(ec.generate_private_key(ec.SECP256R1())),
    "of 1024 bits": lambda: private(rsa.generate_private_key(65_537, 1024)),  # noqa: S505 - it is to be refused
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_sign_is_refused(text: object) -> None:
    """With a reason that repeats nothing of it."""
    made = text()  # type: ignore[operator]
    with pytest.raises(UnusableText) as unusable:
        read_signing_keys(made)
    assert not any(line in str(unusable.value) for line in made.splitlines() if line)
    assert not holds_signing_keys(made)


def test_up_to_four_are_read() -> None:
    """Text between them is no part of them."""
    keys = read_signing_keys(f"# the old one\n{pem()}\n# the new one\n{pem('second')}" + pem() * 2)
    assert len(keys) == 4


def test_a_name_is_that_of_the_rfc() -> None:
    """The example of RFC 7638 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
        "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5"
        "hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint("AQAB", modulus) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_keys_do_not_show_themselves() -> None:
    (key,) = key_set(PassKeys(pem())).keys
    assert repr(key) == f"SigningKey({key.kid})"


async def kids(gateway: Asker) -> list[str]:
    """Return the names of the published keys."""
    answer = await gateway.http.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json()["keys"]
    assert all(key.keys() == {"kty", "use", "alg", "kid", "n", "e"} for key in keys)
    return [key["kid"] for key in keys]


async def signed_by(gateway: Asker) -> tuple[str, str]:
    """Return the name of the key that signs, and a pass."""
    value = (await ask_for(gateway, method="user", user_id=seed.OWNER_ID))["pass"]["value"]
    return jwt.get_unverified_header(value)["kid"], value


async def test_a_key_is_rotated_without_a_gap(
    open_real: OpenReal, key_file: Path, clock: FakeClock, log: LogLines
) -> None:
    """Appended it is published, at the top it signs, and what the old one signed is good until that is gone."""
    gateway = await open_real()
    first, old = await signed_by(gateway)
    (second,) = (key.kid for key in key_set(PassKeys(pem("second"))).keys)

    async def write(*names: str) -> tuple[str, list[str]]:
        key_file.write_text("".join(map(pem, names)))
        clock.jump(timedelta(seconds=1))
        return (await signed_by(gateway))[0], await kids(gateway)

    assert await write("first", "second") == (first, [first, second])
    assert await write("second", "first") == (second, [second, first])
    assert (await show(gateway, old))["outcome"] == "owned"
    await checked(gateway, old)
    assert await write("second") == (second, [second])
    assert (await show(gateway, old))["reason"] == "refused_pass"
    await until(lambda: len(log.lines("pass_keys_reloaded")) == 3)
    assert [line["kids"] for line in log.lines("pass_keys_reloaded")] == [[first, second], [second, first], [second]]


@pytest.mark.parametrize("mended", ["first", "second"])
async def test_a_file_that_cannot_be_used_changes_nothing(
    open_real: OpenReal, key_file: Path, clock: FakeClock, log: LogLines, mended: str
) -> None:
    """The keys stay, one line says so, and a metric until it is mended, with other keys or those from before."""
    gateway = await open_real()
    first, _ = await signed_by(gateway)

    for text in ("", "no key", public(pem())):
        key_file.write_text(text)
        clock.jump(timedelta(seconds=1))
        assert await kids(gateway) == [first]
        assert await kids(gateway) == [first]
        assert await gateway.metric("pass_keys_ok") == 0

    await until(lambda: len(log.lines("pass_keys_unreadable")) == 3)
    assert "PRIVATE" not in str(log.lines("pass_keys_unreadable"))
    key_file.write_text(pem(mended))
    clock.jump(timedelta(seconds=1))
    await kids(gateway)
    assert await gateway.metric("pass_keys_ok") == 1
    assert (await kids(gateway) == [first]) is (mended == "first")


async def test_the_same_keys_are_no_news(open_real: OpenReal, key_file: Path, clock: FakeClock, log: LogLines) -> None:
    gateway = await open_real()
    key_file.write_text(f"\n{pem()}\n\n")
    clock.jump(timedelta(seconds=1))
    await kids(gateway)
    assert log.lines("pass_keys_reloaded") == []
