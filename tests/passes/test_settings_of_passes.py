"""The settings of passes."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.sandbox.seed import SELLER_KEY
from service.settings import Settings, describe, load_settings
from tests.gateways import SECRET
from tests.passes.conftest import ISSUER, pem

EXPECTED = (
    "expected one to four RSA private keys of 2048 to 4096 bits in PEM, not encrypted, as new-pass-key prints them"
)


def loaded(**variables: str) -> Settings:
    """Return the settings of a gateway with these variables more."""
    names = {"ITCH__API_KEY": SELLER_KEY, "SECRET": SECRET, **variables}
    return load_settings({f"OWNERSHIP_GATEWAY_{name}": value for name, value in names.items()})


def mistakes(**variables: str) -> list[str]:
    """Return the mistakes in them, without our prefix."""
    with pytest.raises(SettingsError) as error:
        loaded(**variables)
    assert "PRIVATE" not in str(error.value)
    return [line.replace("OWNERSHIP_GATEWAY_", "") for line in error.value.mistakes]


def test_keys_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """They have many lines, and nothing shows them."""
    file = tmp_path / "keys.pem"
    file.write_text(f"\n{pem()}{pem('second')}\n")

    given = [{"PASSES__KEY": pem()}, {"PASSES__KEY_FILE": str(file)}]
    settings = [loaded(PASSES__ISSUER=ISSUER, **one) for one in given]

    assert [one.has_passes for one in settings] == [True, True]
    assert all("PRIVATE" not in describe(one) and "passes.key = set" in describe(one) for one in settings)
    assert not loaded().has_passes


def test_settings_that_contradict_each_other() -> None:
    """A key needs an issuer and a secret, an issuer a key, and the sandbox has its own."""
    assert mistakes(PASSES__KEY=pem()) == ["PASSES__KEY is set without PASSES__ISSUER: set both or neither"]
    assert mistakes(PASSES__ISSUER=ISSUER) == ["PASSES__ISSUER is set without PASSES__KEY: set both or neither"]
    assert mistakes(PASSES__KEY=pem(), PASSES__ISSUER=ISSUER, SECRET="") == [
        "SECRET is not set, but PASSES__KEY is: what passes are revoked by is made with a secret of at least 32"
        " characters, the same on all replicas and after a restart"
    ]
    assert mistakes(PASSES__KEY=pem(), PASSES__ISSUER=ISSUER, SANDBOX="true", ITCH__API_KEY="") == [
        "SANDBOX and PASSES__KEY are both set: the sandbox never stands in for a real store, keep one"
    ]


@pytest.mark.parametrize("text", ["no key", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"])
def test_what_is_no_key_is_a_mistake(tmp_path: Path, text: str) -> None:
    """One line, which repeats nothing of it."""
    file = tmp_path / "keys.pem"
    file.write_text(text)

    assert mistakes(PASSES__ISSUER=ISSUER, PASSES__KEY=text) == [f"PASSES__KEY cannot be used: {EXPECTED}"]
    (line,) = mistakes(PASSES__ISSUER=ISSUER, PASSES__KEY_FILE=str(file))
    assert line == f"PASSES__KEY_FILE cannot be used: {EXPECTED}, in '{file}'"


@pytest.mark.parametrize(
    "issuer", ["gateway.example.com", "http://gateway.example.com", "https://", "https://" + "a" * 193]
)
def test_what_is_no_issuer_is_a_mistake(issuer: str) -> None:
    """An https URL, and nothing that would have to be encoded."""
    (line,) = mistakes(PASSES__ISSUER=issuer, PASSES__KEY=pem())
    assert line.startswith("PASSES__ISSUER cannot be used: expected an https URL")
